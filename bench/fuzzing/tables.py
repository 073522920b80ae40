"""Tables and texts: labels, sample submissions, CSVs of paths, recipes, predictions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from fuzzing.archives import LABELS, SAMPLE
from fuzzing.material import picture, read_all, write
from fuzzing.reader import Reader

__all__ = ["READERS"]


def _labels() -> Sequence[bytes]:
    return [
        LABELS,
        LABELS.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + LABELS,
        b'image,breed,split\n"1.png","cat, big",train\n2.png,dog,train\n3.png,cat,val\n4.png,frog,test\n',
        b"id_code;diagnosis\n1;0\n2;1\n3;0\n4;2\n",
        b'id,label\n"1\n",cat\n2,"d""og"\n3,cat\n4,frog\n',
        b"filename,label\ntrain/1.png,cat\ntrain/2.png,dog\ntrain/3.png,cat\ntrain/4.png,frog\n",
        LABELS + b"5,cat\n" * 400,
    ]


def _samples() -> Sequence[bytes]:
    return [SAMPLE, b"id,label\n2,dog\n1,frog\n", b"image_id,target\n1.png,cat\n2.png,cat\n", b"\xef\xbb\xbf" + SAMPLE]


def _prepare(folder: Path) -> None:
    """A competition whose images are packed once; the tables change."""
    images = {f"{part}/{number}.png": picture(number) for part in ("train", "test") for number in (1, 2, 3, 4)}
    del images["test/3.png"], images["test/4.png"]
    write(folder / "data", images | {"trainLabels.csv": LABELS, "sampleSubmission.csv": SAMPLE})


def _table(name: str, others: dict[str, bytes], work: Path, data: bytes) -> object:
    write(work / "data", {name: data} | others)
    return read_all(work / "data", image_size=4)


def _listed(work: Path, data: bytes) -> object:
    """A CSV of paths beside images in folders."""
    return _table("images.csv", {}, work, data)


def _prepare_listed(folder: Path) -> None:
    write(folder / "data", {f"pictures/{place}/{number}.png": picture(number) for place in "ab" for number in (1, 2)})


def _lists() -> Sequence[bytes]:
    rows = b"pictures/a/1.png,cat\npictures/a/2.png,dog\npictures/b/1.png,cat\npictures/b/2.png,dog\n"
    return [
        b"path,label\n" + rows,
        b"path,label,split\npictures/a/1.png,cat,train\npictures/a/2.png,dog,train\npictures/b/1.png,cat,val\n",
        b"file,class\n" + rows.replace(b"/", b"\\"),
        b"path,label\n../data/pictures/a/1.png,cat\n/pictures/a/2.png,dog\n./pictures/b/1.png,cat\n",
    ]


def _recipes() -> Sequence[bytes]:
    from podium.recipe import load_recipe
    from podium.recipe.shipped import recipe_names, recipe_text

    texts = [recipe_text(name) for name in recipe_names()]
    return [text.encode() for text in (*texts, load_recipe("sprint").to_toml(), load_recipe("gold").to_toml())]


def _recipe(work: Path, data: bytes) -> object:
    from podium.recipe import load_recipe

    path = work / "mine.toml"
    path.write_bytes(data)
    recipe = load_recipe(path)
    again = type(recipe).from_toml(recipe.to_toml(), "again")
    assert again == recipe, "a recipe isn't what it was when written and read again"
    return recipe


def _settings() -> Sequence[bytes]:
    return [
        b"epochs=10",
        b"model=wrn_28_10",
        b"betas=[0.9, 0.99]",
        b"flip = 'random'",
        b"mean=[0.1,0.2,0.3]",
        b"tta=none",
    ]


def _setting(_: Path, data: bytes) -> object:
    from podium.recipe import load_recipe

    return load_recipe("sprint", [data.decode("utf-8", "surrogateescape")])


def _keeping(
    name: str, share: float, seeds: Callable[[], Sequence[bytes]], read: Callable[[Path, bytes], object]
) -> Reader:
    return Reader(name, share, seeds, read, prepare=_prepare, keeps=True)


READERS = (
    _keeping("labels CSV", 8, _labels, partial(_table, "trainLabels.csv", {"sampleSubmission.csv": SAMPLE})),
    _keeping(
        "sample submission CSV", 6, _samples, partial(_table, "sampleSubmission.csv", {"trainLabels.csv": LABELS})
    ),
    Reader("CSV of paths", 6, _lists, _listed, prepare=_prepare_listed, keeps=True),
    Reader("recipe", 8, _recipes, _recipe),
    Reader("--set", 6, _settings, _setting),
)
