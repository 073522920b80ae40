"""podium demo."""

import shlex
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where run and submission go; a new folder.")] = Path("demo"),
) -> None:
    """Walk the whole path on embedded digits, without a network: look, train, evaluate, submit, and score it."""
    from podium import api
    from podium import data as room
    from podium.cli import data as data_verb
    from podium.cli import evaluate as evaluate_verb
    from podium.cli import submit as submit_verb
    from podium.cli import train as train_verb
    from podium.cli.display import out as console
    from podium.data.sources import digits
    from podium.files import storage_errors
    from podium.run import Run

    Run.check_new(out)
    run, submission, sheet = out / "run", out / "submission.csv", out / "digits.png"
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)

    def say(command: str) -> None:
        console.print(f"\n$ podium {command}", style="bold", soft_wrap=True)

    folder = shlex.quote(str(run))
    say(f"data digits --contact-sheet {shlex.quote(str(sheet))}")
    data_verb.data("digits", contact_sheet=sheet)
    say(f"train digits --set epochs=4 --out {folder}")
    train_verb.train("digits", setting=["epochs=4"], out=run)
    say(f"evaluate {folder}")
    evaluate_verb.evaluate(run)
    say(f"submit {folder} --data digits -o {shlex.quote(str(submission))}")
    submit_verb.submit([run], data="digits", out=submission)

    right = digits.solution()
    test = room.open("digits").test
    assert test is not None
    predictions = api.predict(run, test)
    names = [predictions.classes[guess] for guess in predictions.guesses]
    num_hits = sum(right[image] == name for image, name in zip(predictions.ids.tolist(), names, strict=True))
    console.print(
        f"\nThe answers to the {len(right):,} test digits are embedded too: {num_hits / len(right):.2%} of the "
        f"submission is right.\nYour competition next: podium train FOLDER",
        soft_wrap=True,
    )
