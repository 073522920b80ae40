"""ROOM 3: images → logits. One architecture a file; `create` finds it by name."""

from podium.models import seed, sprint  # noqa: F401  # each registers itself
from podium.models.classifier import Classifier, Preprocessing
from podium.models.registry import Entry, create, entries, entry, register, resolve_form

__all__ = ["Classifier", "Entry", "Preprocessing", "create", "entries", "entry", "register", "resolve_form"]
