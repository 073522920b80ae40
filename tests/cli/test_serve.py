"""podium serve, as a user meets it."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request

import pytest
from typer.testing import CliRunner
from uploads import picture_bytes

from podium.cli import app
from podium.errors import RunError, ServeError


def invoke(*words):
    return CliRunner().invoke(app, ["serve", *map(str, words)], catch_exceptions=False)


@pytest.mark.parametrize("shipped", [False, True])
def test_it_serves_until_it_is_told_to_stop(tiny_run, shipped):
    run = [] if shipped else [str(tiny_run.path)]
    command = [sys.executable, "-m", "podium", "serve", *run, "--port", "0", "--threads", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline()
            address = said.split()[4]
            assert said.startswith(f"{'builtin:cifar10' if shipped else tiny_run.path} is served at {address}")
            assert address.startswith("http://127.0.0.1:")
            request = urllib.request.Request(f"{address}/predict?top=1", picture_bytes(), {"Content-Type": "image/png"})
            with urllib.request.urlopen(request) as answer:
                (image,) = json.load(answer)["images"]
            assert len(image["classes"]) == 1
            assert image["unknown"] in (True, False)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=240)
        finally:
            process.kill()
    assert (process.returncode, err) == (0, "")


def test_a_run_that_is_not_there(tmp_path):
    with pytest.raises(RunError, match="no run"):
        invoke(tmp_path / "nothing")


def test_without_its_packages_it_says_what_to_install(tiny_run, monkeypatch):
    monkeypatch.setattr("podium.api.serving.find_spec", lambda name: None if name == "uvicorn" else object())
    with pytest.raises(ServeError) as error:
        invoke(tiny_run.path)
    lines = str(error.value).splitlines()
    assert len(lines) == 2
    assert "uvicorn" in lines[0]
    assert "pip install 'podium-vision[serve]'" in lines[1]


def test_an_address_that_is_taken(tiny_run):
    pytest.importorskip("fastapi")
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServeError, match="can't be listened on"):
        invoke(tiny_run.path, "--port", taken.getsockname()[1])


def test_the_verb_imports_nothing_heavy():
    heavy = "{'fastapi', 'uvicorn', 'starlette', 'python_multipart'}"
    code = f"import sys, podium.cli.serve, podium.api; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
