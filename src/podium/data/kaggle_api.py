"""Kaggle through its official client, an extra: `pip install 'podium-vision[kaggle]'`.

The client prints, exits and raises whatever its network library raises; here each way in which Kaggle refuses becomes a
line or two that say what to do. Nothing here reads, keeps or prints a token: the client finds it, and whatever Kaggle's
server says is cleared of it.
"""

from __future__ import annotations

import contextlib
import re
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from podium.data.kaggle_words import SITE, asked, in_time, over_the_limit, page, quiet, said
from podium.data.progress import MEGABYTE, Progress
from podium.errors import ArchiveError, KaggleError, StorageError
from podium.files import storage_errors

__all__ = ["Kaggle", "Submission", "check_slug"]

POLL_SECONDS = 3.0
LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Submission:
    """What became of a submission.

    Attributes:
        competition: its name.
        page: where your submissions to it are listed.
        number: by which Kaggle knows it.
        state: "complete" or "pending".
        public_score: as Kaggle writes it; None: there is none, or not yet.
        private_score: likewise; there is one when the competition is over.
        num_left: how many more it takes today; None: it doesn't say.
    """

    competition: str
    page: str
    number: int
    state: str
    public_score: str | None
    private_score: str | None
    num_left: int | None


def check_slug(competition: str) -> str:
    """The name. Raises KaggleError unless it is one as in a competition's address."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}", competition):
        raise KaggleError(
            f"'{competition}' is no competition's name. It is what follows {SITE}/competitions/, such as cifar-10."
        )
    return competition


class Kaggle:
    """Kaggle's API, for somebody whom it knows.

    Raises:
        KaggleError: the client isn't installed, there is no token or an unknown one, or Kaggle can't be reached.
    """

    def __init__(self) -> None:
        try:
            with quiet():  # its import signs in, prints, and swallows what goes wrong
                client: Any = in_time(lambda: import_module("kaggle.api.kaggle_api_extended"))
        except ImportError as error:
            raise KaggleError(
                f"This needs Kaggle's client, which can't be imported ({error}).\n"
                "Install it: pip install 'podium-vision[kaggle]'"
            ) from error
        self._api: Any = client.KaggleApi()
        asked(self._api, "", self._api.authenticate)

    def download(self, competition: str, out: Path, progress: Progress | None = None) -> Path:
        """Fetches all of a competition's files as the one zip that Kaggle makes of them.

        What an earlier try got lies in the folder .COMPETITION.part and isn't fetched again.

        Args:
            competition: its name.
            out: the folder, which is made if need be.
            progress: told how far it is.

        Returns:
            OUT/COMPETITION.zip, which `podium.open` takes as it is.

        Raises:
            ArchiveError: what came is no whole zip file.
            KaggleError: Kaggle refuses, or can't be reached.
            StorageError: the folder can't be written.
        """
        path, building = out / f"{check_slug(competition)}.zip", out / f".{competition}.part"
        with storage_errors(out):
            out.mkdir(parents=True, exist_ok=True)
            if path.exists():
                raise StorageError(f"{path} is there already: move it away to fetch it anew, or choose another --out.")
            listed = asked(self._api, competition, lambda: self._api.competition_list_files(competition, page_size=200))
            total = sum(file.total_bytes for file in listed.files or [] if file is not None)
            building.mkdir(exist_ok=True)
            lock = FileLock(building / ".lock", timeout=0)
            try:
                lock.acquire()
            except Timeout:
                raise StorageError(f"{path} is being fetched by another process.") from None
            part = building / path.name
            with lock:
                with _watched(part, total, progress):
                    asked(self._api, competition, lambda: self._fetch(competition, building), is_long=True)
                _check_whole(part)
                part.replace(path)
            for rest in building.iterdir():
                rest.unlink()
            building.rmdir()
        return path

    def _fetch(self, competition: str, folder: Path) -> None:
        self._api.competition_download_files(competition, path=str(folder), quiet=True)

    def num_left(self, competition: str) -> int:
        """How many submissions the competition takes today from this team.

        Raises:
            KaggleError: none is left, or Kaggle refuses, or can't be reached.
        """
        limits = asked(self._api, competition, lambda: self._api.competition_get_submission_limits(competition))
        if limits.num_allowed_now <= 0 and limits.num_today > 0:
            raise over_the_limit(competition, f"{limits.num_today} were made today")
        return int(limits.num_allowed_now)

    def submit(
        self,
        path: Path,
        competition: str,
        message: str,
        *,
        wait_seconds: float = 60.0,
        progress: Progress | None = None,
    ) -> Submission:
        """Submits a file, and waits for its score.

        Args:
            path: the CSV.
            competition: its name.
            message: by which you know it again.
            wait_seconds: how long to wait for the score; it isn't lost if that is too short.
            progress: told what is done.

        Raises:
            KaggleError: Kaggle refuses, can't score the file, or can't be reached.
        """
        if progress:
            progress(f"Submitting to {competition}", 0, 0)
        send = lambda: self._api.competition_submit(str(path), message, competition, quiet=True)  # noqa: E731
        answer = asked(self._api, competition, send, is_long=True)
        if answer.message == self._api.COMPETITION_SUBMIT_UPLOAD_FAILED_MESSAGE:
            raise KaggleError(f"{path} didn't get to Kaggle whole, so nothing was submitted. Try again.")
        found: Any = self._scored(answer.ref, competition, wait_seconds) if answer.ref else None
        if found is not None and found.status.name == "ERROR":
            why = said(self._api, found.error_description or "it doesn't say why")
            raise KaggleError(f"Kaggle took {path} and can't score it: {why}.\nSee {page(competition)}/submissions.")
        left = None
        with contextlib.suppress(KaggleError):  # most likely this was today's last
            left = self.num_left(competition)
        is_done = found is not None and found.status.name == "COMPLETE"
        return Submission(
            competition=competition,
            page=f"{page(competition)}/submissions",
            number=int(answer.ref or 0),
            state="complete" if is_done else "pending",
            public_score=(found.public_score or None) if is_done else None,
            private_score=(found.private_score or None) if is_done else None,
            num_left=left,
        )

    def _scored(self, number: int, competition: str, wait_seconds: float) -> Any:
        """The submission when it is scored; None, or as it is then, if that takes too long."""
        found, end = None, time.monotonic() + wait_seconds
        while True:
            with contextlib.suppress(KaggleError):  # a new one may not be found yet, and it is made in any case
                found = asked(self._api, competition, lambda: self._api.get_submission(number))
            if (found is not None and found.status.name != "PENDING") or time.monotonic() > end:
                return found
            time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def _watched(part: Path, total: int, progress: Progress | None) -> Iterator[None]:
    """Tells how large a file has become while something else writes it."""
    if progress is None:
        yield
        return
    stop = threading.Event()
    what = f"fetching {part.name}, in MB" if total >= MEGABYTE else f"fetching {part.name}"

    def look() -> None:
        while not stop.wait(LOOK_SECONDS):
            with contextlib.suppress(OSError):
                done = min(part.stat().st_size, total)
                progress(what, done // MEGABYTE, total // MEGABYTE)

    progress(what, 0, total // MEGABYTE)
    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        stop.set()
        watcher.join()


def _check_whole(part: Path) -> None:
    """Raises ArchiveError, and takes the file away, unless it is a zip file whose members have their CRCs."""
    try:
        with zipfile.ZipFile(part) as archive:
            broken = archive.testzip()
    except FileNotFoundError:
        raise ArchiveError(
            f"{part.name}: Kaggle sent something else than a zip file. Fetch it from its site."
        ) from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        broken = str(error)
    if broken is not None:
        part.unlink(missing_ok=True)
        raise ArchiveError(f"{part.name} came damaged ({broken}), and was taken away. Fetch it again.")
