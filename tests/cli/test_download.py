"""podium download, and podium submit --kaggle, as they are typed, on this machine alone."""

import csv
import hashlib
import io
import json
import sys
import zipfile

import kaggle_fake
import pytest

import podium
from podium.cli import main
from podium.data import http, kaggle_api, releases
from podium.data.releases import Release


@pytest.fixture
def fake(monkeypatch, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setattr(kaggle_api, "POLL_SECONDS", 0.01)
    with kaggle_fake.serving() as told:
        kaggle_fake.redirect(monkeypatch, told.url, home)
        yield told


@pytest.fixture
def run_podium(monkeypatch, capfd):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["podium", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = capfd.readouterr()
        assert kaggle_fake.TOKEN not in out + err
        return caught.value.code, out, err

    return run


def test_what_kaggle_has_is_downloaded_opened_and_submitted(
    fake, run_podium, tiny_run, tiny_competition, tmp_path, monkeypatch
):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(tiny_competition.iterdir()):
            archive.write(path, path.name)
    fake.archive = buffer.getvalue()
    monkeypatch.chdir(tmp_path)

    code, out, _ = run_podium("download", "kaggle:tiny-images", "-o", "data")
    assert code == 0
    assert f"data/tiny-images.zip: {len(fake.archive):,} bytes" in out
    assert podium.open("data/tiny-images.zip").classes == ("blue", "green", "red")

    words = ("submit", tiny_run.path, "--data", "data/tiny-images.zip", "--kaggle", "seed 0")
    code, out, err = run_podium(*words)
    assert (code, err) == (0, "")
    assert "Kaggle: submission 4711 to tiny-images, public score 0.93960; 4 left today" in out
    (sent,) = fake.submitted
    assert (sent["competitionName"], sent["submissionDescription"]) == ("tiny-images", "seed 0")
    assert fake.uploads["/upload"] == (tmp_path / "submission.csv").read_bytes()

    fake.states = [{"status": "PENDING"}]
    monkeypatch.setattr(kaggle_api.time, "monotonic", iter(range(0, 10**6, 100)).__next__)
    code, out, _ = run_podium(*words, "--competition", "other", "--json")
    assert code == 0
    told = json.loads(out)["kaggle"]
    assert (told["competition"], told["state"], told["public_score"]) == ("other", "pending", None)


def test_a_competition_that_refuses_does_so_before_anything_is_predicted(
    fake, run_podium, tiny_run, tiny_competition, tmp_path
):
    out = tmp_path / "submission.csv"
    fake.limits = {"numToday": 5, "numAllowedNow": 0}
    words = ("submit", tiny_run.path, "--data", tiny_competition, "-o", out, "--kaggle", "seed 0")
    code, _, err = run_podium(*words)
    assert code == 2
    assert err.startswith("podium: tiny takes no more submissions from you today")
    assert not out.exists()

    fake.limits = {"numToday": 1, "numAllowedNow": 4}
    fake.refuse["CreateSubmission"] = (400, "Submission not allowed: the deadline has passed")
    code, _, err = run_podium(*words)
    assert code == 2
    assert "deadline has passed" in err
    assert "submission.csv is written" in err
    assert len(list(csv.DictReader(out.open()))) == 9


def test_wrong_words(fake, run_podium, tiny_run, tmp_path):
    for words, expected in [
        (["download", "cifar10"], "the nearest is 'cifar-10'"),
        (["download", "kaggle:a/b"], "no competition's name"),
        (["download", "kaggle:tiny", "--binary"], "would be ignored"),
        (["download", "kaggle:tiny", "--mirror", "http://x"], "would be ignored"),
        (["submit", tiny_run.path, "--competition", "tiny"], "--competition would be ignored"),
    ]:
        code, _, err = run_podium(*words, "-o", tmp_path / "out")
        assert code == 2
        assert expected in err
    assert not fake.asked
    assert not list(tmp_path.iterdir())


def test_a_release_is_downloaded(run_podium, monkeypatch, tmp_path):
    content = b"release" * 100
    release = Release("cifar-100-binary.tar.gz", len(content), hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(releases.RELEASES["cifar-100"], "binary", release)
    asked = []

    def download(url, path, num_bytes, progress=None):
        asked.append((url, num_bytes))
        path.write_bytes(content)

    monkeypatch.setattr(http, "download", download)
    words = (
        "download",
        "cifar-100",
        "--binary",
        "-o",
        tmp_path,
        "--mirror",
        "http://a",
        "--mirror",
        "http://b/x.tar.gz",
    )
    code, out, _ = run_podium(*words, "--json")
    assert code == 0
    assert asked == [("http://a/cifar-100-binary.tar.gz", len(content))]
    path = tmp_path / "cifar-100-binary.tar.gz"
    assert json.loads(out) == {"file": str(path), "num_bytes": len(content), "sha256": release.sha256}
    code, out, _ = run_podium(*words)
    assert code == 0
    assert "Next: podium data" in out
    assert len(asked) == 1
