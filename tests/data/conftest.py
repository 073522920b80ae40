"""Small competitions, made on the spot. The modules beside this file make other small data sets."""

import io
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import py7zr
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))

CLASSES = ("cat", "dog", "frog")
Write = Callable[[Path, dict[str, bytes]], Path]


def _png(number: int, size: int = 8) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (size, size, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _write_archive(path: Path, members: dict[str, bytes]) -> Path:
    """Writes an archive of the kind that the name says; a folder if it says none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".7z":
        with py7zr.SevenZipFile(path, "w", filters=[{"id": py7zr.FILTER_LZMA2, "preset": 0}]) as archive:
            for name, data in members.items():
                archive.writestr(data, name)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
    elif ".tar" in path.name:
        with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
            for name, data in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    else:
        for name, data in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(data)
    return path


@pytest.fixture
def png() -> Callable[..., bytes]:
    return _png


@pytest.fixture
def write_archive() -> Write:
    return _write_archive


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """An empty cache of the test's own; `packs()` lists what it holds, half-built packs too."""
    root = tmp_path / "cache"
    monkeypatch.setenv("PODIUM_CACHE", str(root))
    return SimpleNamespace(root=root, packs=lambda: sorted(path.name for path in root.glob("packs/*")))


@pytest.fixture
def competition(tmp_path: Path) -> Callable[..., Path]:
    """Writes a competition of 12 + 5 images; arguments replace its parts (None: leave it out)."""

    def make(
        kind: str = ".7z",
        *,
        train: dict[str, bytes] | None = None,
        labels: str | bytes | None = "id,label\n" + "".join(f"{i},{CLASSES[i % 3]}\n" for i in range(1, 13)),
        sample: str | bytes | None = "id,label\n" + "".join(f"{i},cat\n" for i in range(1, 6)),
        folder: str = "competition",
    ) -> Path:
        path = tmp_path / folder
        path.mkdir(exist_ok=True)
        if train is None:
            train = {f"train/{i}.png": _png(i) for i in range(1, 13)}
        _write_archive(path / f"train{kind}", train)
        _write_archive(path / f"test{kind}", {f"test/{i}.png": _png(100 + i) for i in range(1, 6)})
        for name, content in (("trainLabels.csv", labels), ("sampleSubmission.csv", sample)):
            if content is not None:
                (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return make
