"""The winner's file: a recipe whose header says how it was found."""

from dataclasses import replace

from podium.recipe import Recipe, load_recipe
from podium.tuning import Row, best_of, changes, write_winner

RECIPE = load_recipe("sprint")
ROWS = [
    Row(0, "finished", {"learning_rate": RECIPE.learning_rate, "momentum": 0.7}, ((1, 0.5), (2, 0.61)), 1.0, "", True),
    Row(1, "pruned", {"learning_rate": 1.0, "momentum": 0.7}, ((1, 0.9),), 1.0, "", False),
    Row(2, "finished", {"learning_rate": 0.1234, "momentum": 0.6}, ((1, 0.5), (2, 0.7654)), 1.0, "", False),
    Row(3, "finished", {"learning_rate": 0.2, "momentum": 0.6}, ((1, 0.5), (2, 0.7654)), 1.0, "", False),
    Row(4, "diverged", {"learning_rate": 0.9, "momentum": 0.6}, (), 1.0, "", False),
    Row(5, "lost", {"learning_rate": 0.9, "momentum": 0.6}, (), None, "", False),
]


def test_the_best_is_the_first_of_the_most_accurate_that_finished():
    assert best_of(ROWS).number == 2
    assert best_of(ROWS[4:]) is None


def test_the_file_loads_as_the_recipe_with_other_values_and_its_own_epochs(tmp_path):
    path = tmp_path / "winner.toml"
    winner = write_winner(path, RECIPE, ROWS, best_of(ROWS), (4500, 2.0, "cifar-10"))
    assert load_recipe(path) == winner
    assert winner == replace(RECIPE, name="sprint-tuned", learning_rate=0.1234, momentum=0.6)
    assert winner.epochs == 11


def test_its_header_says_how_it_was_found(tmp_path):
    path = tmp_path / "winner.toml"
    write_winner(path, RECIPE, ROWS, best_of(ROWS), (4500, 2.0, "evil\nname = 'x'"))
    header = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    for said in (
        f"podium train DATA --recipe {path}",
        "trial 2 of 5 (3 finished, 1 pruned, 1 diverged)",
        "after 2 epochs: 76.54% of 4,500 images",
        "as it was, alike: 61.00%",
        "chose nothing",
        "learning_rate 0.18 → 0.1234",
        "momentum 0.7 → 0.6",
    ):
        assert said in header, said
    assert load_recipe(path).name == "sprint-tuned"  # what the data are called stays a comment


def test_a_winner_that_is_tuned_again_keeps_its_name(tmp_path):
    path = tmp_path / "winner.toml"
    once = write_winner(path, RECIPE, ROWS, best_of(ROWS), (10, 2.0, "d"))
    assert write_winner(path, once, ROWS, best_of(ROWS), (10, 2.0, "d")).name == "sprint-tuned"


def test_only_what_is_otherwise_is_a_change():
    assert changes(RECIPE, ROWS[0]) == []
    assert changes(Recipe(nesterov=True), Row(0, "finished", {"nesterov": False}, (), 1.0, "", False)) == [
        "nesterov True → False"
    ]
