"""What can go wrong, as one tree.

    PodiumError                  everything that the user can mend; the command line prints it and exits with 2
    ├── DataError                the files handed in: missing, damaged, or not saying what they should
    │   ├── ArchiveError         an archive that can't be read, or a member that must not be
    │   ├── ImageError           a member or file that is no usable image
    │   └── TableError           a CSV: its header, a row, an id or a label
    ├── ExportError              a model in another form: it can't be made, or answers otherwise
    ├── KaggleError              what Kaggle refuses, or that it can't be reached
    ├── LoaderError              the processes that decode images: one died, or says nothing
    ├── RecipeError              a recipe's key or value
    ├── RunError                 a run folder: missing, damaged, or of another kind of data
    ├── ServeError               the server: its packages are missing, or its address is taken
    ├── StorageError             the disk: full, not writable, gone
    ├── StudyError               a search for a better recipe: its space, its storage, or it is another's
    ├── WeightsError             a file of weights: damaged, or of another network
    └── WorldError               the other processes of one training: missing, silent, or unlike this one

Each message is one or two lines: what is wrong, where (file, member, row), and what to do about it.
"""

import re

__all__ = [
    "ArchiveError",
    "DataError",
    "ExportError",
    "ImageError",
    "KaggleError",
    "LoaderError",
    "PodiumError",
    "RecipeError",
    "RunError",
    "ServeError",
    "StorageError",
    "StudyError",
    "TableError",
    "WeightsError",
    "WorldError",
]

_LONGEST = 2000
# of C0 and C1, separators of lines, and those that turn the direction of writing; not the line feed
_CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class PodiumError(Exception):
    """Something that the user can mend. Base of all errors that podium raises on purpose.

    Names, labels and keys of strangers stand in messages: characters that would steer a terminal are written as
    escapes, and what is left of a message of absurd length is its beginning, which says where, and its end, which says
    what to do.

    Args:
        message: one or two lines.
    """

    def __init__(self, message: str = "") -> None:
        if len(message) > _LONGEST:
            message = f"{message[: _LONGEST // 2]} … {message[-_LONGEST // 4 :]}"
        super().__init__(_CONTROLS.sub(lambda found: repr(found[0])[1:-1], message))


class DataError(PodiumError):
    """The data handed in is missing, damaged or inconsistent."""


class ArchiveError(DataError):
    """An archive can't be read, or holds a member that must not be read."""


class ImageError(DataError):
    """A member or file is no image, or not of the size that it must have."""


class TableError(DataError):
    """A CSV file's header, rows, ids or labels are wrong."""


class ExportError(PodiumError):
    """A model can't be written in another form, or doesn't answer there as it should."""


class KaggleError(PodiumError):
    """Kaggle can't be reached, or refuses."""


class LoaderError(PodiumError):
    """A process that decodes images died, or doesn't answer."""


class RecipeError(PodiumError):
    """A recipe has an unknown key or an impossible value."""


class RunError(PodiumError):
    """A run folder is missing, damaged, unfinished, or doesn't fit the data."""


class ServeError(PodiumError):
    """A server can't begin: its packages are missing, or it can't listen where it should."""


class StorageError(PodiumError):
    """The disk is full, not writable, or went away."""


class StudyError(PodiumError):
    """A study's search space is wrong, its storage can't be reached or is damaged, or it is of another task."""


class WeightsError(PodiumError):
    """A file of weights is damaged, or of another network."""


class WorldError(PodiumError):
    """Processes that should compute together can't: one is missing, silent, or unlike the others."""
