"""The page of a study: one file that fetches nothing, with all that its trials tell."""

import re
from dataclasses import replace

import pytest

from podium.delivery.report.charts import Dot, scatter_chart
from podium.delivery.study import StudyFacts, write_study
from podium.recipe import Recipe
from podium.tuning import Row, Task
from podium.tuning.space import Axis

SPACE = {
    "learning_rate": Axis(0.001, 1.0, log=True),
    "translate": Axis(0, 4),
    "optimizer": Axis(choices=("sgd", "adamw")),
}


def row(number, state, accuracy=None, rate=0.1, word="sgd", note=""):
    values = {"learning_rate": rate, "translate": number % 5, "optimizer": word}
    return Row(number, state, values, () if accuracy is None else ((1, accuracy),), 2.0, note, number == 0)


ROWS = (
    row(0, "finished", 0.5),
    row(1, "finished", 0.8123, rate=0.01, word="adamw"),
    row(2, "pruned", 0.31),
    row(3, "diverged", note="at step 3 <b>"),
    row(4, "running"),
    replace(row(5, "waiting"), values={}, seconds=None),
)
FACTS = StudyFacts(
    recipe=Recipe(name="plain", learning_rate=0.1),
    data="<script>alert(1)</script>",
    task=Task("f00d", "", "", 2.0, 0.1, 1, "median", 0),
    space=SPACE,
    rows=ROWS,
    best=ROWS[1],
    num_judged=4500,
    importances={"translate": 0.25, "learning_rate": 0.75},
    winner="# found\nlearning_rate = 0.01\n",
)


@pytest.fixture
def page(tmp_path, read_page):
    def written(facts=FACTS):
        write_study(tmp_path / "study.html", facts)
        return read_page(tmp_path / "study.html")

    return written


def test_it_tells_the_winner_the_counts_and_what_mattered(page):
    text = page().text
    assert "81.23 %" in text
    assert "50.00 %" in text  # the recipe as it was
    assert "4 trials of 2 epochs" in text
    for said in ("2 came to its end", "1 stopped early", "1 diverged", "1 under way", "1 waits"):
        assert said in text
    assert text.index("75 %") < text.index("25 %")
    assert "learning_rate = 0.01" in text
    assert "0.001 to 1, log scale" in text
    assert "at step 3 <b>" in text  # escaped: else it were a tag that is never closed


def test_it_has_a_chart_of_the_trials_and_one_of_each_key(page):
    read = page()
    assert len(read.named("svg")) == 1 + len(SPACE)
    charts = read.text
    assert charts.count("trial 1: 81.23% after epoch 1") == 4
    assert charts.count("trial 2: 31.00% after epoch 1") == 4
    assert "trial 3:" not in charts  # it was never looked at


def test_the_best_trial_heads_the_table(page):
    text = page().text
    table = text[text.index("All trials") :]
    assert table.index("81.23 %") < table.index("50.00 %") < table.index("31.00 %")


def test_a_study_of_one_trial_has_a_page(page):
    read = page(replace(FACTS, rows=ROWS[:1], best=ROWS[0], importances={}))
    assert "Too few trials" in read.text


def places(svg, look):
    found = re.findall(rf'<circle class="{look}" cx="([\d.]+)" cy="([\d.]+)"', svg)
    return [tuple(map(float, one)) for one in found]


def chart(xs, **options):
    dots = [Dot(x, y, f"{x}") for y, x in enumerate(xs)]
    return scatter_chart(dots, title="t", about="d", x_label="x", form="{:g}".format, **options)


def test_on_a_log_scale_equal_factors_are_equal_steps():
    (x0, _), (x1, _), (x2, _) = places(chart([0.01, 0.1, 1.0], log_x=True), "dot line-0")
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    (x0, _), (x1, _), (x2, _) = places(chart([0.01, 0.1, 1.0]), "dot line-0")
    assert x2 - x1 > 5 * (x1 - x0)


def test_choices_have_their_names_and_dots_stay_inside():
    svg = chart([0.0, 1.0], x_names=["sgd", "<adamw>"])
    assert ">sgd</text>" in svg
    assert ">&lt;adamw&gt;</text>" in svg
    for left, top in places(svg, "dot line-0") + places(chart([3.0]), "dot line-0"):
        assert 46 <= left <= 342
        assert 12 <= top <= 194
