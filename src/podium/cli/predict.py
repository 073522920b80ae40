"""podium predict."""

from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import Json, Threads
from podium.errors import RunError

_NUM_TOP = 5
_BAR_CELLS = 30


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures of any size and format.")],
    run: Annotated[Path | None, typer.Option(metavar="RUN", help="The run whose network is asked.")] = None,
    threads: Threads = None,
    json: Json = False,
) -> None:
    """Name what is in some pictures: the five most probable classes of each."""
    if run is None:
        raise RunError("Which network? Give --run RUN; `podium runs` lists those there are.")

    from podium import api, runtime
    from podium.cli.display import out, print_json
    from podium.world import join

    known = api.open_run(join(), run)
    ready = runtime.prepare(known.recipe.precision, num_threads=threads)
    predictions = api.predict_files(known, images, runtime=ready)
    answers = []
    for path, chances in zip(predictions.ids.tolist(), predictions.probabilities, strict=True):
        best = chances.argsort()[::-1][:_NUM_TOP]
        answers.append({"image": path, "classes": {predictions.classes[k]: round(float(chances[k]), 6) for k in best}})
    if json:
        print_json(answers)
        return
    width = max(map(len, predictions.classes))
    for answer in answers:
        out.print(answer["image"], style="bold", soft_wrap=True)
        for name, chance in answer["classes"].items():
            out.print(f"  {name:<{width}}  {chance:6.1%}  {'█' * round(chance * _BAR_CELLS)}", soft_wrap=True)
