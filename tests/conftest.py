"""What all rooms' tests share."""

import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import ClassVar

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


class Page(HTMLParser):
    """An HTML page as read: fails where a tag isn't closed, or closes another.

    Attributes:
        tags: (name, attributes) of each, in order.
        text: all of it, white space as single spaces, without styles.
    """

    VOID: ClassVar[set[str]] = {"meta", "img", "br"}

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self._pieces: list[str] = []
        self.feed(content)
        self.close()
        assert self._open == [], f"never closed: {self._open}"
        self.text = " ".join("".join(self._pieces).split()).replace("\u202f", " ")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open[-1:] != ["style"]:
            self._pieces.append(data + " ")

    def named(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of all tags of that name."""
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="session")
def read_page() -> Callable[[Path], Page]:
    """Reads an HTML file, and checks that it is well-formed, executes nothing and fetches nothing."""

    def read(path: Path) -> Page:
        content = path.read_text(encoding="utf-8")
        assert content.startswith("<!doctype html>")
        page = Page(content)
        forbidden = {"script", "link", "iframe", "object", "embed", "base", "form", "audio", "video"}
        assert not forbidden & {name for name, _ in page.tags}
        for name, attributes in page.tags:
            assert not [key for key in attributes if key.startswith("on")], (name, attributes)
            for key, value in attributes.items():
                if key in ("src", "href", "xlink:href", "srcset", "action", "data"):
                    assert value.startswith(("data:image/png;base64,", "#")), value[:80]
        assert "@import" not in content
        assert "url(" not in content
        targets = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
        assert {a["href"][1:] for a in page.named("a")} <= targets
        for picture in page.named("img"):
            assert "alt" in picture
        for svg in page.named("svg"):
            assert svg["role"] == "img"
        return page

    return read
