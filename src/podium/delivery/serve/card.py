"""The model's card: what a run's network is, how good it is, and what it was trained on.

Paths, commands and hosts stay out: a card is shown to whoever asks.
"""

from __future__ import annotations

from typing import Any

from podium.delivery.serve.schemas import Accuracy, Card, Serving, Trained
from podium.models import Classifier
from podium.run import Run
from podium.runtime import describe_versions

__all__ = ["card_of"]


def card_of(run: Run, classifier: Classifier, serving: Serving) -> Card:
    """The card of a finished run.

    Args:
        run: its recipe and manifest.
        classifier: the run's.
        serving: how it is served.
    """
    manifest: dict[str, Any] = run.manifest
    data, split = manifest["data"], manifest["split"]
    hardware = manifest["hardware"]
    held = manifest.get("hold_out") or manifest.get("measured")
    accuracy = None
    if isinstance(held, dict) and {"accuracy", "interval", "num_images"} <= held.keys():
        low, high = held["interval"]
        accuracy = Accuracy(
            value=held["accuracy"],
            interval=(low, high),
            num_images=held["num_images"],
            measured_on=held.get("what") or f"hold-out of {data['name']}",
            tta=held.get("tta") or "none",
        )
    created = manifest.get("created")
    return Card(
        name=f"{run.recipe.name} on {data['name'] or 'unknown data'}",
        recipe=run.recipe.name,
        model=classifier.model_name,
        num_parameters=sum(one.numel() for one in classifier.network.parameters()),
        image_size=classifier.preprocessing.image_size,
        crops=classifier.preprocessing.crops,
        classes=list(classifier.preprocessing.classes),
        accuracy=accuracy,
        trained=Trained(
            data=data["name"],
            fingerprint=data["fingerprint"],
            num_images=split["num_train"],
            created=created[:10] if isinstance(created, str) else None,
            seconds=manifest.get("train_seconds"),
            machine=hardware.get("gpu") or hardware.get("processor"),
            seed=manifest["seed"],
            imported=run.is_imported,
            versions={name: str(value) for name, value in (manifest.get("versions") or {}).items()},
        ),
        serving=serving,
        versions=describe_versions(),
    )
