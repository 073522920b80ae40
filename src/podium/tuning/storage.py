"""Where a study's trials are kept: a journal in its folder, or a database or gRPC proxy that is named by a URL."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from podium.errors import StorageError, StudyError
from podium.files import storage_errors

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["GRPC_PORT", "open_storage", "shown", "study_errors"]

GRPC_PORT = 13000
"""Optuna's own, where a URL names none."""
_GRPC_SECONDS = 30  # to reach a proxy
_PACKAGES = {"grpc": "grpcio protobuf", "psycopg": "'psycopg[binary]'", "psycopg2": "psycopg2-binary"}


def open_storage(url: str | None, journal: Path) -> BaseStorage:
    """The storage that a URL names, or the journal if there is none.

    Args:
        url: grpc://host:port, or what SQLAlchemy takes, such as postgresql://user:password@host/database.
        journal: the file; it is made if it isn't there, its folder isn't.

    Raises:
        StorageError: the journal can't be read or written.
        StudyError: the URL makes no sense, its driver is missing, nobody answers there, or the journal is damaged.
    """
    import optuna  # noqa: PLC0415  # an extra
    from optuna.storages import JournalStorage, RDBStorage  # noqa: PLC0415
    from optuna.storages import journal as journals  # noqa: PLC0415

    optuna.logging.set_verbosity(optuna.logging.CRITICAL)  # podium says what there is to say
    if url is None:
        with storage_errors(journal):
            _mend(journal, journals.JournalFileSymlinkLock(str(journal)))
            with study_errors(str(journal)):
                return JournalStorage(journals.JournalFileBackend(str(journal)))
    if "://" not in url:
        raise StudyError(
            f"--storage {url}: it takes a URL, such as postgresql://user@host/database or grpc://host:{GRPC_PORT}."
        )
    with study_errors(shown(url)), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return _proxy(url) if url.startswith("grpc://") else RDBStorage(url)


def _mend(path: Path, lock: Any) -> None:
    """Takes away a last line that a crash cut short: the next one, written behind it, would be unreadable with it."""
    if not path.is_file() or not _is_torn(path):
        return
    lock.acquire()
    try:
        if not _is_torn(path):  # it was being written just then
            return
        with path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
    finally:
        lock.release()


def _is_torn(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return False
        file.seek(-1, 2)
        return file.read(1) != b"\n"


def _proxy(url: str) -> BaseStorage:
    from optuna.storages import GrpcStorageProxy  # noqa: PLC0415  # an extra

    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or GRPC_PORT
    except ValueError as error:
        raise StudyError(f"{url} is no address: {error}.") from None
    if not host:
        raise StudyError(f"{url} names no host. It takes grpc://host:port.")
    proxy = GrpcStorageProxy(host=host, port=port)
    proxy.wait_server_ready(timeout=_GRPC_SECONDS)
    return proxy


@contextmanager
def study_errors(where: str) -> Iterator[None]:
    """Turns what a storage raises into StudyErrors with one line of it.

    Raises:
        StorageError: the disk is full, or the file can't be opened.
        StudyError: all else.
    """
    from optuna.exceptions import OptunaError  # noqa: PLC0415  # an extra
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    try:
        yield
    except ConnectionError as error:
        raise StudyError(f"{where} can't be reached: {_line(error)}.\nIs the proxy running there?") from error
    except OSError as error:
        raise StorageError(f"{where} can't be used: {error.strerror or error}.") from error
    except ImportError as error:
        name = _missing(error)
        raise StudyError(
            f"{where} needs the package {name}, which can't be imported.\n"
            f"Install it: pip install {_PACKAGES.get(name, name)}"
        ) from error
    except (OptunaError, SQLAlchemyError, ValueError, KeyError, AssertionError) as error:
        advice = "Is it running, and the address right?" if "://" in where else "Take it away, or choose another --out."
        raise StudyError(f"{where} can't be used as a study's storage: {_line(error)}.\n{advice}") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "grpc":
            raise
        raise StudyError(f"{where} can't be reached: {_line(error)}.\nIs the proxy running there?") from error


def shown(url: str) -> str:
    """The URL without its password."""
    return re.sub(r"([?&]password=)[^&\s]*", r"\1***", re.sub(r"(://[^/@:]*):.*@", r"\1:***@", url))


def _line(error: BaseException) -> str:
    """The first line of what it says, without passwords and not too long."""
    text = str(error).strip() or type(error).__name__
    return shown(text.splitlines()[0][:200]).rstrip(".")


def _missing(error: ImportError) -> str:
    """The module that isn't there: Optuna says only that one is missing, and keeps which as the cause."""
    cause = error.__cause__
    return error.name or (cause.name if isinstance(cause, ImportError) and cause.name else "that is its driver")
