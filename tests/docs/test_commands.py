"""Each `podium …` in the documents is one that the command line takes: verb, options, values, recipes, their keys."""

import re

import pytest
import shell
from shell import UsageError

from podium.errors import PodiumError

FOUND = [
    (path.relative_to(shell.ROOT).as_posix(), words)
    for path in shell.documents()
    for block in shell.blocks(path)
    if block.language in ("sh", "console", "bash", "")
    for line in shell.commands(block)
    if (words := shell.podium_words(line)) is not None
]
INLINE = [
    (path.relative_to(shell.ROOT).as_posix(), words)
    for path in shell.documents()
    for span in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", path.read_text(encoding="utf-8"))
    if (words := shell.podium_words(span)) is not None
]


def faults(found, *, may_lack_arguments=False):
    """What the command line says against some of the commands."""
    said = []
    for document, words in found:
        try:
            shell.check(words)
        except (UsageError, PodiumError) as error:
            if not (may_lack_arguments and type(error).__name__ == "MissingParameter"):
                said.append(f"{document}: podium {' '.join(words)}: {error}")
    return said


def test_the_command_line_takes_what_stands_in_code_blocks():
    assert faults(FOUND) == []


def test_and_what_stands_in_sentences():
    assert faults(INLINE, may_lack_arguments=True) == []


def test_nothing_is_missed():
    found = [document for document, _ in FOUND]
    assert found.count("README.md") > 0
    assert [document for document, _ in INLINE].count("README.md") > 15
    for name in ("DATA", "DISTRIBUTED", "DOWNLOAD", "EXPORT", "MODELS", "PREDICT", "REPORT", "RUNS", "SERVE"):
        assert f"docs/{name}.md" in found
    assert len(INLINE) > 20


@pytest.mark.parametrize(
    "line",
    [
        "podium trian digits",
        "podium train digits --epochs 3",
        "podium train digits --recipe sprnt",
        "podium train digits --set epoch=3",
        "podium train digits --set epochs=many",
        "podium train digits --seed none",
        "podium export runs/a -o a.onnx --format tflite",
        "podium evaluate",
        "podium submit runs/a --kaggle",
        "torchrun --standalone -m podium train digits --reciep sprint",
    ],
)
def test_what_it_does_not_take_is_noticed(line):
    with pytest.raises((UsageError, PodiumError)):
        shell.check(shell.podium_words(line))
