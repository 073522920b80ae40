"""Gluon's names for the seed's networks, as their users' ways of writing a network down make them."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from podium.errors import WeightsError
from podium.interop import NAMED_MODELS, check_named, from_gluon, read_params, to_gluon, write_params
from podium.models import create

GLUON = Path(__file__).parents[3] / "shared" / "gluon"
NUM_BLOCKS = {"seed_resnet18": 2, "seed_resnet164_v2": 27}  # a stage
NUM_CHILDREN = {"seed_resnet18": 13, "seed_resnet164_v2": 88}


@pytest.fixture(scope="module", params=NAMED_MODELS)
def model(request):
    return request.param


@pytest.fixture(scope="module")
def state(model):
    """A network's, each array with values of its own."""
    found = create(model, 10, (32, 32)).state_dict()
    for number, (name, array) in enumerate(found.items()):
        if not name.endswith("num_batches_tracked"):
            array.fill_(number)
    return found


@pytest.fixture(scope="module")
def arrays(state, model):
    return to_gluon(state, model)


def nested(name, model):
    """Stages as sequences of their own, and what follows them moved up."""
    first, _, rest = name.partition(".")
    number, count = int(first), NUM_BLOCKS[model]
    num_stages = 4 if model == "seed_resnet18" else 3
    if number < 3:
        return name
    stage, block = divmod(number - 3, count)
    if stage < num_stages:
        return f"{3 + stage}.{block}.{rest}"
    return f"{number - num_stages * (count - 1)}.{rest}"


def flattened(name, model):
    """With a Flatten before the dense layer."""
    head = str(NUM_CHILDREN[model] - 1)
    return re.sub(f"^{head}\\.", f"{int(head) + 1}.", name)


def other_words(name, model):
    return name.replace("bn", "norm").replace("conv3" if model == "seed_resnet18" else "conv4", "shortcut")


def within(name, _):
    """The sequence is an attribute of a block that the user wrote."""
    return f"net.{name}"


@pytest.mark.parametrize("renamed", [lambda name, _: name, nested, flattened, other_words, within])
def test_however_the_network_was_written_down(renamed, arrays, state, model):
    other = {renamed(name, model): array for name, array in arrays.items()}
    assert len(other) == len(arrays)
    shuffled = dict(sorted(other.items()))  # the order in the file says nothing where numbers do
    found = from_gluon(shuffled, model)
    assert found.keys() == state.keys()
    assert all(torch.equal(found[name], array) for name, array in state.items() if "tracked" not in name)


def exported(arrays, *, scopes):
    """The same as `export` names and sorts it, with a scope a block or with one for all."""
    counts, names = {}, {}
    children = {name.split(".")[0] for name in arrays if name.count(".") == 2}
    first = min(map(int, children))

    def count(scope, kind):
        counts[scope, kind] = counts.get((scope, kind), -1) + 1
        return f"{scope}{kind}{counts[scope, kind]}_"

    layers = {}
    for name, array in arrays.items():
        owner, _, parameter = name.rpartition(".")
        if owner not in layers:
            block = f"residual{int(owner.split('.')[0]) - first}_" if scopes and "." in owner else ""
            kind = {"gamma": "batchnorm", "weight": "conv" if array.ndim == 4 else "dense"}[parameter]
            layers[owner] = count(f"hybridsequential0_{block}", kind)
        names[layers[owner] + parameter] = array
    return names


@pytest.mark.parametrize("scopes", [True, False])
def test_exported_names(scopes, arrays, state, model):
    found = from_gluon(exported(arrays, scopes=scopes), model)
    assert all(torch.equal(found[name], array) for name, array in state.items() if "tracked" not in name)


def test_exported_names_in_another_order_are_refused(arrays, model):
    names = exported(arrays, scopes=True)
    blocks = [name for name in names if "_residual1_" in name]
    moved = {name: array for name, array in names.items() if name not in blocks}
    moved |= {name: names[name] for name in blocks}
    with pytest.raises(WeightsError, match="isn't in the order"):
        from_gluon(moved, model)
    if model == "seed_resnet164_v2":
        with pytest.raises(WeightsError):
            from_gluon(dict(sorted(names.items())), model)


def test_the_seeds_own_names(arrays, model):
    names = list(arrays)
    assert names[:6] == ["0.weight", "0.bias", "1.gamma", "1.beta", "1.running_mean", "1.running_var"]
    assert names[-2:] == [f"{NUM_CHILDREN[model] - 1}.weight", f"{NUM_CHILDREN[model] - 1}.bias"]
    shortcuts = {"seed_resnet18": ["5.conv3", "7.conv3", "9.conv3"], "seed_resnet164_v2": ["30.conv4", "57.conv4"]}
    for shortcut in shortcuts[model]:
        assert arrays[f"{shortcut}.weight"].shape[2:] == (1, 1)
    last = shortcuts[model][0].partition(".")[2]
    assert sum(name.endswith(f".{last}.weight") for name in names) == len(shortcuts[model])


def test_other_floats_become_float32(arrays, model):
    found = from_gluon({name: array.half() for name, array in arrays.items()}, model)
    assert all(array.dtype == torch.float32 for name, array in found.items() if "tracked" not in name)


def test_all_that_is_wrong_is_one_message(arrays, model):
    wrong = dict(arrays)
    del wrong["1.beta"]
    del wrong["3.conv1.weight"]
    wrong["99.weight"] = torch.ones(3)
    with pytest.raises(WeightsError) as caught:
        from_gluon(wrong, model, "net.params")
    message = str(caught.value)
    for word in ("net.params", model, "missing 1.beta, 3.conv1.weight", "unexpected 99.weight"):
        assert word in message
    assert message.count("\n") == 1

    wrong = dict(arrays)
    wrong["0.bias"] = torch.ones(3)
    wrong["1.gamma"] = wrong["1.gamma"].int()
    wrong["1.delta"] = wrong.pop("1.beta")
    with pytest.raises(WeightsError) as caught:
        from_gluon(wrong, model)
    message = str(caught.value)
    for word in ("missing 1.beta", "unexpected 1.delta", "0.bias is 3, not 64", "1.gamma is int32, not float"):
        assert word in message


def test_another_networks_file(arrays, model):
    (other,) = set(NAMED_MODELS) - {model}
    with pytest.raises(WeightsError, match=f"doesn't hold a {other}.*convolutions"):
        from_gluon(arrays, other)
    with pytest.raises(WeightsError, match="0 dense layers, not 1"):
        from_gluon({}, model)
    head = f"{NUM_CHILDREN[model] - 1}"
    one = {name: array[:1] if name.startswith(head) else array for name, array in arrays.items()}
    with pytest.raises(WeightsError, match="one output"):
        from_gluon(one, model)
    with pytest.raises(WeightsError, match="'sprint' aren't known"):
        check_named("sprint")


parts = st.sampled_from(["0", "3", "03", "conv1", "bn1", "²", "é", "", "net", "9" * 5000, "\n"])
parameters = st.sampled_from(["weight", "bias", "gamma", "beta", "running_mean", "running_var", "other", ""])
odd_names = st.builds(
    lambda owner, separator, parameter: separator.join([*owner, parameter]),
    st.lists(parts, max_size=3),
    st.sampled_from("._"),
    parameters,
)
odd_arrays = st.lists(st.integers(1, 3), max_size=5).map(torch.ones)


@settings(max_examples=300, deadline=None)
@given(arrays=st.dictionaries(odd_names, odd_arrays, max_size=8))
def test_any_names_at_all_are_refused_in_two_lines(arrays):
    with pytest.raises(WeightsError) as caught:
        from_gluon(arrays, "seed_resnet18")
    assert str(caught.value).count("\n") == 1
    assert len(str(caught.value)) < 3000


@pytest.mark.real_data
def test_the_recorded_file_is_written_again_to_the_byte(tmp_path):
    if not GLUON.is_dir():
        pytest.skip("MXNet's files aren't here")
    model = "seed_resnet164_v2"
    network = create(model, 10, (32, 32))
    network.load_state_dict(from_gluon(read_params(GLUON / f"{model}.params"), model))
    write_params(tmp_path / "again.params", to_gluon(network.state_dict(), model))
    assert (tmp_path / "again.params").read_bytes() == (GLUON / f"{model}.params").read_bytes()
