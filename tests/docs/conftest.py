"""The documents, and what stands in for the data that they speak of."""

import sys
from pathlib import Path

# the modules beside this file, and the small data sets of the data room's tests
sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1] / "data")]
