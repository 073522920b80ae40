"""How long `podium --help` takes, as a whole process, beside an empty Python.

python bench/startup.py [--runs 15]
"""

import argparse
import subprocess
import sys
import time

from common import summary, write_result

COMMANDS = {
    "podium --help": [sys.executable, "-m", "podium", "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    args = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for number in range(args.runs + 1):
        for name, command in COMMANDS.items():
            began = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if number:  # the first one fills the file cache
                seconds[name].append(time.perf_counter() - began)
    figures = {"unit": "seconds", **{name: summary(some, digits=3) for name, some in seconds.items()}}
    print(write_result("startup", f"python bench/startup.py --runs {args.runs}", figures).read_text())


if __name__ == "__main__":
    main()
