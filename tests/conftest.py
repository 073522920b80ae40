"""What all rooms' tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2] / "shared"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test touches the user's cache. One folder for the session, so the digits are written once."""
    before = os.environ.get("PODIUM_CACHE")
    os.environ["PODIUM_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["PODIUM_CACHE"]
    else:
        os.environ["PODIUM_CACHE"] = before


@pytest.fixture(scope="session")
def real_cifar10() -> Path:
    """CIFAR-10's competition folder, where it lies beside the checkout."""
    folder = SHARED / "data" / "cifar-10"
    if not (folder / "train.7z").exists():
        pytest.skip("the real competition's files aren't here")
    return folder
