"""podium reproduce."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from podium.cli.options import DATA_HELP, Json, RunFolder, Threads

if TYPE_CHECKING:
    from podium.api import Reproduction


def reproduce(
    run: RunFolder,
    data: Annotated[
        str | None,
        typer.Option(metavar="DATA", help=f"What it was trained on, if that lies elsewhere now. {DATA_HELP}"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The new run's folder. (default: runs/<time>-<recipe>)")
    ] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Train a run again from its manifest, and say whether the same came of it.

    Exit status 0 if the weights are identical, or the hold-out shows no more than noise between the two; 2 if not.
    """
    from podium import api
    from podium.cli.display import StopSignal, TrainingDisplay, bars, note, print_json
    from podium.cli.display import out as console
    from podium.run import Run

    api.check_alone("reproduce")
    known = Run.open(run)
    with bars() as bar:
        dataset = api.open_for(known, data, progress=bar)
        dataset.train  # noqa: B018  # read now, under the bar
    begun: list[Run] = []
    with StopSignal() as stop, TrainingDisplay() as display, bars() as bar:
        found = api.reproduce(
            known,
            dataset,
            out=out,
            runtime=api.runtime_of(known, threads),
            on_begin=begun.append,
            on_progress=display,
            on_batch=lambda done, total: bar("Measuring on the hold-out", done, total),
            should_stop=stop,
            on_note=note,
        )
    if found is None:
        console.print(
            f"Stopped. Go on with: podium train --resume {shlex.quote(str(begun[0].path))}\n"
            f"Then compare: podium compare {shlex.quote(str(run))} {shlex.quote(str(begun[0].path))}",
            soft_wrap=True,
        )
        raise typer.Exit(130)
    if json:
        print_json(found.to_dict())
    else:
        _say(found)
    raise typer.Exit(2 if found.verdict == "different" else 0)


def _say(found: "Reproduction") -> None:
    from podium.cli.display import out

    words = {
        "identical": "Identical: all weights are the same bits.",
        "within noise": "Not the same bits, but no more apart than two networks that are equally good.",
        "different": "Different: the two aren't equally good.",
        "unknown": "Not the same bits, and without a hold-out there is nothing to compare by.",
    }
    out.print(words[found.verdict], style="bold", soft_wrap=True)
    if found.accuracies is not None and found.test is not None and found.verdict != "identical":
        before, now = found.accuracies
        out.print(
            f"On the hold-out {before:.2%} then and {now:.2%} now; {found.same_answers:.1%} of the answers are the "
            f"same (McNemar's p = {found.test.p_value:.2g}, n = {found.test.num_images:,}).",
            soft_wrap=True,
        )
    if found.differences:
        out.print(f"Not as it was: {', '.join(found.differences)}.", soft_wrap=True)
    elif found.verdict != "identical":
        out.print("Machine and versions are as they were.", soft_wrap=True)
    out.print(f"→ {found.run.path}", soft_wrap=True)
