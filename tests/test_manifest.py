import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from podium import builtin
from podium.errors import RunError
from podium.manifest import check_manifest, check_metrics
from podium.recipe import load_recipe
from podium.run import Run
from podium.standings import leaderboard

GOOD = json.loads((builtin.FOLDER / "cifar10" / "manifest.json").read_text()) | {
    "hold_out": {"num_images": 9, "accuracy": 0.5, "interval": [0.4, 0.6], "tta": "none", "seconds": 1.0},
    "bad_images": {"num_images": 1, "names": ["a"]},
    "budget": {"minutes": 2.0, "is_capped": False},
    "init": {"path": "x", "sha256": "0"},
    "timetable": {"knots": [[0.0, 1.0]], "epochs": [0.5]},
    "resumed": [{"began": "now"}],
    "on_bad_image": "skip",
    "train_seconds": 3,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


def places(value, path=()):
    """Where in a nest of tables something stands."""
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from places(inner, (*path, key))


def changed(path, value):
    manifest = copy.deepcopy(GOOD)
    if not path:
        return value
    table = manifest
    for key in path[:-1]:
        table = table[key]
    table[path[-1]] = value
    return manifest


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run.create(tmp_path_factory.mktemp("runs") / "one", load_recipe("sprint"), copy.deepcopy(GOOD))


def test_one_with_all_that_may_be_there_is_right():
    check_manifest(GOOD)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("seed", "0"),
        ("seed", True),
        ("seed", 2**64),
        ("data", None),
        ("data.classes", ["a", 1]),
        ("data.image_size", [32]),
        ("hardware.processor", ["x"]),
        ("hold_out", [1]),
        ("hold_out.accuracy", "much"),
        ("hold_out.interval", [0.1, float("nan")]),
        ("judge.temperature", 0),
        ("judge", {"temperature": 1.0}),
        ("bad_images.names", "a"),
        ("on_bad_image", "maybe"),
        ("train_seconds", float("inf")),
        ("resumed", [1]),
        ("teachers", [{"path": "runs/a"}]),
    ],
)
def test_what_cannot_be_is_named(path, value):
    with pytest.raises(ValueError, match=f"(has|lacks) {path}"):
        check_manifest(changed(path.split("."), value))


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(places(GOOD))), JSON)
def test_any_value_anywhere_is_refused_or_can_be_listed(run, path, value):
    (run.path / "manifest.json").write_text(json.dumps(changed(path, value)))
    (row,) = leaderboard(run.path.parent)
    try:
        Run.open(run.path)
    except RunError as error:
        assert row.state == "damaged"
        assert str(error).count("\n") <= 1  # noqa: PT017
    else:
        assert row.state == "unfinished" or "imported" in path
        assert row.accuracy is None or isinstance(row.accuracy, int | float)


def test_a_nest_that_is_too_deep_is_refused(run):
    (run.path / "manifest.json").write_text("[" * 100_000)
    with pytest.raises(RunError, match="damaged"):
        Run.open(run.path)


@pytest.mark.parametrize("line", ["[]", "1", "{}", '{"step": "1"}', '{"step": 1, "loss": null}', "[" * 100_000])
def test_a_line_of_metrics_that_cannot_be(run, line):
    (run.path / "manifest.json").write_text(json.dumps(GOOD))
    run.metrics_path.write_text(line + "\n")
    try:
        with pytest.raises(RunError, match="damaged"):
            run.metrics()
        with pytest.raises(RunError, match="damaged"):
            run.rewind_metrics(1)
    finally:
        run.metrics_path.unlink()


def test_a_line_of_metrics_that_can_be():
    check_metrics({"kind": "epoch", "step": 1, "epoch": 0.5, "loss": float("nan"), "accuracy": 0.5, "train_seconds": 1})
