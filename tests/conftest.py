"""What all rooms' tests share."""

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import podium

sys.path.insert(0, str(Path(__file__).parent))  # `processes` and `tasks`, which tests of several rooms take

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test touches the user's cache. One folder for the session, so the digits are written once."""
    before = os.environ.get("PODIUM_CACHE")
    os.environ["PODIUM_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["PODIUM_CACHE"]
    else:
        os.environ["PODIUM_CACHE"] = before


@pytest.fixture(scope="session")
def real_cifar10() -> Path:
    """CIFAR-10's competition folder, where it lies beside the checkout."""
    folder = SHARED / "data" / "cifar-10"
    if not (folder / "train.7z").exists():
        pytest.skip("the real competition's files aren't here")
    return folder


@pytest.fixture(scope="session")
def tiny_competition(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A competition of 60 + 9 images of 12×12 pixels and three classes that differ in colour."""
    folder = tmp_path_factory.mktemp("tiny") / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    classes = ("blue", "green", "red")
    for role, count in (("train", 60), ("test", 9)):
        with zipfile.ZipFile(folder / f"{role}.zip", "w") as archive:
            for number in range(1, count + 1):
                pixels = rng.integers(0, 120, (12, 12, 3), np.uint8)
                pixels[..., 2 - number % 3] += 100
                buffer = io.BytesIO()
                Image.fromarray(pixels).save(buffer, "PNG")
                archive.writestr(f"{role}/{number}.png", buffer.getvalue())
    rows = "".join(f"{number},{classes[number % 3]}\n" for number in range(1, 61))
    (folder / "trainLabels.csv").write_text(f"id,label\n{rows}")
    order = [5, 1, 9, 2, 3, 4, 6, 8, 7]  # not the order of the archive
    (folder / "sampleSubmission.csv").write_text("id,label\n" + "".join(f"{number},red\n" for number in order))
    return folder


TINY = {"epochs": 2.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}
"""Settings with which `sprint` trains on the tiny competition in a second."""


@pytest.fixture(scope="session")
def tiny_run(tiny_competition: Path, tmp_path_factory: pytest.TempPathFactory) -> podium.Run:
    """A finished run of `sprint_small` on the tiny competition."""
    return podium.train(tiny_competition, "sprint_small", settings=TINY, out=tmp_path_factory.mktemp("run") / "run")
