"""The house: which room may import which, what is public, and that importing is cheap."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import podium

SOURCE = Path(podium.__file__).parent
ROOMS = [
    "data",
    "augment",
    "models",
    "interop",
    "training",
    "evaluation",
    "tuning",
    "delivery",
    "checkup",
    "api",
    "cli",
]  # from left to right
COMMON = {"builtin", "errors", "files", "limits", "manifest", "recipe", "run", "runtime", "standings", "world"}


def imported_parts(path: Path) -> set[str]:
    """The parts of podium that a file imports, at its top or within a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("podium.")}
    return found


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_room_imports_only_rooms_to_its_left(path):
    part = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    parts = imported_parts(path)
    if part in COMMON:
        assert parts <= COMMON, f"{part} stands below the rooms"
        return
    allowed = {*ROOMS[: ROOMS.index(part) + 1], *COMMON}
    # the package's own names are the API's: only the command line may use them
    allowed |= set(podium.__all__) if part == "cli" else set()
    assert parts <= allowed, f"{path} reaches to its right: {parts - allowed}"


def test_public_names_are_sorted_and_there():
    assert podium.__all__ == sorted(podium.__all__)
    for name in podium.__all__:
        assert getattr(podium, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        podium.nothing  # noqa: B018


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module",
    ["podium", "podium.cli", "podium.recipe", "podium.run", "podium.standings", "podium.data", "podium.checkup"],
)
def test_importing_brings_no_torch(module):
    assert run_python(f"import sys, {module}; print('torch' in sys.modules)") == "False"


def test_importing_brings_no_compiler():
    assert run_python("import sys, podium.api; print('torch._dynamo' in sys.modules)") == "False"
