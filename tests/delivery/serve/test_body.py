from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium.delivery.serve.body import files_in
from podium.delivery.serve.limits import Limits, Refusal

LIMITS = Limits(max_images=3)


def form(files, data=None):
    """A form as httpx writes it: its bytes and boundary."""
    request = httpx.Request("POST", "http://x", files=files, data=data)
    return request.read(), request.headers["content-type"].partition("boundary=")[2].encode()


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=3))
def test_files_come_as_they_were_sent(contents):
    body, boundary = form([("images", (f"ü {number}.png", data)) for number, data in enumerate(contents)])
    found = files_in(body, boundary, LIMITS)
    assert [upload.data for upload in found] == contents
    assert [upload.name for upload in found] == [f"ü {number}.png" for number in range(len(contents))]


def test_without_a_form_the_body_is_the_file():
    (upload,) = files_in(b"abc", None, LIMITS)
    assert (upload.name, upload.data) == (None, b"abc")


@given(st.binary(max_size=200))
def test_any_bytes_are_files_or_a_refusal(body):
    with suppress(Refusal):
        files_in(b"--x\r\n" + body, b"x", LIMITS)


@given(st.integers(1, 200))
def test_a_form_that_is_cut_short_is_refused(cut):
    body, boundary = form([("images", ("a.png", b"a" * 100))])
    kept = body[: max(1, len(body) - 2 - cut)]  # the last line's end may be missing
    with pytest.raises(Refusal) as refusal:
        files_in(kept, boundary, LIMITS)
    assert refusal.value.status == 422


def test_too_many_files_are_refused():
    body, boundary = form([("images", (f"{number}.png", b"a")) for number in range(4)])
    with pytest.raises(Refusal, match="more than 3 images") as refusal:
        files_in(body, boundary, LIMITS)
    assert refusal.value.status == 413


def test_a_field_that_would_be_ignored_is_refused():
    body, boundary = form([("images", ("a.png", b"a"))], {"top": "3"})
    with pytest.raises(Refusal, match="'top' is no file"):
        files_in(body, boundary, LIMITS)


def test_a_form_without_files_is_refused():
    with pytest.raises(Refusal, match="no file"):
        files_in(b"--x--\r\n", b"x", LIMITS)
