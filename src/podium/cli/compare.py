"""podium compare."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from podium.cli.options import DATA_HELP, ImageSize, Json, Labels, Threads

if TYPE_CHECKING:
    from podium.api.comparison import Comparison, GroupPair
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
    from rich.table import Table

    from podium.cli.display import out

    table = Table(box=None, pad_edge=False)
    headings = ("", "run", "recipe", "seed", "accuracy", "95 % interval", "images", "cross-entropy", "ECE", "minutes")
    for heading in headings:
        table.add_column(heading, overflow="fold", justify="left" if heading in headings[:3] else "right")
    for run in comparison.runs:
        low, high = run.interval
        minutes = "–" if run.train_minutes is None else f"{run.train_minutes:.1f}"
        row = (run.group, run.path, run.recipe, _written(run.seed), f"{run.accuracy:.2%}", f"{low:.2%} – {high:.2%}")
        table.add_row(*row, f"{run.num_images:,}", f"{run.cross_entropy:.4f}", f"{run.calibration_error:.4f}", minutes)
    out.print(table)
    out.print(f"Measured on: {'; '.join(dict.fromkeys(run.what for run in comparison.runs))}.", soft_wrap=True)
    numbers = [f"{number}" for number in range(1, len(comparison.runs) + 1)]
    if len({run.group for run in comparison.runs}) < len(comparison.runs):
        out.print("Runs of one letter differ in their seeds only.")
    _show_differences("recipe", comparison.recipe, numbers)
    _show_differences("manifest", comparison.manifest, numbers)
    out.print()
    for sentence in verdicts(comparison):
        out.print(sentence, soft_wrap=True)


def _show_differences(what: str, differences: Mapping[str, tuple[Any, ...]], numbers: list[str]) -> None:
    from rich.table import Table

    from podium.cli.display import out

    if not differences:
        out.print(f"\nThe {what}s don't differ.")
        return
    table = Table(box=None, pad_edge=False, title=f"\nwhat differs in the {what}", title_justify="left")
    for heading in ("", *numbers):
        table.add_column(heading, overflow="fold", max_width=40)
    for key, values in differences.items():
        table.add_row(key, *map(_written, values))
    out.print(table)


def _written(value: Any) -> str:
    if value is None:
        return "–"
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


# ---- what it comes to, in words


def verdicts(comparison: "Comparison") -> Iterator[str]:
    """What the tests say, a sentence or two for each: of networks first, then of recipes."""
    pairs = [pair for pair in comparison.run_pairs if pair.test is not None and pair.adjusted_p_value is not None]
    for pair in pairs[:MOST_PAIRS]:
        assert pair.test is not None
        assert pair.adjusted_p_value is not None
        yield _of_networks(pair.first, pair.second, pair.test, pair.adjusted_p_value, len(pairs))
    if len(pairs) > MOST_PAIRS:
        yield f"… and {len(pairs) - MOST_PAIRS:,} pairs more; --json has all of them."
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


def _of_networks(first: str, second: str, test: "McNemar", p_value: float, num_tests: int) -> str:
    head = (
        f"{first} against {second}, the same {test.num_images:,} images: right alone {test.only_first:,} and "
        f"{test.only_second:,} times, McNemar's exact p {_p(test.p_value)}"
    )
    if num_tests > 1:
        head += f", corrected {_p(p_value)} for {num_tests} tests"
    if p_value >= 0.05:
        return f"{head}: no difference between these two networks that chance wouldn't make."
    better = first if test.only_first > test.only_second else second
    return f"{head}: the network {better} is the better one."


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
    head += f" ({100 * low:+.2f} to {100 * high:+.2f}; {how} over seeds, p {_p(test.p_value)}"
    head += f", corrected {_p(p_value)} for {num_tests} tests)" if num_tests > 1 else ")"
    if p_value < 0.05:
        better = pair.first if test.difference > 0 else pair.second
        return f"{head}. That is more than seed noise: {better} is the better recipe here.{tail}"
    if test.num_needed is None:
        more = "even a thousand seeds each would hardly tell so small a difference."
    else:
        more = f"if it is real, {test.num_needed} seeds of each would show it in four of five tries."
    return f"{head}. That may be seed noise; {more}{tail}"


def _p(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"
