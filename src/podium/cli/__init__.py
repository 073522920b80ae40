"""The command line: one file a verb; a verb imports what is heavy when it runs, so that help comes at once."""

import sys
import warnings

import typer

from podium.cli import (
    clock,  # noqa: F401  # it starts
    compare,
    data,
    demo,
    doctor,
    download,
    evaluate,
    export,
    import_gluon,
    listings,
    predict,
    report,
    reproduce,
    serve,
    shard,
    submit,
    train,
    tune,
    verify,
)
from podium.errors import PodiumError, WorldError
from podium.world.launch import is_first

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="From a Kaggle image competition's raw files to a leaderboard submission.",
    epilog="`podium VERB --help` says more. DATA is a data set's folder or file, as it is, or the word digits.",
)
app.command()(demo.demo)
app.command()(download.download)
app.command()(data.data)
app.command()(shard.shard)
app.command()(train.train)
app.command()(tune.tune)
app.command()(evaluate.evaluate)
app.command()(submit.submit)
app.command()(predict.predict)
app.command()(report.report)
app.command()(serve.serve)
app.command()(compare.compare)
app.command()(reproduce.reproduce)
app.command()(verify.verify)
app.command()(export.export)
app.command()(import_gluon.import_gluon)
app.command()(listings.recipes)
app.command()(listings.models)
app.command()(listings.runs)
app.command()(doctor.doctor)


# A wrong option or argument: typer exports one kind of it only.
_UsageError: type[Exception] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "UsageError")


def main() -> None:
    """Runs the command; what the user can mend is said in a line or two on stderr, with exit status 2.

    Of several processes the first says it, unless what is wrong is between them.
    """
    warnings.filterwarnings("ignore", module="PIL")  # of damaged images, which get an error of their own
    try:
        status = app(standalone_mode=is_first())  # else typer says nothing, and raises what it would say
        sys.exit(status if isinstance(status, int) else 0)
    except _UsageError:
        sys.exit(2)
    except PodiumError as error:
        if is_first() or isinstance(error, WorldError):
            print(f"podium: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)
