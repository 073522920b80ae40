"""ROOM 4: recipe + Images → Run."""

from podium.training.engine import Engine
from podium.training.feed import note_bad_images
from podium.training.loop import fit
from podium.training.manifest import new_manifest
from podium.training.progress import Progress
from podium.training.setup import Parts, check
from podium.training.teacher import Teacher

__all__ = ["Engine", "Parts", "Progress", "Teacher", "check", "fit", "new_manifest", "note_bad_images"]
