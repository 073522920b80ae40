"""The folders of a tree of images: which are parts of a data set, which are classes, and which mean nothing."""

from __future__ import annotations

from collections.abc import Sequence

from podium.data.sources.top import role_of
from podium.data.store import Pack
from podium.errors import DataError

__all__ = ["classes_of", "cut", "parts_of", "two_parts", "wrapper_of"]


def parts_of(names: Sequence[str], label: str) -> dict[str, str]:
    """Which part of a tree is which: for "train", "val" and "test" the folder, with "/"; "" is the top.

    Args:
        names: of all images.
        label: what messages call the tree.

    Raises:
        DataError: two folders are one part, there is none to train on, or there are no classes to tell apart.
    """
    folders = {name.rpartition("/")[0] for name in names}
    prefix = wrapper_of(names)
    inner = {folder[len(prefix) :] for folder in folders}
    tops = {folder.partition("/")[0] for folder in inner if folder}
    parts: dict[str, str] = {}
    for top in sorted(tops):
        if role := role_of(top):
            if role in parts:
                raise two_parts(label, role, parts[role], f"{prefix}{top}/")
            parts[role] = f"{prefix}{top}/"
    has_classes = "train" in parts and parts["train"][len(prefix) : -1] not in inner
    if has_classes:
        return parts
    if parts.keys() == {"train"} and len(tops) > 1:
        parts = {}  # those who have images of trains may call a class so
    if "train" in parts:
        example = min(name for name in names if name.rpartition("/")[0] == parts["train"][:-1])
        raise DataError(
            f"{label}: {parts['train']} is there, but some of its images lie in no folder of a class, for instance "
            f"{example}.\nEach class should have a folder; or give a CSV of paths and labels beside the images."
        )
    if parts:
        raise DataError(
            f"{label}: has {' and '.join(sorted(parts.values()))} but no train/. Put the folders of the classes into "
            "one; or give a part's folder to use it alone."
        )
    if "" in inner:
        example = min(name for name in names if name.rpartition("/")[0] == prefix.rstrip("/"))
        raise DataError(
            f"{label}: some images lie in no folder of a class, for instance {example}.\n"
            "Each class should have a folder; or give a CSV of paths and labels beside the images."
        )
    if len(tops) < 2:
        raise DataError(
            f"{label}: all images lie in the one folder {prefix}{next(iter(tops))}, so there are no classes to tell "
            "apart.\nEach class should have a folder; or give a CSV of paths and labels beside the images."
        )
    return {"train": prefix}


def two_parts(label: str, role: str, first: str, second: str) -> DataError:
    """The error for two folders that are one part."""
    return DataError(f"{label}: {first} and {second} are both the part {role}. Rename one of them.")


def wrapper_of(names: Sequence[str], role: str | None = None) -> str:
    """The folder that all images lie in and that means nothing, with "/"; "" if there is none.

    A folder that names a part means something, unless it is that of `role`, whose tree this is.
    """
    prefix, inner = "", {name.rpartition("/")[0] for name in names}
    while len(tops := {folder.partition("/")[0] for folder in inner}) == 1 and "" not in inner:
        (top,) = tops
        named = role_of(top)
        if (named is not None and named != role) or (named is None and top in inner):
            break
        prefix += f"{top}/"
        inner = {folder[len(top) + 1 :] for folder in inner}
    return prefix


def classes_of(ids: Sequence[str]) -> list[str]:
    """The first folder of each path; "" if it has none."""
    return [image_id[: max(0, image_id.find("/"))] for image_id in ids]


def cut(pack: Pack, folder: str) -> Pack:
    """The images of a folder. Their rows are one stretch, since natural order keeps what begins alike together."""
    if not folder:
        return pack
    inside = [name.startswith(folder) for name in pack.ids]
    rows = slice(inside.index(True), len(inside) - inside[::-1].index(True))
    assert all(inside[rows]), folder
    return pack.part(rows, [name[len(folder) :] for name in pack.ids[rows]])
