"""Kaggle's API on this machine, as its official client speaks to it, which refuses as it is told."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from loopback import Quiet, listening

TOKEN = "KGAT_very-secret-0123456789"
ETAG, MODIFIED = '"abc"', "Wed, 25 Nov 2026 10:00:00 GMT"


class Fake:
    """What it was asked, and how it answers.

    `refuse[request]` is (status, message) and holds for all requests of that name; `cut` are numbers of bytes after
    which answers with the archive break off, one an answer. Requests named in `silent` get no answer.
    """

    def __init__(self):
        self.archive = b""
        self.asked, self.ranges, self.submitted, self.refuse, self.cut = [], [], [], {}, []
        self.limits = {"numToday": 1, "numTotal": 7, "numAllowedNow": 4}
        self.states = [{"status": "PENDING"}, {"status": "COMPLETE", "publicScore": "0.93960"}]
        self.uploads = {}
        self.upload_status = 200
        self.is_active = True
        self.silent, self.released = set(), threading.Event()


@contextmanager
def serving():
    """A Fake whose `url` is its address."""
    told = Fake()

    class Answers(Quiet, BaseHTTPRequestHandler):
        def body(self):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def answer(self, value, status=200):
            data = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_POST(self):
            name = self.path.rpartition("/")[2]
            body = self.body()
            if self.path.startswith("/storage/"):  # a redirect that keeps the method
                self.do_GET()
                return
            asked = json.loads(body)
            told.asked.append(name)
            if name in told.silent:
                told.released.wait(20)
            if name == "IntrospectToken":
                is_known = told.is_active and asked["token"] == TOKEN
                self.answer({"active": is_known, "username": "someone"} if is_known else {"active": False})
                return
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                self.answer({"code": 401, "message": "Unauthorized"}, 401)
                return
            if name in told.refuse:
                status, message = told.refuse[name]
                self.answer({"code": status, "message": message}, status)
                return
            if name == "ListDataFiles":
                self.answer({"files": [{"name": "train.7z", "totalBytes": len(told.archive)}]})
            elif name == "DownloadDataFiles":
                self.send_response(302)
                self.send_header("Location", f"{told.url}/storage/bundle/archive.zip?signature=hidden")
                self.send_header("Content-Length", "0")
                self.end_headers()
            elif name == "GetSubmissionLimits":
                self.answer(told.limits)
            elif name == "StartSubmissionUpload":
                self.answer({"token": f"blob-{asked['fileName']}", "createUrl": f"{told.url}/upload?signature=hidden"})
            elif name == "CreateSubmission":
                told.submitted.append(asked)
                self.answer({"message": "Successfully submitted", "ref": 4711})
            elif name == "GetSubmission":
                state = told.states.pop(0) if len(told.states) > 1 else told.states[0]
                self.answer({"ref": asked["ref"]} | state)
            else:
                self.answer({"code": 404, "message": "Not found"}, 404)

        def do_PUT(self):
            told.uploads[self.path.partition("?")[0]] = self.body()
            self.answer({}, told.upload_status)

        def do_GET(self):
            what = self.headers.get("Range")
            told.ranges.append(what)
            start = int(re.fullmatch(r"bytes=(\d+)-", what)[1]) if what else 0
            self.send_response(206 if start else 200)
            if start:
                end = len(told.archive)
                self.send_header("Content-Range", f"bytes {start}-{end - 1}/{end}")
            for header in {"Accept-Ranges": "bytes", "ETag": ETAG, "Last-Modified": MODIFIED}.items():
                self.send_header(*header)
            self.send_header("Content-Length", str(len(told.archive) - start))
            self.end_headers()
            data = told.archive[start:]
            if told.cut:
                data = data[: told.cut.pop(0)]
                self.close_connection = True
            self.wfile.write(data)

    with listening(Answers) as told.url:
        try:
            yield told
        finally:
            told.released.set()


def redirect(monkeypatch, url, home):
    """Sends Kaggle's client to `url`, as somebody with TOKEN and nothing else, at home in an empty folder."""
    from kagglesdk import kaggle_env

    monkeypatch.setitem(kaggle_env._env_to_endpoint, kaggle_env.KaggleEnv.PROD, url)
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_CONFIG_DIR", "KAGGLE_KERNEL_RUN_TYPE", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KAGGLE_API_TOKEN", TOKEN)
