"""Kaggle's client against a fake of its API: what it brings, and each way in which it refuses, in plain words."""

import io
import sys
import zipfile
from typing import ClassVar

import kaggle_fake
import pytest

from podium.data import kaggle_api, kaggle_words
from podium.data.kaggle_api import Kaggle, check_slug
from podium.data.kaggle_words import said
from podium.errors import ArchiveError, KaggleError, StorageError


@pytest.fixture(scope="session", autouse=True)
def _client(tmp_path_factory):
    """Imports the client while it finds no token: it signs in when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("KAGGLE_API_TOKEN", raising=False)
        import kaggle  # noqa: F401


@pytest.fixture
def fake(monkeypatch, tmp_path_factory):
    monkeypatch.setattr(kaggle_api, "POLL_SECONDS", 0.01)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with kaggle_fake.serving() as told:
        kaggle_fake.redirect(monkeypatch, told.url, tmp_path_factory.mktemp("home"))
        yield told


@pytest.fixture
def archive(fake):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("trainLabels.csv", "id,label\n" * 300_000)
    fake.archive = buffer.getvalue()
    return fake.archive


def test_a_competition_comes_as_one_zip(fake, archive, tmp_path, capfd):
    told = []
    path = Kaggle().download("cifar-10", tmp_path / "new", lambda *what: told.append(what))
    assert path == tmp_path / "new" / "cifar-10.zip"
    assert path.read_bytes() == archive
    assert list(path.parent.iterdir()) == [path]
    assert told[0] == ("fetching cifar-10.zip, in MB", 0, 2)
    assert capfd.readouterr() == ("", "")
    with pytest.raises(StorageError, match="there already"):
        Kaggle().download("cifar-10", path.parent)


def test_what_was_cut_goes_on_where_it_ended(fake, archive, tmp_path):
    fake.cut = [1_500_000, 1_100_000]  # within one call the client goes on by itself, in steps of a MiB
    path = Kaggle().download("cifar-10", tmp_path)
    assert path.read_bytes() == archive
    assert fake.ranges == [None, "bytes=1048576-", "bytes=2097152-"]

    path.unlink()
    fake.ranges.clear()
    fake.cut = [1_500_000, *[0] * 5]  # until it gives up
    with pytest.raises(KaggleError, match=r"broke off\. Try again: a download goes on"):
        Kaggle().download("cifar-10", tmp_path)
    assert not path.exists()
    fake.ranges.clear()
    assert Kaggle().download("cifar-10", tmp_path).read_bytes() == archive
    assert fake.ranges == [None, "bytes=1048576-"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_archive_is_taken_away(fake, archive, tmp_path):
    damaged = bytearray(archive)
    damaged[1000] ^= 1
    for content in (bytes(damaged), b"<html>no zip</html>"):
        fake.archive = content
        with pytest.raises(ArchiveError, match="damaged"):
            Kaggle().download("cifar-10", tmp_path)
        assert not list(tmp_path.rglob("*.zip"))
    fake.archive = archive
    assert Kaggle().download("cifar-10", tmp_path).read_bytes() == archive


def test_a_submission_is_uploaded_and_scored(fake, tmp_path, capfd):
    path = tmp_path / "submission.csv"
    path.write_text("id,label\n1,cat\n")
    kaggle = Kaggle()
    assert kaggle.num_left("cifar-10") == 4
    found = kaggle.submit(path, "cifar-10", "sprint, seed 0")
    assert fake.uploads == {"/upload": path.read_bytes()}
    (sent,) = fake.submitted
    assert sent["competitionName"] == "cifar-10"
    assert sent["submissionDescription"] == "sprint, seed 0"
    assert sent["blobFileTokens"] == "blob-submission.csv"
    assert (found.number, found.state, found.public_score, found.num_left) == (4711, "complete", "0.93960", 4)
    assert found.page == "https://www.kaggle.com/competitions/cifar-10/submissions"
    assert capfd.readouterr() == ("", "")


def test_a_score_that_takes_long_is_not_waited_for(fake, tmp_path):
    (tmp_path / "s.csv").touch()
    fake.states = [{"status": "PENDING"}]
    found = Kaggle().submit(tmp_path / "s.csv", "cifar-10", "m", wait_seconds=0)
    assert (found.state, found.public_score) == ("pending", None)
    fake.refuse["GetSubmission"] = (404, "Not found")  # a new one isn't there yet
    assert Kaggle().submit(tmp_path / "s.csv", "cifar-10", "m", wait_seconds=0).state == "pending"


def test_what_kaggle_can_not_score_is_said(fake, tmp_path):
    (tmp_path / "s.csv").touch()
    fake.states = [{"status": "ERROR", "errorDescription": "Submission must have 300000 rows"}]
    with pytest.raises(KaggleError, match="must have 300000 rows"):
        Kaggle().submit(tmp_path / "s.csv", "cifar-10", "m")


REFUSALS = [
    (403, "You must accept this competition's rules before you'll be able to download files.", "/cifar-10/rules"),
    (403, "Permission 'competitions.get' was denied", "haven't joined it: open"),
    (403, "You must verify your phone number", "verified first"),
    (404, "Not Found", "no competition 'cifar-10'"),
    (401, "Unauthenticated", "doesn't accept your token"),
    (429, "Too Many Requests", "too many requests"),
    (400, "Your team has used its daily Submission allowance (5) today", "from you today"),
    (400, "Submission not allowed: the competition deadline has passed", "deadline has passed"),
    (400, "Bad something", "refuses (400: Bad something)"),
    (503, "Unavailable", "server fails (503)"),
]


@pytest.mark.parametrize(("status", "message", "expected"), REFUSALS)
def test_refusals_are_said_plainly(fake, archive, tmp_path, status, message, expected, capfd):
    kaggle = Kaggle()
    (tmp_path / "s.csv").touch()
    for request, call in [
        ("ListDataFiles", lambda: kaggle.download("cifar-10", tmp_path)),
        ("DownloadDataFiles", lambda: kaggle.download("cifar-10", tmp_path)),
        ("GetSubmissionLimits", lambda: kaggle.num_left("cifar-10")),
        ("StartSubmissionUpload", lambda: kaggle.submit(tmp_path / "s.csv", "cifar-10", "m")),
        ("CreateSubmission", lambda: kaggle.submit(tmp_path / "s.csv", "cifar-10", "m")),
    ]:
        fake.refuse = {request: (status, message)}
        with pytest.raises(KaggleError) as caught:
            call()
        assert expected in str(caught.value), request
        assert str(caught.value).count("\n") <= 1
    assert not (tmp_path / "cifar-10.zip").exists()
    assert capfd.readouterr() == ("", "")


def test_the_daily_limit_is_known_before_anything_is_computed(fake):
    fake.limits = {"numToday": 5, "numTotal": 9, "numAllowedNow": 0}
    with pytest.raises(KaggleError, match=r"from you today \(5 were made today\)"):
        Kaggle().num_left("cifar-10")
    fake.limits = {}  # of somebody who hasn't joined yet
    assert Kaggle().num_left("cifar-10") == 0


def test_an_upload_that_fails_submits_nothing(fake, tmp_path, capfd):
    (tmp_path / "s.csv").write_text("x")
    fake.upload_status = 403
    with pytest.raises(KaggleError, match="didn't get to Kaggle whole"):
        Kaggle().submit(tmp_path / "s.csv", "cifar-10", "m")
    assert not fake.submitted
    assert capfd.readouterr() == ("", "")


def test_no_token_an_unknown_one_and_no_network(fake, monkeypatch, capfd):
    fake.is_active = False
    with pytest.raises(KaggleError, match="doesn't accept the token in KAGGLE_API_TOKEN"):
        Kaggle()
    monkeypatch.delenv("KAGGLE_API_TOKEN")
    with pytest.raises(KaggleError, match=r"KAGGLE_API_TOKEN or ~/\.kaggle/access_token"):
        Kaggle()
    monkeypatch.setenv("KAGGLE_API_TOKEN", kaggle_fake.TOKEN)
    kaggle_fake.redirect(monkeypatch, "http://127.0.0.1:9", "/nowhere")
    with pytest.raises(KaggleError, match="can't be reached"):
        Kaggle()
    assert capfd.readouterr() == ("", "")


def test_a_server_that_says_nothing_is_not_waited_for(fake, monkeypatch, tmp_path):
    monkeypatch.setattr(kaggle_words, "ANSWER_SECONDS", 0.2)
    kaggle = Kaggle()
    fake.silent = {"GetSubmissionLimits", "ListDataFiles"}
    for call in (lambda: kaggle.num_left("cifar-10"), lambda: kaggle.download("cifar-10", tmp_path)):
        with pytest.raises(KaggleError, match=r"nothing came for 0\.2 s"):
            call()


def test_no_token_is_ever_said(fake, tmp_path):
    fake.refuse["ListDataFiles"] = (400, f"Bad header\nAuthorization: Bearer {kaggle_fake.TOKEN}\x1b[31m")
    with pytest.raises(KaggleError) as caught:
        Kaggle().download("cifar-10", tmp_path)
    text = str(caught.value)
    assert kaggle_fake.TOKEN not in text
    assert "\x1b" not in text
    assert "Bad header" in text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_what_a_server_says_is_short():
    class Api:
        config_values: ClassVar = {"key": "k3y", "token": None}

    assert said(Api, "a k3y\n b https://x/y?signature=1 c.") == "a … b https://x/y c"
    assert said(Api, f"KGAT_abc-1 {'0a' * 16}") == "… …"
    assert len(said(Api, "x" * 999)) == 200


def test_without_the_extra_two_lines_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "kaggle.api.kaggle_api_extended", None)
    with pytest.raises(KaggleError, match=r"(?s)client.*\n.*'podium-vision\[kaggle\]'$") as caught:
        Kaggle()
    assert str(caught.value).count("\n") == 1


@pytest.mark.parametrize("name", ["", "a/b", "..", "-c", "a b", "x" * 101])
def test_names_that_are_none_are_refused_before_anything_is_asked(name):
    with pytest.raises(KaggleError, match="no competition's name"):
        check_slug(name)
