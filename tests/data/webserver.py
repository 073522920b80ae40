"""A web server of a folder on this machine, which knows Range and misbehaves as it is told."""

import re
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from loopback import Quiet, listening


class Server:
    """`url` of the folder; `asked` lists (method, name, Range); `faults[name]` are used up one an answer.

    A fault is a number (cut the answer after so many bytes), "no range", "slow", "drip", "long" (one byte too many) or
    (status, {header: value}).
    """

    def __init__(self, folder):
        self.folder = folder
        self.asked = []
        self.faults = defaultdict(list)
        self.released = threading.Event()

    def gets(self, name):
        return [what for method, asked, what in self.asked if asked == name and method == "GET"]


@contextmanager
def serving(folder):
    told = Server(folder)

    class Answers(Quiet, BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            name = self.path.partition("?")[0].lstrip("/")
            told.asked.append((self.command, name, self.headers.get("Range")))
            fault = told.faults[name].pop(0) if told.faults[name] and self.command == "GET" else None
            path = told.folder / name
            if isinstance(fault, tuple) or not path.is_file():
                self.send_response(*([fault[0]] if fault else [404]))
                for header in (fault[1] if fault else {}).items():
                    self.send_header(*header)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            data = path.read_bytes()
            said = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
            tag = f'"{len(data)}-{path.stat().st_mtime_ns}"'
            is_same = self.headers.get("If-Range", tag) == tag
            start = int(said[1]) if said and is_same and fault != "no range" else 0
            if start >= len(data):
                self.send_response(416)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
            if fault == "long":
                data += b"x"
                self.close_connection = True
            else:
                self.send_header("Content-Length", str(len(data) - start))
            self.send_header("ETag", tag)
            self.end_headers()
            if self.command == "HEAD":
                return
            if fault == "slow":
                told.released.wait(20)
            if fault == "drip":
                for place in range(start, len(data)):
                    self.wfile.write(data[place : place + 1])
                    if told.released.wait(0.05):
                        return
            data = data[start : start + fault] if isinstance(fault, int) else data[start:]
            self.wfile.write(data)
            self.close_connection = self.close_connection or isinstance(fault, int)

    with listening(Answers) as told.url:
        try:
            yield told
        finally:
            told.released.set()


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)
