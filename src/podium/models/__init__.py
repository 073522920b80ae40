"""ROOM 3: images → logits. One architecture a file; `create` finds it by name."""

from podium.models import alexnet, densenet, googlenet, preact, resnet, seed, sprint  # noqa: F401  # each registers itself
from podium.models.classifier import Classifier, Preprocessing
from podium.models.operations import count_operations
from podium.models.registry import Entry, create, entries, entry, register, resolve_form
from podium.models.synced import sync_norms
from podium.models.weights import fitting_weights, load_weights

__all__ = [
    "Classifier",
    "Entry",
    "Preprocessing",
    "count_operations",
    "create",
    "entries",
    "entry",
    "fitting_weights",
    "load_weights",
    "register",
    "resolve_form",
    "sync_norms",
]
