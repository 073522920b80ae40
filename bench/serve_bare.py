"""What `podium serve` is measured beside: the same network in a bare FastAPI handler, an image at a time.

python bench/serve_bare.py RUN PORT async|threads

async: the handler computes in the event loop. threads: FastAPI calls it in one of its threads.
"""

import sys
from pathlib import Path
from typing import Annotated

import torch
import uvicorn
from fastapi import Depends, FastAPI, Request

from podium import runtime
from podium.data.decode import decode
from podium.models import Classifier
from podium.run import Run


def make_app(run: Run, form: str) -> FastAPI:
    app = FastAPI()
    ready = runtime.prepare(run.recipe.precision, keep_memory=False)
    classifier = Classifier.load(run.model_path).to(ready.device)
    classes, size = classifier.preprocessing.classes, classifier.preprocessing.image_size

    def name(body: bytes) -> dict[str, object]:
        pixels = torch.from_numpy(decode(body, "image", size).copy())[None].to(ready.device)
        with torch.inference_mode(), ready.autocast():
            chances = classifier(pixels.permute(0, 3, 1, 2)).softmax(1)[0]
        best = chances.topk(min(5, len(classes)))
        found = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return {"classes": [{"name": classes[k], "probability": round(chance, 6)} for k, chance in found]}

    async def whole(request: Request) -> bytes:
        return await request.body()

    if form == "async":

        @app.post("/predict")
        async def predict(body: Annotated[bytes, Depends(whole)]) -> dict[str, object]:
            return name(body)
    else:

        @app.post("/predict")
        def predict_in_a_thread(body: Annotated[bytes, Depends(whole)]) -> dict[str, object]:
            return name(body)

    return app


def main() -> None:
    app = make_app(Run.open(Path(sys.argv[1])), sys.argv[3])
    uvicorn.run(app, port=int(sys.argv[2]), http="h11", log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
