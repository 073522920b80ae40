"""A loaded machine must not fail a property for being slow. `pictures`, beside this file, is found by its name."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")
