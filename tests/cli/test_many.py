"""The commands under a launcher: one process speaks and writes, and files come out as one process makes them."""

import json

import pytest
from processes import answers

from podium.cli import main


def command(num, words, folder):
    return answers(num, "command", list(map(str, words)), str(folder))


def alone(words, monkeypatch, folder, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("sys.argv", ["podium", *map(str, words)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["train", "DATA", "--recipe", "nonsuch"], "nonsuch"),
        (["train", "DATA", "--set", "epochz=3"], "epochz"),
        (["train", "nowhere"], "nowhere"),
        (["train", "DATA", "--out", "."], "exists already"),
        (["train", "DATA", "--wrong"], "--wrong"),
        (["evaluate", "nowhere"], "nowhere"),
        (["submit", "RUN", "--out", "nowhere/submission.csv"], "nowhere"),
        (["predict", "nowhere.png", "--run", "RUN"], "nowhere.png"),
        (["train", "DATA", "--set", "sync_norm=false", "--set", "batch_size=3"], "two images a process"),
    ],
)
def test_what_the_user_can_mend_is_said_once(tiny_competition, tiny_run, tmp_path, words, what):
    (tmp_path / "something").touch()
    known = {"DATA": tiny_competition, "RUN": tiny_run.path}
    first, *others = command(3, [known.get(word, word) for word in words], tmp_path)
    assert [answer.status for answer in (first, *others)] == [2, 2, 2], (first, others)
    assert what in first.err
    assert first.out == ""
    assert "Traceback" not in first.err
    assert {(answer.out, answer.err) for answer in others} == {("", "")}
    assert [path.name for path in tmp_path.iterdir()] == ["something"]


def test_results_are_those_of_one_process(tiny_competition, tiny_run, tmp_path, monkeypatch, capsys):
    from PIL import Image

    names = [f"{number}.png" for number in range(5)]
    for number, name in enumerate(names):
        Image.new("RGB", (20, 14), (50 * number, 90, 200 - 40 * number)).save(tmp_path / name)
    commands = {
        "evaluate": ["evaluate", tiny_run.path, "--json"],
        "submit": ["submit", tiny_run.path, "--json"],
        "predict": ["predict", *names, "--run", tiny_run.path, "--json"],
    }
    for name, words in commands.items():
        expected = alone(words, monkeypatch, tmp_path, capsys)
        written = (tmp_path / "submission.csv").read_bytes() if name == "submit" else b""
        (tmp_path / "submission.csv").unlink(missing_ok=True)
        first, other = command(2, words, tmp_path)
        assert [first.status, other.status] == [0, 0], (first, other)
        assert _rounded(json.loads(first.out)) == _rounded(json.loads(expected)), name
        assert (other.out, other.err) == ("", "")
        if name == "submit":
            assert (tmp_path / "submission.csv").read_bytes() == written


def _rounded(value):
    """Without the last digits, which depend on how many images go through the net at once."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(one) for key, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value
