"""What the processes of a test do: see `processes`. Each takes and gives JSON's kinds."""

import hashlib
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from trials import fake_fit

import podium
from podium import cli
from podium.data import Images
from podium.errors import DataError, PodiumError, RunError
from podium.evaluation import predict as prediction
from podium.models import sync_norms
from podium.recipe import load_recipe
from podium.training import Progress
from podium.tuning import trial
from podium.world import join, silence


def weights_of(path: Path) -> str:
    """A hash of the tensors: the file's header comes in another order each time."""
    sha = hashlib.sha256()
    for name, tensor in sorted(load_file(path).items()):
        sha.update(name.encode() + tensor.numpy().tobytes())
    return sha.hexdigest()


# ---- what they say to each other


def talk(num_bytes: int) -> dict[str, Any]:
    """Each method of World once, and some twice."""
    world = join()
    rows = torch.arange(world.rank).float()[:, None] + 10 * world.rank  # rank 0 has none
    spread = {"a": torch.full((3,), float(world.rank)), "b": torch.tensor(world.rank)}
    world.spread(spread)
    told = world.tell_bytes(bytes(range(256)) * (num_bytes // 256) if world.is_first else None)
    return {
        "sum": world.sum(torch.tensor([1.0, world.rank])).tolist(),
        "stack": world.stack(torch.tensor([world.rank, 7])).tolist(),
        "gather": world.gather(rows).tolist(),
        "spread": [spread["a"].tolist(), int(spread["b"])],
        "any": [world.any(world.rank == 1), world.any(False)],
        "tell": world.tell({"from": world.rank, "ü": None}),
        "each": world.each(["\n", world.rank]),
        "bytes": [len(told), hashlib.sha256(told).hexdigest()],
        "empty": len(world.tell_bytes(b"" if world.is_first else None)),
        "first": world.first(lambda: world.rank + 100),
        "in_turn": world.in_turn(lambda: world.rank),
    }


def fail(rank: int) -> list[str]:
    """One can't do what all are to do; after that they still understand each other."""
    world = join()
    heard = []
    for kind in (DataError, RunError):
        try:
            with world.together():
                if world.rank == rank:
                    raise kind("It is broken.\nMend it.")
        except PodiumError as error:
            heard.append(f"{type(error).__name__}: {error}")
    return [*heard, world.tell("still there")]


def lend(folder: str) -> list[str | None]:
    """Rank 0's file, and one that isn't there."""
    world = join()
    heard: list[str | None] = []
    for name in ("there", "missing"):
        with world.borrowed(Path(folder) / name) as path:
            heard.append(None if path is None else path.read_text())
            if path is not None and not world.is_first:
                assert path.parent != Path(folder)
    return heard


def fall_silent(rank: int, number: int) -> str:
    """One gets a signal; what the others say when they wait for it."""
    silence._ROLL_SECONDS = 1.0
    world = join()
    world.sum(torch.ones(1))
    if world.rank == rank:
        os.kill(os.getpid(), number)
    try:
        with world.watched():
            for _ in range(3):
                world.sum(torch.ones(1))
    except PodiumError as error:
        return f"{type(error).__name__}: {error}"
    return ""


# ---- BN


def norm(sizes: list[int], dtype: str, momentum: float | None) -> list[float]:
    """How far the synced BN's results are from those of BN of the whole, in parts of the largest number of each."""
    world = join()
    kind: torch.dtype = getattr(torch, dtype)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(sum(sizes), 4, 5, 3, generator=generator).to(kind) * 3 + 7
    dy = torch.randn(x.shape, generator=generator).to(kind)
    start = sum(sizes[: world.rank])
    mine = slice(start, start + sizes[world.rank])
    network = nn.Sequential(nn.BatchNorm2d(4, momentum=momentum)).to(kind)
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([1.0, 2.0, -1.0, 0.5]))
        network[0].bias.copy_(torch.tensor([0.0, 1.0, 2.0, 3.0]))
    synced = nn.Sequential(nn.BatchNorm2d(4, momentum=momentum)).to(kind)
    synced.load_state_dict(network.state_dict())
    sync_norms(synced, world, torch.device("cpu"))
    assert [*synced.state_dict()] == [*network.state_dict()]
    far = []
    for _ in range(2):  # running statistics are an average from the second time on
        whole, part = x.clone().requires_grad_(), x[mine].clone().requires_grad_()
        for net, shown, slope in ((network, whole, dy), (synced, part, dy[mine])):
            net.zero_grad()
            net(shown).backward(slope)
        assert whole.grad is not None
        assert part.grad is not None
        pairs = [(part.grad, whole.grad[mine])]
        pairs += [(world.sum(a.grad), b.grad) for a, b in zip(synced.parameters(), network.parameters(), strict=True)]
        pairs += list(zip(synced.buffers(), network.buffers(), strict=True))
        far += [_distance(one, other) for one, other in pairs]
    network.eval()
    synced.eval()
    return [*far, _distance(synced(x), network(x))]


def _distance(one: torch.Tensor, other: torch.Tensor) -> float:
    if not other.numel():
        return 0.0
    return float((one.double() - other.double()).abs().max() / other.double().abs().max().clamp(min=1e-30))


# ---- predictions


def merge(num_images: int) -> str:
    """Of many fake images each process computes its part; a hash of all rows."""
    world = join()
    logits = np.full((num_images, 3), -1, np.float32)
    mine = world.part(num_images)
    logits[mine] = np.arange(mine.start, mine.stop, dtype=np.float32)[:, None]
    prediction._merge(logits, np.arange(num_images), world)
    some = np.random.default_rng(1).permutation(num_images)[: num_images // 3]
    logits[some[world.part(len(some))]] += 0.5
    prediction._merge(logits, some, world)
    expected = np.arange(num_images, dtype=np.float32)[:, None].repeat(3, 1)
    expected[some] += 0.5
    assert np.array_equal(logits, expected)
    return hashlib.sha256(logits.tobytes()).hexdigest()


def predict_others(run: str) -> str:
    """The processes have different images."""
    world = join()
    ids = np.array([f"{number}" for number in range(8)])
    if world.rank == 1:
        ids = ids[::-1].copy()
    images = Images(np.zeros((8, 12, 12, 3), np.uint8), None, ids, ("blue", "green", "red"))
    try:
        podium.predict(run, images)
    except RunError as error:
        return str(error)
    return ""


# ---- training, and the command line


def train(
    data: str, out: str, recipe: str, settings: dict[str, Any], stop_at: int = 0, resumes: bool = True
) -> dict[str, Any]:
    """Trains; stopped after a step, if so asked, and then resumed."""
    world = join()
    steps = iter(range(1, 10_000))
    run = podium.train(
        data,
        load_recipe(recipe).with_settings(settings),
        out=out,
        should_stop=lambda: stop_at > 0 and next(steps) >= stop_at and world.rank == world.size - 1,
        checkpoint_seconds=0 if stop_at else 60,  # 0: it is asked after each step
    )
    if stop_at:
        assert not run.is_finished
        if not resumes:
            return {}
        run = podium.resume(out)
    files = sorted(path.name for path in Path(out).iterdir()) if world.is_first else []
    return {
        "weights": weights_of(Path(out) / "model.safetensors"),
        "epochs": [line["loss"] for line in run.metrics() if line["kind"] == "epoch"] if world.is_first else [],
        "steps": [line["step"] for line in run.metrics()] if world.is_first else [],
        "manifest": run.manifest,
        "files": files,
        "writes": run.writes,
    }


def command(words: list[str], folder: str) -> None:
    """`podium WORDS`, in that folder. Ends the process with the command's status."""
    os.chdir(folder)
    sys.argv = ["podium", *words]
    cli.main()


# ---- trials of one study


def tune(data: str, out: str, trials: int, kill_at: int | None, seconds: float) -> list[int]:
    """The trials that this worker did; in that of the number `kill_at` it is killed."""
    did: list[int] = []

    def on_progress(number: int, now: Progress) -> None:
        if number == kill_at and now.epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    trial.fit = fake_fit(seconds=seconds)
    podium.tune(
        data,
        "sprint_small",
        trials=trials,
        settings={"batch_size": 16, "hold_out": 0.2, "precision": "fp32"},
        out=out,
        on_trial=lambda row, _: did.append(row.number),
        on_progress=on_progress,
    )
    return did
