import errno

import pytest
from webserver import serving

from podium.data import http
from podium.errors import ArchiveError, DataError

SIZE = 10_240
DATA = bytes(range(256)) * 40


@pytest.fixture
def web(tmp_path, monkeypatch):
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.001)
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "file").write_bytes(DATA)
    with serving(folder) as server:
        yield server


def fetched(web, tmp_path, num_bytes=SIZE):
    http.download(f"{web.url}/file", tmp_path / "file", num_bytes)
    return (tmp_path / "file").read_bytes()


def test_cut_answers_are_resumed(web, tmp_path):
    web.faults["file"] = [1000, 2000, 0]
    assert fetched(web, tmp_path) == DATA
    assert web.gets("file") == [None, "bytes=1000-", "bytes=3000-", "bytes=3000-"]


def test_a_process_that_was_killed_is_continued(web, tmp_path):
    (tmp_path / "file").write_bytes(DATA[:5000])
    assert fetched(web, tmp_path) == DATA
    assert web.gets("file") == ["bytes=5000-"]


def test_as_long_as_something_comes_it_goes_on(web, tmp_path):
    web.faults["file"] = [100] * 3 * http.TRIES
    assert fetched(web, tmp_path) == DATA


def test_a_server_without_range_begins_again(web, tmp_path):
    web.faults["file"] = [1000, "no range"]
    assert fetched(web, tmp_path) == DATA


def test_passing_errors_are_tried_again(web, tmp_path):
    web.faults["file"] = [(503, {}), (429, {})]
    assert fetched(web, tmp_path) == DATA


def test_what_is_not_there_is_said_at_once(web, tmp_path):
    with pytest.raises(ArchiveError, match=r"/other: the server says 404 Not Found"):
        http.download(f"{web.url}/other", tmp_path / "file", 5)
    assert len(web.asked) == 1
    web.faults["file"] = [(403, {})]
    with pytest.raises(ArchiveError, match="403"):
        http.get(f"{web.url}/file?key=secret", 10)


def test_after_some_tries_it_gives_up(web, tmp_path):
    web.faults["file"] = [0] * http.TRIES * 2
    with pytest.raises(ArchiveError, match=r"broke off(?s:.)*Tried 6 times"):
        fetched(web, tmp_path)
    with pytest.raises(ArchiveError, match="can't be reached"):
        http.get("http://127.0.0.1:9/x", 10)


@pytest.mark.parametrize("other", [len(DATA) - 1, len(DATA) + 1])
def test_another_size_is_refused(web, tmp_path, other):
    with pytest.raises(ArchiveError, match=f"has {len(DATA):,} bytes, and should have {other:,}"):
        fetched(web, tmp_path, other)
    (tmp_path / "file").write_bytes(DATA[:10])
    with pytest.raises(ArchiveError, match="isn't the file that is meant"):
        fetched(web, tmp_path, other)


def test_no_byte_more_than_it_should_have_is_written(web, tmp_path):
    web.faults["file"] = ["long"]
    with pytest.raises(ArchiveError, match="more than"):
        fetched(web, tmp_path)
    assert (tmp_path / "file").stat().st_size <= len(DATA)


def test_the_rest_of_another_content_is_not_taken(web, tmp_path):
    _, mark = http.size_of(f"{web.url}/file")
    (tmp_path / "file").write_bytes(b"x" * 5000)
    (web.folder / "file").write_bytes(DATA[::-1])
    http.download(f"{web.url}/file", tmp_path / "file", SIZE, mark=mark)
    assert (tmp_path / "file").read_bytes() == DATA[::-1]
    (tmp_path / "file").write_bytes(DATA[::-1][:5000])
    _, mark = http.size_of(f"{web.url}/file")
    http.download(f"{web.url}/file", tmp_path / "file", SIZE, mark=mark)
    assert (tmp_path / "file").read_bytes() == DATA[::-1]
    assert web.gets("file")[-1] == "bytes=5000-"


def test_what_is_longer_already_is_begun_again(web, tmp_path):
    (tmp_path / "file").write_bytes(DATA + b"x")
    assert fetched(web, tmp_path) == DATA


def test_small_files_are_bounded(web):
    assert http.get(f"{web.url}/file", len(DATA)) == DATA
    for fault in ([], ["long"]):
        web.faults["file"] = fault
        with pytest.raises(ArchiveError, match="more than 100 bytes"):
            http.get(f"{web.url}/file", 100)


def test_slow_answers_end(web, tmp_path, monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT_SECONDS", 0.1)
    monkeypatch.setattr(http, "TRIES", 2)
    web.faults["file"] = ["slow", "slow"]
    with pytest.raises(ArchiveError, match=r"nothing came for|timed out"):
        fetched(web, tmp_path)
    monkeypatch.setattr(http, "STALL_SECONDS", 0.2)
    web.faults["file"] = ["drip", "drip"]
    with pytest.raises(ArchiveError, match=r"only [\d,]+ bytes came"):
        http.get(f"{web.url}/file", len(DATA))


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://x/", "data:,x"])
def test_redirects_to_other_schemes_are_refused(web, target):
    web.faults["file"] = [(302, {"Location": target})]
    with pytest.raises(ArchiveError, match=r"not allowed|isn't followed"):
        http.get(f"{web.url}/file", len(DATA))


def test_redirects_are_followed_but_not_for_ever(web):
    web.faults["old"] = [(301, {"Location": "/file"})]
    assert http.get(f"{web.url}/old", len(DATA)) == DATA
    web.faults["old"] = [(302, {"Location": "/old"})] * 100
    with pytest.raises(ArchiveError):
        http.get(f"{web.url}/old", len(DATA))


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://host/x", "http:///x", "http://h/a b", "http://[/x", "s3://b/x"]
)
def test_other_addresses_are_refused(url):
    with pytest.raises(DataError, match="http"):
        http.get(url, 10)


def test_keys_and_passwords_are_not_shown(web):
    with pytest.raises(DataError, match="password") as caught:
        http.get("http://me:secret@host/x", 10)
    assert "secret" not in str(caught.value)
    with pytest.raises(ArchiveError) as caught:
        http.get(f"{web.url}/none?key=secret", 10)
    assert "secret" not in str(caught.value)


def test_errors_of_the_disk_are_of_the_disk(web, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(http, "_write", lambda file, piece: http_write(full))

    def http_write(fail):
        try:
            fail()
        except OSError as error:
            raise http.WriteError(error) from error

    with pytest.raises(OSError, match="No space"):
        fetched(web, tmp_path)
    assert len(web.asked) == 1


def test_a_size_is_asked_for(web):
    assert http.size_of(f"{web.url}/file")[0] == len(DATA)


def test_what_is_an_address():
    assert http.is_url("http://x/y")
    assert http.is_url("http:/x/y")  # what a Path makes of one
    assert not any(map(http.is_url, ("C:/x", "data/x", "/x", "digits")))
