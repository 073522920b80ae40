"""podium serve."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from podium.cli.options import Threads


class Tta(StrEnum):
    """Test-time augmentation of what is served."""

    RECIPE = "recipe"
    NONE = "none"
    MIRROR = "mirror"
    MIRROR_TRANSLATE = "mirror_translate"


def serve(
    run: Annotated[
        Path | None, typer.Argument(metavar="[RUN]", help="The run whose network is asked. (default: builtin:cifar10)")
    ] = None,
    host: Annotated[str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    tta: Annotated[Tta, typer.Option(help="How often each image is looked at; recipe: as predict does.")] = Tta.RECIPE,
    max_mib: Annotated[
        int, typer.Option("--max-mib", metavar="MIB", help="The largest body of a request.", min=1)
    ] = 32,
    max_pixels: Annotated[int, typer.Option(metavar="PIXELS", help="Of an image.", min=1)] = 50_000_000,
    max_images: Annotated[int, typer.Option(metavar="IMAGES", help="Of a request.", min=1)] = 32,
    max_in_flight: Annotated[int, typer.Option(metavar="REQUESTS", help="At once; more get 503.", min=1)] = 128,
    max_batch: Annotated[int, typer.Option(metavar="IMAGES", help="Through the network at once.", min=1)] = 16,
    max_wait: Annotated[float, typer.Option(metavar="MS", help="For more of them, in milliseconds.", min=0)] = 3.0,
    threads: Threads = None,
) -> None:
    """Serve a page to drop pictures on, and a REST API. Ctrl-C stops it."""
    # threads of a network that wait for each other are to sleep: the requests need the cores
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from podium import api, builtin, runtime
    from podium.cli.display import out
    from podium.run import Run

    known = Run.open(run or builtin.DEFAULT)
    api.check_servable()
    from podium.delivery.serve import Batching, Limits

    def say(address: str) -> None:
        out.print(f"{known.label} is served at {address}  (Ctrl-C stops it)", soft_wrap=True, highlight=False)
        if host not in ("127.0.0.1", "localhost", "::1"):
            out.print("Whoever reaches this machine can use it: there is no password.", soft_wrap=True)

    api.serve(
        known,
        host=host,
        port=port,
        tta=tta.value,
        limits=Limits(
            max_bytes=max_mib * 2**20,
            max_pixels=max_pixels,
            max_images=max_images,
            max_in_flight=max_in_flight,
            max_held_bytes=max(max_mib, 256) * 2**20,
        ),
        batching=Batching(max_images=max_batch, max_wait_seconds=max_wait / 1000),
        runtime=runtime.prepare(known.recipe.precision, num_threads=threads, keep_memory=False),
        on_ready=say,
    )
