"""What docs/VERIFY.md says of tolerances is the code's table, and what was seen is what was measured."""

import json
import re
from pathlib import Path

import pytest

from podium import builtin
from podium.delivery.verify import TOLERANCES
from podium.recipe import recipe_names

ROOT = Path(__file__).parents[1]
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
    path = ROOT / "bench" / "results" / "verify.json"
    if not path.is_file():
        pytest.skip("bench/verify_all.py hasn't run yet")
    networks = json.loads(path.read_text())["figures"]["networks"]
    assert [one["run"] for one in networks] == [*builtin.names(), *recipe_names()]
    assert table("seen") == [seen_row(one) for one in networks]


def seen_row(network):
    """Statuses that aren't ok are said; else the figures."""
    cells = []
    for form in network["forms"]:
        seen = form["difference"]
        if form["form"] in ("reloaded", "resumed"):
            cells.append("same bits" if form["status"] == "ok" else form["status"])
        elif form["status"] in ("failed", "skipped") or seen is None:
            cells.append(form["status"])
        else:
            past = seen["num_other_answers"] - seen["num_within_margin"]
            figure = f"{seen['probabilities']:.0e}" if form["form"] != "int8" else f"{past} of {seen['num_images']}"
            cells.append(figure + ("" if form["status"] == "ok" else ", differs"))
    return row(f"`{network['run']}`", *cells)
