"""bench's scripts are run from their folder: their modules, and the fakes beside this file, are found as there."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2] / "bench"), str(Path(__file__).parent)]
