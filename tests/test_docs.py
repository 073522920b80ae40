"""What the documents say of models is what the code and the committed results say."""

import json
import re
from pathlib import Path

from podium import builtin, models
from podium.recipe import load_recipe
from podium.run import Run

ROOT = Path(__file__).parents[1]


def rows(mark, document="MODELS"):
    """The table between two marks of a document, without its two heading lines; cells without back ticks."""
    text = (ROOT / "docs" / f"{document}.md").read_text()
    table = re.search(rf"<!-- {mark} -->\n(.*)<!-- /{mark} -->", text, re.DOTALL).group(1)
    return [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]


def figures(name):
    return json.loads((ROOT / "bench" / "results" / f"{name}.json").read_text())["figures"]


def test_the_table_of_models_is_the_registry_and_its_speeds_are_the_measured_ones():
    measured = {(row["model"], row["form"]): row for row in figures("model-throughput")["training"]}
    expected = [
        [
            entry.name,
            name,
            f"{form.num_parameters:,}",
            f"{measured[entry.name, name]['operations'] / 1e9:.2f} G",
            f"{form.min_size} px",
            f"{measured[entry.name, name]['median']:g}",
            entry.source,
        ]
        for entry in models.entries()
        for name, form in entry.forms.items()
    ]
    assert rows("table") == expected
    for (name, form), row in measured.items():
        assert row["operations"] == models.count_operations(name, form)


def test_the_shortened_runs_of_the_recipes_are_the_measured_ones_and_show_learning():
    measured = {row["recipe"]: row for row in figures("recipes-learn")["runs"]}
    shown = {row[0]: row for row in rows("recipes")}
    assert shown.keys() == measured.keys()
    for name, row in measured.items():
        low, high = row["interval"]
        assert shown[name][4] == (
            f"{row['accuracy']:.1%} ({low:.1%} – {high:.1%}) after {row['steps']:,} steps of {row['batch_size']}"
        )
        assert shown[name][2] == f"{load_recipe(name).epochs:g}"
        assert low > 1 / 10  # chance


def test_the_weights_that_ship_are_as_good_as_their_manifests_say():
    shown = {row[0]: row[1:] for row in rows("weights", "PREDICT")}
    assert list(shown) == builtin.names()
    for name, cells in shown.items():
        found = Run.open(name).manifest["measured"]
        low, high = found["interval"]
        accuracy = f"{found['accuracy']:.2%} ({low:.1%} – {high:.1%})"
        assert cells == [accuracy, f"{found['num_images']:,}", found["what"]]


def test_what_is_said_of_unknown_pictures_was_measured():
    measured = figures("unknown")
    shown = {row[0]: row[1:] for row in rows("unknown", "PREDICT")}
    assert shown.keys() == measured["called_known"].keys()
    for name, found in measured["called_known"].items():
        low, high = found["interval"]
        rate = f"{found['rate']:.1%} ({low:.1%} – {high:.1%})"
        assert shown[name] == [f"{found['n']:,}", rate, f"{found['auroc']:.3f}"]
    alarms = measured["false_alarms"]
    text = " ".join((ROOT / "docs" / "PREDICT.md").read_text().split())
    low, high = alarms["interval"]
    assert f"{alarms['n']:,} pictures, which are known, {alarms['rate']:.1%} ({low:.1%} – {high:.1%})" in text


def test_how_the_minutes_were_kept_is_what_was_measured():
    shown = {float(row[0]): row[1:] for row in rows("budget", "RUNS")}
    measured = {run["minutes"]: run for run in figures("budget")["runs"]}
    assert shown.keys() == measured.keys()
    for minutes, run in measured.items():
        expected = run["expected"]
        promised = f"{expected['accuracy']:.1%} ({expected['low']:.1%} – {expected['high']:.1%})"
        assert shown[minutes] == [
            f"{run['seconds']:.1f} s, {run['part_of_the_time']:.1%}",
            f"{run['recipe']}`, {run['epochs']:.2f} epochs",
            promised,
            f"{run['accuracy']:.2%}",
            f"{run['accuracy_of_fixed_length']:.2%}",
        ]
        assert 0.95 <= run["part_of_the_time"] <= 1  # never over
