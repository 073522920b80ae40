"""Whether the package is there that searches."""

from __future__ import annotations

from podium.errors import StudyError

__all__ = ["check_installed"]


def check_installed() -> None:
    """Raises StudyError that says what to install."""
    try:
        import optuna  # noqa: F401, PLC0415  # an extra
    except ImportError as error:
        raise StudyError(
            f"Tuning needs the package optuna, which can't be imported ({error}).\n"
            "Install it: pip install 'podium-vision[tune]'"
        ) from error
