"""podium recipes, models, runs: what there is to choose from, and what was trained."""

from pathlib import Path
from typing import Annotated, Any

import typer

from podium.cli.options import Json, Threads


def recipes(json: Json = False) -> None:
    """List the recipes that ship."""
    from podium.recipe import load_recipe, recipe_names, recipe_text

    rows = []
    for name in recipe_names():
        recipe = load_recipe(name)
        about = recipe_text(name).splitlines()[0].removeprefix(f"# {name}: ")
        rows.append({"recipe": name, "model": recipe.model, "epochs": recipe.epochs, "about": about})
    _show(rows, {"epochs": "{:g}"}, json=json)


def models(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME...", help="Only these; all if left out.")] = None,
    time: Annotated[bool, typer.Option("--time", help="Measure how many images a second each trains on here.")] = False,
    batch_size: Annotated[int, typer.Option(min=2, help="Images a step while measuring.")] = 128,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """List the networks: forms, parameters, operations an image, sizes; with --time their speed in training."""
    from statistics import median

    from podium import runtime
    from podium.cli.display import bars
    from podium.models import count_operations, entries, entry
    from podium.training.speed import step_speeds

    chosen = [entry(name) for name in names] if names else entries()
    forms = [(model, name, form) for model in chosen for name, form in model.forms.items()]
    rows: list[dict[str, Any]] = []
    ready = runtime.prepare(num_threads=threads)
    with bars() as bar:
        for number, (model, name, form) in enumerate(forms):
            row: dict[str, Any] = {
                "model": model.name,
                "form": name,
                "num_parameters": form.num_parameters,
                "operations": count_operations(model.name, name),
                "image_size": form.image_size,
                "min_size": form.min_size,
            }
            if time:
                bar("Measuring", number, len(forms))
                # large images: about as many pixels
                size = max(min(batch_size, 16), batch_size // (form.image_size // 32) ** 2)
                speeds = step_speeds(model.name, name, ready, batch_size=size)
                row["images_per_second"] = round(median(speeds), 1)
            rows.append(row | {"source": model.source})
    formats = {"num_parameters": "{:,}", "image_size": "{0}×{0}", "min_size": "{0}×{0}"}
    if not json:
        for row in rows:
            row["operations"] = f"{row['operations'] / 1e9:.2f} G"
    _show(rows, formats, json=json)


def runs(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where to look.")] = Path("runs"), json: Json = False
) -> None:
    """List the runs in a folder, the most accurate first."""
    from podium.errors import RunError

    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}, so no runs. `podium train DATA` makes the first.")
    rows = [_row(path) for path in sorted(folder.iterdir()) if (path / "manifest.json").is_file()]
    if not rows and not json:
        raise RunError(f"There are no runs in {folder}. `podium train DATA` makes one.")
    rows.sort(key=lambda row: -(row["accuracy"] or 0))
    formats = {"accuracy": "{:.2%}", "interval": "{0[0]:.2%} – {0[1]:.2%}", "train_minutes": "{:.1f}"}
    _show(rows, formats, json=json)


def _row(path: Path) -> dict[str, Any]:
    from podium.errors import RunError
    from podium.run import Run

    row: dict[str, Any] = {"run": str(path), "state": "damaged", "data": None, "seed": None}
    row |= {"accuracy": None, "interval": None, "train_minutes": None}
    try:
        run = Run.open(path)
    except RunError:
        return row
    row |= {"state": "finished" if run.is_finished else "unfinished", "seed": run.manifest["seed"]}
    if run.is_imported:
        row["state"] = "imported"
    row["data"] = run.manifest["data"]["name"]
    if (seconds := run.manifest.get("train_seconds")) is not None:
        row["train_minutes"] = seconds / 60
    if (figures := run.manifest.get("hold_out")) is not None:
        row["accuracy"], row["interval"] = figures["accuracy"], figures["interval"]
    return row


def _show(rows: list[dict[str, Any]], formats: dict[str, str], *, json: bool) -> None:
    from rich.table import Table

    from podium.cli.display import out, print_json

    if json:
        print_json(rows)
        return
    table = Table(box=None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("–" if value is None else formats.get(key, "{}").format(value) for key, value in row.items()))
    out.print(table)
