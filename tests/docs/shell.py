"""Commands in documents: found in code blocks, split into words, and held against the real command line."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import typer

from podium.cli import app
from podium.recipe import default_recipe, load_recipe

__all__ = ["ROOT", "Block", "UsageError", "blocks", "check", "commands", "documents", "podium_words"]

ROOT = Path(__file__).parents[2]
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
_INDENTED = re.compile(r"(?:(?<=\n\n)|^)((?: {4,}\S.*\n+)+)", re.M)
UsageError = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")
_APP = typer.main.get_command(app)


@dataclass(frozen=True)
class Block:
    """A code block: what language it says it is ("" for one that is only indented), and its text."""

    language: str
    text: str


def documents() -> list[Path]:
    """README and all of docs, but for the log, which tells of times past."""
    return [ROOT / "README.md", *sorted(path for path in (ROOT / "docs").rglob("*.md") if path.name != "LOG.md")]


def blocks(path: Path) -> list[Block]:
    """All code blocks in their order; indented ones after the fenced ones."""
    text = path.read_text(encoding="utf-8")
    fenced = [Block(language, body) for language, body in _FENCED.findall(text)]
    rest = _FENCED.sub("", text)
    return fenced + [Block("", re.sub(r"^ {4}", "", body, flags=re.M)) for body in _INDENTED.findall(rest)]


def commands(block: Block) -> list[str]:
    """The lines that a shell would run: whole, without prompts, comments and a console's output."""
    lines = re.sub(r" *\\\n *", " ", block.text).splitlines()
    if block.language == "console":
        lines = [line[2:] for line in lines if line.startswith("$ ")]
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def podium_words(line: str) -> list[str] | None:
    """What podium is called with in a line, `torchrun … -m podium` and pipes too; None if it isn't called.

    Of a synopsis, `[--out DIR]`, `[A|B]` and a single capital are taken as given; what follows an arrow, or a gap,
    explains it.
    """
    line = re.sub(r"\s+→ .*|\s{2,}(?![-\[]).*", "", line)
    found = re.search(r"(?:^|\| |-m )(podium [a-z].*)", line)
    if found is None:
        return None
    words = shlex.split(found[1], comments=True)[1:]
    if "|" in words:  # into another command
        words = words[: words.index("|")]
    return [_given(word) for word in words]


def _given(word: str) -> str:
    """What a word of a synopsis could stand for."""
    if word[:1] == "[" or (word[-1:] == "]" and "[" not in word):
        return word.strip("[]").partition("|")[0]
    return "1" if re.fullmatch("[A-Z]", word) else word


def check(words: list[str]) -> None:
    """Raises UsageError or PodiumError unless verb, options and their values are such as the command line takes.

    Recipes and their keys are looked up, too. Nothing is run, and whether files are there isn't asked.
    """
    with typer.Context(_APP, info_name="podium") as context:
        verb, command, rest = _APP.resolve_command(context, list(words))
        if "--help" in rest or "-h" in rest:
            return
        given = command.make_context(verb, rest, parent=context).params
    if verb == "train":
        name, settings = given["recipe"], given["setting"] or []
        if name is None or name == "…" or name.endswith(".toml"):
            default_recipe(20_000, 32, settings)
        else:
            load_recipe(name, settings)
