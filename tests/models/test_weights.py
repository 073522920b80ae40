"""Weights that others trained: files as people have them, and files that aren't any."""

import pickle
import zipfile

import pytest
import safetensors.torch
import torch

from podium import models
from podium.errors import WeightsError
from podium.models.weights import head_name, load_weights, read_weights


def create(name, num_classes=10, size=32, **options):
    return models.create(name, num_classes, (size, size), **options)


def same(one, other, but=()):
    names = one.state_dict().keys() - set(but)
    return all(torch.equal(one.state_dict()[name], other.state_dict()[name]) for name in names)


@pytest.fixture
def donor():
    torch.manual_seed(0)
    return create("wrn_16_4")


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("container", [None, "state_dict", "model"])
def test_a_torch_file_as_people_save_it(donor, tmp_path, prefix, container):
    state = {prefix + name: tensor for name, tensor in donor.state_dict().items()}
    torch.save(state if container is None else {"epoch": 3, container: state}, tmp_path / "w.pth")
    network = create("wrn_16_4")
    assert load_weights(network, tmp_path / "w.pth") == []
    assert same(network, donor)


def test_safetensors_and_a_head_for_other_classes(donor, tmp_path):
    safetensors.torch.save_file(donor.state_dict(), tmp_path / "w.safetensors")
    network = create("wrn_16_4", num_classes=7)
    head = network.head.weight.clone()
    assert load_weights(network, tmp_path / "w.safetensors") == ["head.weight", "head.bias"]
    assert torch.equal(network.head.weight, head)
    assert same(network, donor, but=["head.weight", "head.bias"])


@pytest.mark.parametrize("theirs", [False, True])
@pytest.mark.parametrize("ours", [False, True])
def test_auxiliary_heads_may_be_on_either_side(tmp_path, theirs, ours):
    donor = create("googlenet", auxiliary_heads=theirs)
    torch.save(donor.state_dict(), tmp_path / "w.pth")
    network = create("googlenet", auxiliary_heads=ours)
    kept = load_weights(network, tmp_path / "w.pth")
    assert all(name.startswith("aux") for name in kept)
    assert bool(kept) == (ours and not theirs)
    assert torch.equal(network.fc.weight, donor.fc.weight)


def test_old_names_of_densenets_are_known(tmp_path):
    donor = create("densenet_bc_100_12")
    old = {
        name.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): tensor
        for name, tensor in donor.state_dict().items()
    }
    torch.save(old, tmp_path / "w.pth")
    network = create("densenet_bc_100_12")
    load_weights(network, tmp_path / "w.pth")
    assert same(network, donor)


def test_files_without_counters_of_batches_are_complete(donor, tmp_path):
    state = {name: tensor for name, tensor in donor.state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "w.pth")
    assert load_weights(create("wrn_16_4"), tmp_path / "w.pth") == []


def test_all_that_does_not_fit_is_said_in_one_error(donor, tmp_path):
    state = donor.state_dict()
    del state["stem.weight"]
    state["extra"] = torch.zeros(1)
    state["stages.0.0.conv1.weight"] = torch.zeros(2, 2, 3, 3)
    state["norm.bias"] = torch.zeros(3)  # no head: another number isn't another number of classes
    torch.save(state, tmp_path / "w.pth")
    network = create("wrn_16_4")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(WeightsError) as caught:
        load_weights(network, tmp_path / "w.pth")
    for words in ("lacks stem.weight", "has besides extra", "conv1.weight 2×2×3×3 instead of 64×16×3×3", "norm.bias"):
        assert words in str(caught.value)
    assert str(caught.value).count("\n") == 1
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


class Evil:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def test_nothing_in_a_file_is_executed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": Evil()}, "evil.pth")
    (tmp_path / "evil.pt").write_bytes(pickle.dumps(Evil()))
    for name in ("evil.pth", "evil.pt"):
        with pytest.raises(WeightsError, match=r"could execute anything|no file of weights"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing", b"\x80\x02}q\x00.", b"x" * 1000])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_what_is_no_file_of_weights_is_said(tmp_path, content, suffix):
    path = tmp_path / f"w{suffix}"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="w") as caught:
        read_weights(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_said(tmp_path):
    for name in ("no.pth", "no.safetensors"):
        with pytest.raises(WeightsError, match="can't be read"):
            read_weights(tmp_path / name)


def test_something_else_in_the_file_is_said(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    torch.save({"a": 1}, tmp_path / "numbers.pth")
    for name in ("list.pth", "numbers.pth"):
        with pytest.raises(WeightsError, match="no tensors by name"):
            read_weights(tmp_path / name)


@pytest.mark.parametrize("entry", models.entries(), ids=lambda entry: entry.name)
def test_every_models_head_is_found(entry):
    with torch.device("meta"):
        network = models.create(entry.name, 13, (32, 32))
    assert network.get_submodule(head_name(network)).out_features == 13


LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02"  # how torch's old files begin


@pytest.mark.parametrize(
    "content",
    [
        LEGACY + b"X",  # within a length
        LEGACY + b"}.\x80\x02R.",  # calls with an empty stack
        LEGACY + b"}.\x80\x02(cargparse\nNamespace\n.",
        b"\x80\x02" + b"(" * 5000,
    ],
)
def test_whatever_torch_raises_on_a_damaged_file_is_said(tmp_path, content):
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    with pytest.raises(WeightsError, match="damaged"):
        read_weights(path)


def zip_of(path, members, method):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize("call", [b"cbuiltins\nbytearray\n", b"c__builtin__\nbytearray\n"])
def test_a_file_that_asks_for_memory_is_refused_before_torch_reads_it(tmp_path, monkeypatch, call):
    monkeypatch.setattr(torch, "load", None)
    program = b"\x80\x02" + call + b"\x8a\x05\0\0\0\0\x02\x85R."
    zip_of(tmp_path / "new.pth", {"net/data.pkl": program, "net/version": b"3\n"}, zipfile.ZIP_STORED)
    (tmp_path / "old.pth").write_bytes(LEGACY + b"}." + program)
    for name in ("new.pth", "old.pth"):
        with pytest.raises(WeightsError, match="asks for memory"):
            read_weights(tmp_path / name)


def test_a_compressed_file_is_refused_before_torch_reads_it(donor, tmp_path, monkeypatch):
    torch.save({"x": torch.zeros(1000)}, tmp_path / "w.pth")
    assert read_weights(tmp_path / "w.pth").keys() == {"x"}
    with zipfile.ZipFile(tmp_path / "w.pth") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    zip_of(tmp_path / "small.pth", members, zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(WeightsError, match="is compressed"):
        read_weights(tmp_path / "small.pth")
