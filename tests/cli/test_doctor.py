"""podium doctor on this machine."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from podium.checkup import timing
from podium.cli import app

WITHOUT_TORCH = "import sys; sys.modules['torch'] = None; from podium.cli import main; main()"


def invoke(*words):
    result = CliRunner().invoke(app, ["doctor", *words], catch_exceptions=False)
    return result.exit_code, result.stdout


def test_it_says_what_there_is():
    status, text = invoke()
    assert status == 0
    for word in ("processor", "cores", "bf16", "memory", "/dev/shm", "cache", "torch", "allocator", "compiler"):
        assert word in text
    assert "can't work" not in text


def test_it_measures_when_asked(monkeypatch):
    monkeypatch.setattr(timing, "SECONDS", 0.01)
    status, text = invoke("--time", "--json")
    found = json.loads(text)
    assert status == 0
    assert found["works"] is True
    assert found["preflight"] is None
    speeds = found["speeds"]
    assert all(value > 0 for name, value in speeds.items() if name != "device")
    assert 90_000 < speeds["jpeg_bytes"] < 130_000
    status, text = invoke("--time")
    assert "GFLOP/s" in text
    assert "JPEG/s" in text


@pytest.mark.parametrize("as_json", [False, True])
def test_what_keeps_podium_from_working_gives_status_2(monkeypatch, tmp_path, as_json):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "file" / "cache"))
    status, text = invoke(*(["--json"] if as_json else []))
    assert status == 2
    assert str(tmp_path / "file") in text
    if as_json:
        found = json.loads(text)
        assert found["works"] is False
        assert found["findings"][0]["level"] == "fault"
    else:
        assert "PODIUM_CACHE" in text


def test_without_torch_it_says_so():
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, "doctor"], capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert "torch can't be imported" in done.stdout
    assert "pip install" in done.stdout
