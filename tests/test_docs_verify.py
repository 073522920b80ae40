"""What docs/VERIFY.md says of tolerances is the code's table, and what was seen is what was measured."""

import json
import re
import sys
from pathlib import Path

from podium import builtin
from podium.delivery.verify import TOLERANCES
from podium.recipe import recipe_names

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "bench"))
DOC = (ROOT / "docs" / "VERIFY.md").read_text()


def table(mark):
    return re.search(rf"<!-- {mark} -->\n(.*)<!-- /{mark} -->", DOC, re.DOTALL)[1].splitlines()[2:]


def row(*cells):
    return f"| {' | '.join(cells)} |"


def test_the_table_of_tolerances_is_the_codes():
    def shown(value):
        return "not judged" if value is None else f"{value:g}"

    assert table("tolerances") == [
        row(
            f"`{name}`",
            shown(one.logits),
            shown(one.probabilities),
            shown(one.margin),
            f"{one.other_answers:.0%}",
            one.source,
        )
        for name, one in TOLERANCES.items()
    ]


def test_what_was_seen_is_what_was_measured():
    """The bench prints the rows as they are here."""
    import verify_all

    networks = json.loads((ROOT / "bench" / "results" / "verify.json").read_text())["figures"]["networks"]
    known = [*builtin.names(), *recipe_names()]
    runs = [one["run"] for one in networks]
    assert [name for name in known if name in runs] == runs
    assert set(builtin.names()) <= set(runs)
    assert [list(TOLERANCES) == [form["form"] for form in one["forms"]] for one in networks] == [True] * len(networks)
    assert table("seen") == [verify_all.table_row(one) for one in networks]
