"""Room 1: raw files → Images. Imports no torch."""

from podium.data.images import Batch, Dataset, Images, ImageStream, SampleSubmission
from podium.data.progress import Progress
from podium.data.shard_writer import write_shards
from podium.data.sources import open_dataset as open
from podium.data.split import folds, hold_out
from podium.data.summary import DataSummary, contact_sheet, summarize

__all__ = [
    "Batch",
    "DataSummary",
    "Dataset",
    "ImageStream",
    "Images",
    "Progress",
    "SampleSubmission",
    "contact_sheet",
    "folds",
    "hold_out",
    "open",
    "summarize",
    "write_shards",
]
