"""podium recipes, models, runs: what there is to choose from, and what was trained."""

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from podium.cli.options import Json


def recipes(json: Json = False) -> None:
    """List the recipes that ship."""
    from podium.recipe import load_recipe, recipe_names, recipe_text

    rows = []
    for name in recipe_names():
        recipe = load_recipe(name)
        about = recipe_text(name).splitlines()[0].removeprefix("# ").removeprefix(f"{name}: ")
        rows.append({"recipe": name, "model": recipe.model, "epochs": f"{recipe.epochs:g}", "about": about})
    _show(rows, json=json)


def models(json: Json = False) -> None:
    """List the networks."""
    from podium.models import entries

    rows = [
        {
            "model": entry.name,
            "parameters": f"{entry.num_parameters:,}",
            "smallest image": f"{entry.min_size}×{entry.min_size}",
            "source": entry.source,
        }
        for entry in entries()
    ]
    _show(rows, json=json)


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to look.")] = Path("runs"), json: Json = False
) -> None:
    """List the runs in a folder, the most accurate first."""
    from podium.errors import RunError
    from podium.run import Run

    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}, so no runs. `podium train DATA` makes the first.")
    found: list[tuple[float, dict[str, Any]]] = []
    for path in sorted(folder.iterdir()):
        if not (path / "manifest.json").is_file():
            continue
        run = Run.open(path)
        manifest = run.manifest
        row = {"run": str(path), "data": manifest["data"]["name"], "seed": str(manifest["seed"])}
        accuracy = -1.0
        row |= {"hold-out accuracy": "–", "95 % interval": "–", "training": "not finished"}
        if run.is_finished:
            row["training"] = f"{manifest.get('train_seconds', 0) / 60:.1f} min"
        if "hold_out" in manifest:
            accuracy = manifest["hold_out"]["accuracy"]
            low, high = manifest["hold_out"]["interval"]
            row |= {"hold-out accuracy": f"{accuracy:.2%}", "95 % interval": f"{low:.2%} – {high:.2%}"}
        found.append((accuracy, row))
    if not found and not json:
        raise RunError(f"There are no runs in {folder}. `podium train DATA` makes one.")
    _show([row for _, row in sorted(found, key=lambda pair: -pair[0])], json=json)


def _show(rows: list[dict[str, Any]], *, json: bool) -> None:
    from rich.table import Table

    from podium.cli.display import out

    if json:
        typer.echo(jsonlib.dumps(rows, indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row.values())
    out.print(table)
