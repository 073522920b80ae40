"""Whether the packages are there that write and run ONNX."""

from __future__ import annotations

from importlib import import_module

from podium.errors import ExportError

__all__ = ["check_installed"]

_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def check_installed() -> None:
    """Raises ExportError that says what to install."""
    for name in _PACKAGES:
        try:
            import_module(name)
        except ImportError as error:
            raise ExportError(
                f"Writing ONNX needs the package {name}, which can't be imported ({error}).\n"
                "Install it: pip install 'podium-vision[onnx]'"
            ) from error
