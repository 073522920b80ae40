"""podium compare."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from podium.cli.options import DATA_HELP, ImageSize, Json, Labels, Threads

if TYPE_CHECKING:
    from podium.api.compared import Comparison, GroupPair
    from podium.evaluation.comparison import McNemar

MOST_PAIRS = 15


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders that train made, two or more.")],
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help=f"To measure all on; their hold-outs, if left out. {DATA_HELP}"),
    ] = None,
    image_size: ImageSize = None,
    labels: Labels = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Put runs side by side: what differs, and whether one is better by more than chance or seed."""
    from podium import api, runtime
    from podium.cli.display import bars, print_json
    from podium.run import Run

    known = [Run.open(run) for run in runs]
    with bars() as bar:
        dataset = None
        if data is not None:
            dataset = api.open_for(known[0], data, image_size=image_size, labels=labels, progress=bar)
        comparison = api.compare(
            known,
            dataset,
            runtime=runtime.prepare(known[0].recipe.precision, num_threads=threads),
            on_batch=lambda done, total: bar("Predicting", done, total),
        )
    if json:
        print_json(comparison.to_dict() | {"verdicts": list(verdicts(comparison))})
    else:
        _show(comparison)


def _show(comparison: "Comparison") -> None:
    from podium.cli.display import out

    numbers = {run.path: str(number) for number, run in enumerate(comparison.runs, 1)}
    columns = [
        "",
        "",
        "run",
        "recipe",
        "seed",
        "accuracy",
        "95 % interval",
        "images",
        "cross-entropy",
        "ECE",
        "minutes",
    ]
    rows = []
    for run in comparison.runs:
        low, high = run.interval
        minutes = "–" if run.train_minutes is None else f"{run.train_minutes:.1f}"
        row = [numbers[run.path], run.group, run.path, run.recipe, _written(run.seed), f"{run.accuracy:.2%}"]
        row += [f"{low:.2%} – {high:.2%}", f"{run.num_images:,}", f"{run.cross_entropy:.4f}"]
        rows.append([*row, f"{run.calibration_error:.4f}", minutes])
    _print_table(columns, rows, num_left=4)
    out.print(f"Measured on: {'; '.join(dict.fromkeys(run.what for run in comparison.runs))}.", soft_wrap=True)
    if len({run.group for run in comparison.runs}) < len(comparison.runs):
        out.print("Runs of one letter differ in their seeds only.")
    for what, differences in (("recipe", comparison.recipe), ("manifest", comparison.manifest)):
        if differences:
            out.print(f"\nWhat differs in the {what}:")
            rows = [[key, *map(_written, values)] for key, values in differences.items()]
            _print_table(["", *numbers.values()], rows, num_left=len(numbers) + 1)
        else:
            out.print(f"\nThe {what}s don't differ.")
    _show_pairs(comparison, numbers)
    out.print()
    for sentence in verdicts(comparison):
        out.print(sentence, soft_wrap=True)


def _show_pairs(comparison: "Comparison", numbers: Mapping[str, str]) -> None:
    """McNemar's tests, those of different recipes first; a single one is said in words."""
    from podium.cli.display import out

    pairs = [pair for pair in comparison.run_pairs if pair.test is not None]
    if len(pairs) < 2:
        return
    letters = {run.path: run.group for run in comparison.runs}
    pairs.sort(key=lambda pair: letters[pair.first] == letters[pair.second])
    rows = []
    for pair in pairs[:MOST_PAIRS]:
        assert pair.test is not None
        assert pair.adjusted_p_value is not None
        names = [f"{letters[path]} {numbers[path]}" for path in (pair.first, pair.second)]
        counts = [f"{count:,}" for count in (pair.test.only_first, pair.test.only_second, pair.test.num_images)]
        rows.append([*names, *counts, _p(pair.test.p_value), _p(pair.adjusted_p_value)])
    out.print("\nNetwork against network on the same images, McNemar's exact test:")
    columns = ["", "", "only the first right", "only the second", "images", "p", f"p, as one of {len(pairs):,} tests"]
    _print_table(columns, rows, num_left=2)
    if len(pairs) > MOST_PAIRS:
        out.print(f"… and {len(pairs) - MOST_PAIRS:,} pairs more; --json has all of them.")


def _print_table(columns: list[str], rows: list[list[str]], *, num_left: int) -> None:
    """A table whose first `num_left` columns are text."""
    from rich.table import Table

    from podium.cli.display import out

    table = Table(box=None, pad_edge=False)
    for place, heading in enumerate(columns):
        table.add_column(heading, overflow="fold", justify="left" if place < num_left else "right", max_width=60)
    for row in rows:
        table.add_row(*row)
    out.print(table)


def _written(value: Any) -> str:
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


# ---- what it comes to, in words


def verdicts(comparison: "Comparison") -> Iterator[str]:
    """What the tests say, a sentence or two for each: of networks first, then of recipes."""
    pairs = [pair for pair in comparison.run_pairs if pair.test is not None]
    if len(pairs) == 1 and pairs[0].test is not None:
        yield _of_networks(pairs[0].first, pairs[0].second, pairs[0].test)
    if len(pairs) < len(comparison.run_pairs):
        yield "Runs without images in common can't be compared image by image; with --data DATA they can."
    for group in comparison.groups:
        spread = group.spread
        if spread.deviation is not None:
            yield (
                f"Recipe {group.letter} over {spread.num_runs} seeds: {spread.mean:.2%} on average, standard deviation "
                f"{100 * spread.deviation:.2f} points, {spread.lowest:.2%} to {spread.highest:.2%}."
            )
    for group_pair in comparison.group_pairs:
        yield _of_recipes(group_pair, len(comparison.group_pairs))


def _of_networks(first: str, second: str, test: "McNemar") -> str:
    head = (
        f"Of the same {test.num_images:,} images, {first} alone gets {test.only_first:,} right, {second} alone "
        f"{test.only_second:,}: McNemar's exact p {_equals(test.p_value)}"
    )
    if test.p_value >= 0.05:
        return f"{head}, so chance may have made the difference between these two networks."
    better = first if test.only_first > test.only_second else second
    return f"{head}, so the network {better} is the better one."


def _of_recipes(pair: "GroupPair", num_tests: int) -> str:
    test, p_value = pair.test, pair.adjusted_p_value
    head = f"Recipe {pair.first} against {pair.second}: {100 * test.difference:+.2f} points"
    tail = ""
    if pair.images_interval is not None:
        low, high = pair.images_interval
        tail = f" With other images and these networks it would lie between {100 * low:+.2f} and {100 * high:+.2f}."
    if not pair.is_same_images:
        tail += " They weren't measured on the same images, so a part of it is that of the images."
    if test.p_value is None or p_value is None:
        return (
            f"{head}. Whether that is more than seed noise can't be said from these runs: train each recipe with three "
            f"seeds or more (--seed 1, --seed 2, …).{tail}"
        )
    assert test.interval is not None
    low, high = test.interval
    how = "Welch's t-test" if test.method == "welch" else "t-test, the single run taken to vary as the others do"
    head += f" ({100 * low:+.2f} to {100 * high:+.2f}; {how} over seeds, p {_equals(test.p_value)}"
    head += f", corrected {_equals(p_value)} for {num_tests} tests)" if num_tests > 1 else ")"
    if p_value < 0.05:
        better = pair.first if test.difference > 0 else pair.second
        return f"{head}. That is more than seed noise: {better} is the better recipe here.{tail}"
    if test.num_needed is None:
        more = "even a thousand seeds each would hardly tell so small a difference."
    else:
        more = f"if it is real, {test.num_needed} seeds of each would show it in four of five tries."
    return f"{head}. That may be seed noise; {more}{tail}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"{value:.2g}"


def _equals(value: float) -> str:
    return _p(value) if value < 0.0001 else f"= {_p(value)}"
