"""What the server says, as JSON: the models that its OpenAPI schema is made of."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from podium.delivery.serve.body import IMAGE_TYPES, MULTIPART

__all__ = [
    "BODY",
    "PROBLEMS",
    "Accuracy",
    "Card",
    "ClassChance",
    "Health",
    "HeatMap",
    "ImageAnswer",
    "PredictAnswer",
    "Problem",
    "Serving",
    "Trained",
]


class Problem(BaseModel):
    """Why a request was refused."""

    detail: str = Field(description="What is wrong, and what would do.")


class ClassChance(BaseModel):
    """A class and how probable it is."""

    name: str
    probability: float = Field(ge=0, le=1)


class HeatMap(BaseModel):
    """Where the network found what speaks for a class."""

    of: str = Field(description="The class.")
    png: str = Field(description="A half-transparent PNG as a data: URL, to lie over the part of the image.")
    part: tuple[float, float, float, float] = Field(
        description="Which part of the image the network saw: left, top, right, bottom as shares of its size."
    )


class ImageAnswer(BaseModel):
    """What an image looks like."""

    name: str | None = Field(description="The file's name as the request gave it; null for a raw body.")
    classes: list[ClassChance] = Field(description="The most probable first.")
    unknown: bool | None = Field(description="Whether it looks like none of the classes; null: that isn't known.")
    heat_map: HeatMap | None = Field(description="If it was asked for.")


class PredictAnswer(BaseModel):
    """The images in the order of the request."""

    images: list[ImageAnswer]


class Health(BaseModel):
    """Whether requests are taken."""

    status: str = Field(description="ok, or closing: the server is about to stop.")


class Accuracy(BaseModel):
    """How often the network is right on images that it wasn't trained on."""

    value: float
    interval: tuple[float, float] = Field(description="95 % (Wilson).")
    num_images: int
    measured_on: str
    tta: str = Field(description="Test-time augmentation when it was measured.")


class Trained(BaseModel):
    """How the network was trained, as far as it is known."""

    data: str | None
    fingerprint: str | None = Field(description="Of the data.")
    num_images: int | None
    created: str | None = Field(description="The day.")
    seconds: float | None
    machine: str | None
    seed: int | None
    imported: bool = Field(description="Whether the weights came from another framework.")
    versions: dict[str, str]


class Serving(BaseModel):
    """How it is served, and what the server takes."""

    device: str
    precision: str
    num_threads: int
    tta: str
    max_batch: int = Field(description="Images through the network at once.")
    max_bytes: int = Field(description="Of a request's body.")
    max_pixels: int = Field(description="Of an image.")
    max_images: int = Field(description="Of a request.")
    max_in_flight: int = Field(description="Requests at once.")


class Card(BaseModel):
    """The model's card."""

    name: str
    recipe: str
    model: str
    num_parameters: int
    image_size: tuple[int, int] = Field(description="Height and width that an image gets, in pixels.")
    crops: bool = Field(description="How it gets them: its middle is taken, or else the whole is stretched.")
    classes: list[str]
    accuracy: Accuracy | None = Field(description="null: it wasn't measured.")
    trained: Trained
    serving: Serving
    versions: dict[str, str] = Field(description="Of what serves it.")


PROBLEMS: dict[int | str, dict[str, Any]] = {
    408: {"model": Problem, "description": "The body didn't come in time."},
    413: {"model": Problem, "description": "Too many bytes, pixels or images."},
    415: {"model": Problem, "description": "No image, or a Content-Type that isn't taken."},
    422: {"model": Problem, "description": "A damaged image or form, or a query that can't be."},
    503: {
        "model": Problem,
        "description": "Busy, or about to stop.",
        "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
    },
}
"""What /predict refuses, and how."""

_BINARY = {"type": "string", "format": "binary"}
BODY: dict[str, Any] = {
    "required": True,
    "description": "One image as it is, or several as files of a form.",
    "content": {kind: {"schema": _BINARY} for kind in IMAGE_TYPES}
    | {
        MULTIPART: {
            "schema": {
                "type": "object",
                "required": ["images"],
                "properties": {"images": {"type": "array", "minItems": 1, "items": _BINARY}},
            }
        }
    },
}
"""Of /predict, for its schema: FastAPI would read the body whole before anyone could count its bytes."""
