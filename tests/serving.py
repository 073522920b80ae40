"""A server as a process of its own, for tests."""

import functools
import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
from uploads import picture_bytes

__all__ = ["Server", "patiently"]

PROGRAM = """
import json, sys
from podium import api
from podium.delivery.serve import Limits
limits = Limits(**json.loads(sys.argv[2]))
api.serve(sys.argv[1], port=0, limits=limits, on_ready=lambda address: print(address, flush=True))
"""


class Server:
    """Serves a run on a free port, to as slow a client as a busy machine makes; stops at the end of its context."""

    def __init__(self, run, **limits):
        limits = {"header_seconds": 120, "body_seconds": 120, "max_bytes": 2**20, "max_pixels": 10**6} | limits
        command = [sys.executable, "-c", PROGRAM, str(run.path), json.dumps(limits)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().strip()
        self.port = int(self.address.rpartition(":")[2])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=120)

    def post(self, data, query=""):
        return httpx.post(
            f"{self.address}/predict{query}", content=data, headers={"Content-Type": "image/png"}, timeout=120
        )

    def get(self, path):
        return httpx.get(f"{self.address}{path}", timeout=120)

    def is_well(self):
        return self.post(picture_bytes()).status_code == 200

    def in_flight(self):
        return int(re.search(r"^podium_requests_in_flight (\d+)", self.get("/metrics").text, re.M)[1])

    def wait_for(self, in_flight):
        for _ in range(600):
            if self.in_flight() == in_flight:
                return
            time.sleep(0.05)
        raise AssertionError(f"never {in_flight} in flight")

    def memory(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def patiently(test):
    """Tries a test again that asks how a server with little patience answers: a busy machine may use that up itself."""

    @functools.wraps(test)
    def tried(*given, **named):
        for _ in range(6):
            try:
                return test(*given, **named)
            except (AssertionError, OSError):
                time.sleep(1)
        return test(*given, **named)

    return tried
