"""podium predict."""

import csv
import glob
import json as json_module
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from podium.cli.options import Threads
from podium.errors import DataError, StorageError

if TYPE_CHECKING:
    from podium.api import Answer
    from podium.api.pictures import Picture

_BAR_CELLS = 30
_SUFFIXES = {".bmp", ".dib", ".gif", ".jfif", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_STDIN = "-"

Show = Callable[["Answer"], None]


def predict(
    images: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE...", help="Pictures of any size and format, folders of them, patterns, or - for stdin."
        ),
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN", help="The run whose network is asked. (default: builtin:cifar10, which ships with podium)"
        ),
    ] = None,
    files_from: Annotated[
        str | None, typer.Option(metavar="FILE", help="A list of paths, one a line; - for stdin.")
    ] = None,
    top: Annotated[int, typer.Option(metavar="K", min=1, help="How many classes of each picture.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document, an item a picture.")] = False,
    table: Annotated[
        str | None,
        typer.Option("--csv", metavar="FILE", help="Write image,label,probability,score,known; - prints it."),
    ] = None,
    threads: Threads = None,
) -> None:
    """Name what is in pictures: the most probable classes of each, and whether it looks like any of them.

    However many there are, they are answered one after the other. One that can't be read is named on stderr, and the
    exit status is 2 then.
    """
    if json and table is not None:
        raise DataError("--json and --csv can't both be: choose one.")
    if not images and files_from is None:
        raise DataError("Predict what? Give pictures, a folder of them, or --files-from a list.")

    from podium import api, builtin, runtime
    from podium.cli.display import bars
    from podium.world import join

    world = join()
    known = api.open_run(world, run or builtin.DEFAULT)
    pictures = list(_listed(images or [], files_from))
    if not pictures:
        raise DataError(f"There is no picture in {', '.join(images or [str(files_from)])}.")
    ready = runtime.prepare(known.recipe.precision, num_threads=threads)
    num_bad = 0
    with ExitStack() as stack:
        bar = stack.enter_context(bars())
        show = _shown_as(stack, top, table, json=json)
        answers = api.predict_each(
            known, pictures, runtime=ready, on_answered=lambda done: bar("Predicting", done, len(pictures))
        )
        for answer in answers:
            if answer.error is not None:
                num_bad += 1
                if world.is_first:
                    print(f"podium: {answer.error}", file=sys.stderr)  # noqa: T201
            show(answer)
    if num_bad:
        raise typer.Exit(2)


def _listed(given: list[str], files_from: str | None) -> "Iterator[Picture]":
    """Files, those in folders and of patterns, and what stdin holds, in the order in which they are named."""
    if files_from is not None:
        try:
            lines = sys.stdin if files_from == _STDIN else Path(files_from).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{files_from} can't be read as a list of paths: {error}.") from error
        yield from (line.rstrip("\r\n") for line in lines if line.strip())
    for name in given:
        if name == _STDIN:
            yield "stdin", sys.stdin.buffer.read()
        elif Path(name).is_dir():
            yield from _within(name)
        elif not Path(name).exists() and glob.has_magic(name):
            yield from sorted(path for path in glob.iglob(name, recursive=True) if Path(path).is_file())  # noqa: PTH207  # absolute ones too
        else:
            yield name


def _within(folder: str) -> Iterator[str]:
    """The pictures in a folder and its folders, told by their suffixes, in the order of their names."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            if Path(name).suffix.lower() in _SUFFIXES and not name.startswith("."):
                yield str(Path(place) / name)


def _shown_as(stack: ExitStack, top: int, table: str | None, *, json: bool) -> Show:
    """What is done with each answer."""
    from podium.world.launch import is_first

    if not is_first():  # of several processes one speaks
        return lambda answer: None
    if json:
        return _as_json(stack, top)
    if table is not None:
        return _as_csv(stack, table)
    return _as_bars(top)


def _as_json(stack: ExitStack, top: int) -> Show:
    """Items of one document, each written when it is known."""
    begun = False

    def show(answer: "Answer") -> None:
        nonlocal begun
        item: dict[str, object] = {"image": answer.name}
        if answer.error is not None:
            item["error"] = answer.error
        else:
            item["classes"] = {name: round(chance, 6) for name, chance in answer.best(top)}
            item |= {"score": round(answer.score or 0.0, 4), "known": answer.is_known}
        sys.stdout.write((",\n " if begun else "[\n ") + json_module.dumps(item, ensure_ascii=False))
        begun = True

    stack.callback(lambda: sys.stdout.write("\n]\n" if begun else "[]\n"))
    return show


def _as_csv(stack: ExitStack, table: str) -> Show:
    """Rows of a table: the file has its name only when it is whole."""
    if table == _STDIN:
        return _rows(sys.stdout)
    path = Path(table)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        file = beside.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror}. Choose another place.") from error

    def finish(kind: type[BaseException] | None, *_: object) -> None:
        file.close()
        if kind is None:
            beside.replace(path)
        else:
            beside.unlink(missing_ok=True)

    stack.push(finish)
    return _rows(file)


def _rows(file: IO[str]) -> Show:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(["image", "label", "probability", "score", "known"])

    def show(answer: "Answer") -> None:
        if answer.error is None:
            ((name, chance),) = answer.best(1)
            known = "" if answer.is_known is None else str(answer.is_known).lower()
            writer.writerow([answer.name, name, f"{chance:.6f}", f"{answer.score:.4f}", known])

    return show


def _as_bars(top: int) -> Show:
    """Bars, for people."""
    from podium.cli.display import out

    def show(answer: "Answer") -> None:
        if answer.error is not None:
            return
        out.print(answer.name, style="bold", soft_wrap=True)
        if answer.is_known is False:
            out.print(f"  looks like none of the {len(answer.classes)} classes; the nearest are", soft_wrap=True)
        best = answer.best(top)
        width = max(len(name) for name, _ in best)
        for name, chance in best:
            bar = "█" * round(chance * _BAR_CELLS)
            out.print(f"  {name:<{width}}  {chance:6.1%}  {bar}", style="dim" if answer.is_known is False else None)

    return show
