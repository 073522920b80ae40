"""What is served: a run's classifier with its engine, limits, card and counts. A request's body in, an answer out."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from starlette.requests import ClientDisconnect, Request

from podium.delivery.serve.body import content_type_of, files_in, read_body
from podium.delivery.serve.card import card_of
from podium.delivery.serve.engine import Answer, Batching, Engine
from podium.delivery.serve.heat import heat_png
from podium.delivery.serve.limits import Admission, Limits, Refusal
from podium.delivery.serve.metrics import Metrics
from podium.delivery.serve.pictures import Picture, read_picture
from podium.delivery.serve.schemas import Serving
from podium.evaluation.judge import Judge
from podium.models import Classifier
from podium.run import Run
from podium.runtime import Runtime

__all__ = ["Service"]

T = TypeVar("T")

_MOST_DECODERS = 4


class Service:
    """A run that answers requests.

    Args:
        run: a finished one.
        classifier: the run's.
        runtime: device, precision and threads.
        tta: "recipe": the run's own test-time augmentation, so that the answer is `podium predict`'s; or its name.
        judge: how the logits are read; None: as they stand.
        limits: what is taken.
        batching: how requests are put together.
    """

    def __init__(
        self,
        run: Run,
        classifier: Classifier,
        runtime: Runtime,
        *,
        tta: str = "recipe",
        judge: Judge | None = None,
        limits: Limits | None = None,
        batching: Batching | None = None,
    ) -> None:
        self.run = run
        self.limits = limits or Limits()
        self._judge = judge or Judge()
        self.admission = Admission(self.limits)
        batching = batching or Batching()
        tta = run.recipe.tta if tta == "recipe" else tta
        self.card = card_of(
            run,
            classifier,
            Serving(
                device=runtime.device.type,
                precision=str(runtime.compute_dtype).removeprefix("torch."),
                num_threads=runtime.num_threads,
                tta=tta,
                max_batch=batching.max_images,
                max_bytes=self.limits.max_bytes,
                max_pixels=self.limits.max_pixels,
                max_images=self.limits.max_images,
                max_in_flight=self.limits.max_in_flight,
            ),
        )
        self.metrics = Metrics(
            {"version": self.card.versions["podium"], "recipe": self.card.recipe, "model": self.card.model},
            lambda: self.admission.in_flight,
        )
        classifier = classifier.to(runtime.device)
        self._preprocessing = classifier.preprocessing
        self._decoders = ThreadPoolExecutor(
            min(_MOST_DECODERS, os.cpu_count() or 1), "podium-decode", torch.set_num_threads, (1,)
        )
        self._engine = Engine(
            classifier,
            runtime,
            tta=tta,
            batching=batching,
            on_batch=self.metrics.batches.add,
        )

    async def warm_up(self) -> None:
        """Sends a picture through, so that the first request isn't the slow one."""
        blank = np.zeros((1, *self._preprocessing.image_size, 3), np.uint8)
        await self._engine.ask(self._decoders, lambda: blank)

    def close(self) -> None:
        """Answers what was asked, then ends the threads."""
        self._engine.close()
        self._decoders.shutdown(cancel_futures=True)

    async def predict(self, request: Request, *, top: int, heat_map: bool, of: str | None) -> dict[str, Any]:
        """What `PredictAnswer` describes, as plain values.

        Args:
            request: its body not read yet.
            top: how many classes of each image.
            heat_map: whether heat maps are wanted.
            of: the class that they are to be of; None: each image's most probable.

        Raises:
            Refusal: as the limits say, and of images that can't be read.
            ClientDisconnect: the client went away.
        """
        with self.admission.request() as held:
            if of is not None and not heat_map:
                raise Refusal(422, "of is the class of a heat map: ask for one with heat_map=true, or leave it out.")
            heat_class = self._class_number(of)
            _, boundary = content_type_of(request)
            body = await read_body(request, self.limits, held)
            pictures: list[Picture] = []

            def read() -> npt.NDArray[np.uint8]:
                pictures.extend(self._read(body, boundary))
                return np.stack([picture.pixels for picture in pictures])

            asked = self._engine.ask(self._decoders, read, heat=heat_map, heat_class=heat_class)
            answer = await _unless_gone(request, asked)
            if heat_map:  # to draw some takes longer than others should wait
                loop = asyncio.get_running_loop()
                found = await loop.run_in_executor(self._decoders, self._described, pictures, answer, top)
            else:
                found = self._described(pictures, answer, top)
        self.metrics.images += len(pictures)
        return {"images": found}

    def _read(self, body: bytes, boundary: bytes | None) -> list[Picture]:
        """In a thread of its own: a form and its images."""
        uploads = files_in(body, boundary, self.limits)
        found = []
        for number, upload in enumerate(uploads, 1):
            where = upload.name or ("The file" if boundary is None else f"File {number}")
            found.append(read_picture(upload, where, self._preprocessing, self.limits))
        return found

    def _described(self, pictures: Sequence[Picture], answer: Answer, top: int) -> list[dict[str, Any]]:
        classes = self._preprocessing.classes
        chances, known = self._judge.probabilities(answer.logits), self._judge.known(answer.logits)
        best = np.argsort(-chances, axis=1, kind="stable")[:, :top].tolist()
        found = []
        for place, picture in enumerate(pictures):
            heat = None
            if answer.heats is not None and answer.heat_classes is not None:
                of = classes[answer.heat_classes[place]]
                heat = {"of": of, "png": heat_png(answer.heats[place]), "part": picture.part}
            named = [{"name": classes[k], "probability": round(float(chances[place, k]), 6)} for k in best[place]]
            unknown = None if known is None else not known[place]
            found.append({"name": picture.name, "classes": named, "unknown": unknown, "heat_map": heat})
        return found

    def _class_number(self, name: str | None) -> int | None:
        if name is None:
            return None
        if name not in self._preprocessing.classes:
            raise Refusal(422, f"of={name[:100]!r}: there is no such class. GET /model lists them.")
        return self._preprocessing.classes.index(name)


async def _unless_gone(request: Request, asked: asyncio.Future[T]) -> T:
    """What was asked; it is given up when the client goes away. Raises ClientDisconnect then."""
    gone = asyncio.create_task(_wait_until_gone(request))
    gone.add_done_callback(lambda _: asked.cancel())
    try:
        return await asked
    except asyncio.CancelledError:
        if gone.done() and not gone.cancelled():
            raise ClientDisconnect from None
        raise
    finally:
        gone.cancel()


async def _wait_until_gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
