"""serve: a run becomes a page to use and a REST API."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from podium.api.common import classifier_of, opened
from podium.api.pictures import judge_of
from podium.builtin import DEFAULT
from podium.errors import RecipeError, ServeError
from podium.evaluation.tta import NUM_VIEWS
from podium.run import Run
from podium.runtime import Runtime, prepare
from podium.world import ALONE

if TYPE_CHECKING:
    from podium.delivery.serve import Batching, Limits

__all__ = ["check_servable", "serve"]

_PACKAGES = ("fastapi", "uvicorn", "python_multipart")


def serve(
    run: Run | str | Path | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    tta: str = "recipe",
    limits: Limits | None = None,
    batching: Batching | None = None,
    runtime: Runtime | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serves a page and a REST API until SIGTERM or Ctrl-C; what has begun by then is finished.

    Args:
        run: a finished run; None: the weights that ship, `builtin:cifar10`.
        host: where to listen. Others than 127.0.0.1 let other machines in, and there is no password.
        port: 0 takes a free one.
        tta: test-time augmentation. "recipe": all views of the run's own, so that answers are `predict`'s; "none",
            "mirror" or "mirror_translate".
        limits: what is taken; None: the defaults of `podium.delivery.serve.Limits`.
        batching: how requests are put together; None: the defaults.
        runtime: device and precision; None: the best there is, as the recipe says.
        on_ready: called with the address when requests are taken.

    Raises:
        RecipeError: there is no such test-time augmentation.
        RunError: the run isn't finished, or is damaged.
        ServeError: packages are missing, or it can't listen there.
    """
    check_servable()
    if tta not in ("recipe", *NUM_VIEWS):
        raise RecipeError(f"tta = {tta!r} can't be: it takes recipe, {', '.join(NUM_VIEWS)}.")
    from podium.delivery.serve import Service, open_socket, run_server  # noqa: PLC0415  # of an extra

    run = opened(DEFAULT if run is None else run, ALONE)
    classifier = classifier_of(run, ALONE)
    with open_socket(host, port) as listener:
        runtime = runtime or prepare(run.recipe.precision, keep_memory=False)
        service = Service(run, classifier, runtime, tta=tta, judge=judge_of(run), limits=limits, batching=batching)
        run_server(service, listener, on_ready)


def check_servable() -> None:
    """Raises ServeError if the packages of the extra `serve` are missing."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ServeError(
            f"Serving needs packages that aren't here: {', '.join(missing)}.\n"
            "Install them with: pip install 'podium-vision[serve]'."
        )
