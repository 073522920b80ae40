"""sign_in: Kaggle, ready to take a submission, before it is computed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from podium.data import Dataset, Progress
from podium.data.kaggle_api import Kaggle, Submission, check_slug
from podium.errors import KaggleError

__all__ = ["Desk", "KaggleSubmission", "sign_in"]

KaggleSubmission = Submission


@dataclass(frozen=True)
class Desk:
    """A competition that takes submissions from us.

    Attributes:
        kaggle: signed in.
        competition: its name.
    """

    kaggle: Kaggle
    competition: str

    def submit(self, path: str | Path, message: str, *, progress: Progress | None = None) -> Submission:
        """Submits a file that `submit` wrote, and waits for its score a minute. Raises KaggleError."""
        try:
            return self.kaggle.submit(Path(path), self.competition, message, progress=progress)
        except KaggleError as error:
            first, *more = str(error).splitlines()
            raise KaggleError("\n".join([f"{first} ({path} is written.)", *more])) from error


def sign_in(dataset: Dataset, competition: str | None = None) -> Desk:
    """Signs in to Kaggle for a competition, and sees that it takes a submission today.

    Args:
        dataset: whose test images are to be predicted.
        competition: Kaggle's name of it; None: the data's, as `download` names them.

    Raises:
        KaggleError: the name isn't known, or Kaggle refuses or can't be reached.
    """
    if competition is None:
        if dataset.kind != "kaggle":
            raise KaggleError(
                f"{dataset.place} isn't a competition's files, so its name isn't known: --competition NAME."
            )
        competition = dataset.name
    check_slug(competition)
    kaggle = Kaggle()
    kaggle.num_left(competition)
    return Desk(kaggle, competition)
