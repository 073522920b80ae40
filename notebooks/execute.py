"""Executes a notebook with the interpreter that runs this, and writes it back clean: `python notebooks/execute.py`.

Its metadata keep a hash of the cells, so that a notebook whose outputs are of other cells is noticed
(tests/docs/test_notebook.py).
"""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

QUICKSTART = Path(__file__).with_name("quickstart.ipynb")
_KERNEL = "podium-here"


def executed(notebook: nbformat.NotebookNode, folder: Path, *, seconds: int = 600) -> nbformat.NotebookNode:
    """A copy whose cells were run in `folder`, by this interpreter.

    Raises:
        nbclient.exceptions.CellExecutionError: one failed.
    """
    notebook = nbformat.from_dict(json.loads(json.dumps(notebook)))
    with tempfile.TemporaryDirectory() as jupyter:
        spec = Path(jupyter) / "kernels" / _KERNEL
        spec.mkdir(parents=True)
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}", "--log-level=ERROR"]
        (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": _KERNEL, "language": "python"}))
        changed = {"JUPYTER_PATH": jupyter, "IPYTHONDIR": jupyter, "COLUMNS": "100"}
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            place = {"metadata": {"path": str(folder)}}
            limits = {"timeout": seconds, "startup_timeout": seconds}
            NotebookClient(notebook, kernel_name=_KERNEL, resources=place, **limits).execute()
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
    return notebook


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without what belongs to one machine or one sitting: times, versions, the kernel's name; stderr is left out."""
    for number, cell in enumerate(notebook.cells):
        cell.id, cell.metadata = f"cell-{number}", {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for data in (output.data for output in cell.outputs if "image/png" in output.get("data", {})):
                data.pop("image/jpeg", None)  # the same picture
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "podium": {"cells": hash_of(notebook)},
    }
    return notebook


def hash_of(notebook: nbformat.NotebookNode) -> str:
    """Of the kinds and sources of all cells."""
    cells = [[cell.cell_type, cell.source] for cell in notebook.cells]
    return hashlib.sha256(json.dumps(cells).encode()).hexdigest()


def main() -> None:
    """Executes the quickstart and writes it."""
    notebook = nbformat.read(QUICKSTART, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        nbformat.write(clean(executed(notebook, Path(folder))), QUICKSTART)


if __name__ == "__main__":
    main()
