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


class PodiumError(Exception):
    """Something that the user can mend. Base of all errors that podium raises on purpose."""


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
