"""The quickstart: what is committed is clean and was executed as it stands, and it works with today's code."""

import importlib.util
import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture(scope="module")
def tool():
    """notebooks/execute.py"""
    spec = importlib.util.spec_from_file_location("execute", NOTEBOOKS / "execute.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def committed():
    notebook = nbformat.read(NOTEBOOKS / "quickstart.ipynb", as_version=4)
    nbformat.validate(notebook)
    return notebook


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def text_of(cell):
    """All that a cell's outputs say."""
    return "".join(output.get("text", "") or output.get("data", {}).get("text/plain", "") for output in cell.outputs)


def test_the_outputs_are_of_these_cells_and_none_is_an_error(committed, tool):
    assert committed.metadata["podium"]["cells"] == tool.hash_of(committed), "run: make notebook"
    cells = code_of(committed)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell.outputs if output.output_type == "error"]
    assert all(cell.outputs for cell in cells)


def test_it_names_no_machine_and_asks_no_network(committed):
    text = nbformat.writes(committed)
    assert not re.search(r"/(home|root|tmp|work|Users|mnt)/|[A-Z]:\\", text)
    assert "http" not in "".join(cell.source for cell in code_of(committed))
    assert {output.get("name") for cell in code_of(committed) for output in cell.outputs} <= {None, "stdout"}


def test_it_works(committed, tool, tmp_path):
    again = code_of(tool.executed(committed, tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"runs", "submission.csv", "drawing.png"}
    for before, after in zip(code_of(committed), again, strict=True):
        kinds = [output.output_type for output in after.outputs if output.get("name") != "stderr"]
        assert kinds == [output.output_type for output in before.outputs]
        # figures may be another machine's; what is said about them isn't
        words = [re.findall(r"[a-z]{3,}", text_of(cell)) for cell in (before, after)]
        if "answer." not in before.source:  # which classes come first may differ
            assert words[0] == words[1]
    accuracy = re.search(r"([\d.]+)% of 144 held-out", "".join(map(text_of, again)))
    assert float(accuracy[1]) > 90
