"""Other frameworks' weights: MXNet's `.params` files to podium's networks and back."""

from podium.interop.gluon import read_params, write_params
from podium.interop.gluon_names import NAMED_MODELS, check_named, from_gluon, to_gluon

__all__ = ["NAMED_MODELS", "check_named", "from_gluon", "read_params", "to_gluon", "write_params"]
