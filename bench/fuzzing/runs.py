"""A run's folder, file by file, and weights that others wrote: safetensors, torch's, Gluon's."""

from __future__ import annotations

import io
import os
import struct
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from fuzzing.material import picture, write
from fuzzing.reader import Reader

__all__ = ["READERS", "prepare", "run_files"]

SETTINGS = {"epochs": 1.0, "batch_size": 4, "hold_out": 0.25, "precision": "fp32"}


@cache
def run_files() -> dict[str, bytes]:
    """A finished run of the smallest kind, and as `checkpoint` what an unfinished one of it goes on from."""
    import podium
    from podium import runtime

    ready = runtime.prepare("fp32", num_threads=1)
    labels = b"id,label\n" + b"".join(b"%d,%s\n" % (n, (b"cat", b"dog")[n % 2]) for n in range(1, 17))
    before = os.environ.get("PODIUM_CACHE")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PODIUM_CACHE"] = f"{folder}/cache"
        try:
            images = {f"train/{n}.png": picture(n, size=(12, 12)) for n in range(1, 17)} | {
                "test/1.png": picture(1, size=(12, 12))
            }
            write(Path(folder, "data"), images | {"trainLabels.csv": labels})
            data = podium.open(Path(folder, "data"))
            given = {"settings": SETTINGS, "runtime": ready}
            whole = podium.train(data, "sprint_small", out=f"{folder}/whole", **given)
            cut = podium.train(data, "sprint_small", out=f"{folder}/cut", should_stop=lambda: True, **given)
            files = {path.name: path.read_bytes() for path in whole.path.iterdir() if path.suffix != ".html"}
            return files | {"checkpoint": cut.checkpoint_path.read_bytes()}
        finally:
            os.environ.pop("PODIUM_CACHE")
            if before is not None:
                os.environ["PODIUM_CACHE"] = before


def prepare(folder: Path) -> None:
    """The run's folder, but its checkpoint."""
    write(folder / "runs" / "one", {name: data for name, data in run_files().items() if name != "checkpoint"})


def _file(name: str) -> Sequence[bytes]:
    return [run_files()[name]]


def _as_file(name: str, work: Path, data: bytes) -> object:
    """Searched, opened and looked through, as `podium runs`, `resume` and `predict` do before they compute."""
    import podium
    from podium.api.common import check_writable
    from podium.api.pictures import judge_of
    from podium.errors import RunError

    place = work / "runs" / "one"
    (place / name).write_bytes(data)
    try:
        rows = podium.leaderboard(work / "runs")
        assert len(rows) == 1, "a run isn't listed"
        try:
            run = podium.Run.open(place)
        except RunError:
            assert rows[0].state == "damaged", "listed as sound, and can't be opened"
            raise
        run.metrics()
        judge_of(run)
        check_writable(work / "x.csv")
        run.rewind_metrics(3)
        return run
    finally:
        write(place, {one: run_files()[one] for one in (name, "metrics.jsonl")})


def _as_model(work: Path, data: bytes) -> object:
    """A picture is predicted with it."""
    import podium

    place = work / "runs" / "one"
    (place / "model.safetensors").write_bytes(data)
    (work / "a.png").write_bytes(picture(3))
    return podium.predict_files(place, [work / "a.png"])


def _as_hold_out(work: Path, data: bytes) -> object:
    """Predictions: loaded, judged, and weighted against others."""
    from podium.evaluation import Predictions, blend
    from podium.evaluation.judge import Judge

    path = work / "hold_out.safetensors"
    path.write_bytes(data)
    found = Predictions.load(path)
    if found.labels is not None:
        Judge.from_hold_out(found)
    whole = work / "whole.safetensors"
    whole.write_bytes(run_files()["hold_out.safetensors"])
    return blend([found, Predictions.load(whole)])


def _as_checkpoint(work: Path, data: bytes) -> object:
    """What a training would go on from."""
    from podium.models import Classifier
    from podium.training import checkpoint

    path = work / "checkpoint"
    path.write_bytes(data)
    classifier = _classifier(work)
    assert isinstance(classifier, Classifier)
    return checkpoint.load(path, classifier.network, classifier.preprocessing, {})


_kept: list[object] = []


def _classifier(work: Path) -> object:
    from podium.models import Classifier

    if not _kept:
        path = work / "model.safetensors"
        path.write_bytes(run_files()["model.safetensors"])
        _kept.append(Classifier.load(path))
    return _kept[0]


# ---- weights of others


def _states() -> dict[str, object]:
    import torch

    random = torch.Generator().manual_seed(0)
    shapes = {"conv.weight": (4, 3, 3, 3), "conv.bias": (4,), "head.weight": (2, 4), "head.bias": (2,)}
    return {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}


def _torch_files() -> Sequence[bytes]:
    import torch

    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, ("../../evil",)

    found = []
    state = _states()
    for value in (state, {"state_dict": state, "epoch": 3}, [1, "a"], {"x": Evil()}, {"half": torch.ones(3).half()}):
        for is_zip in (True, False):
            buffer = io.BytesIO()
            torch.save(value, buffer, _use_new_zipfile_serialization=is_zip)
            found.append(buffer.getvalue())
    return found


def _safetensors() -> Sequence[bytes]:
    import safetensors.torch

    return [safetensors.torch.save(_states()), safetensors.torch.save(_states(), metadata={"format": "pt"})]


def _weights(name: str, work: Path, data: bytes) -> object:
    import warnings

    from podium.models.weights import read_weights

    path = work / name
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return read_weights(path)


def _params() -> Sequence[bytes]:
    import torch

    from podium.interop import write_params

    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.params")
        named = {"0.weight": torch.ones(4, 3, 3, 3), "0.bias": torch.zeros(4), "1.gamma": torch.ones(4)}
        kinds = {
            f"{place}.weight": torch.ones(2, 2, dtype=kind)
            for place, kind in enumerate((torch.float16, torch.uint8, torch.bool))
        }
        for arrays in (named, kinds, {f"arg:{name}": array for name, array in named.items()}):
            write_params(path, arrays)
            found.append(path.read_bytes())
    return [*found, struct.pack("<3Q", 0x112, 0, 0) + struct.pack("<Q", 0)]


def _as_params(work: Path, data: bytes) -> object:
    """Read; then brought in, which the networks that podium knows refuse: these few layers are none of them."""
    from podium.api import import_gluon
    from podium.errors import WeightsError
    from podium.interop import read_params

    path = work / "net.params"
    path.write_bytes(data)
    found = read_params(path)
    if len(found) < 100 and hash(len(data)) % 4 == 0:
        with suppress(WeightsError):
            import_gluon(path, "seed_resnet18", work / "imported")
    return found


def _in_run(name: str, share: float, focus: int | None = None) -> Reader:
    return Reader(
        f"run, {name}", share, partial(_file, name), partial(_as_file, name), focus=focus, prepare=prepare, keeps=True
    )


READERS = (
    _in_run("manifest.json", 10),
    _in_run("recipe.toml", 6),
    _in_run("metrics.jsonl", 6),
    Reader(
        "run, model.safetensors",
        1.2,
        partial(_file, "model.safetensors"),
        _as_model,
        focus=6000,
        prepare=prepare,
        keeps=True,
    ),
    Reader(
        "run, checkpoint", 1.2, partial(_file, "checkpoint"), _as_checkpoint, focus=9000, prepare=prepare, keeps=True
    ),
    Reader("run, hold_out.safetensors", 6, partial(_file, "hold_out.safetensors"), _as_hold_out),
    Reader("weights of torch", 5, _torch_files, partial(_weights, "net.pth")),
    Reader("weights, safetensors", 5, _safetensors, partial(_weights, "net.safetensors")),
    Reader(".params of Gluon", 8, _params, _as_params),
)
