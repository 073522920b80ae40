"""Harm comes to a training under torchrun: it is started anew, and ends with the bits of an untroubled one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from processes import answers, free_port
from tasks import weights_of

SETTINGS = {"epochs": 2.0, "batch_size": 16, "precision": "fp32", "hold_out": 0.2}  # 6 steps, 3 an epoch
WORKER = Path(__file__).parents[1] / "worker.py"
SECONDS = 240


@pytest.fixture(scope="module")
def untroubled(tiny_competition, tmp_path_factory):
    """The weights of a training that nothing happens to, for each number of processes; computed once."""
    known = {}

    def of(num):
        if num not in known:
            out = tmp_path_factory.mktemp("untroubled") / "run"
            given = (str(tiny_competition), str(out), "sprint_small", SETTINGS)
            heard = answers(num, "train", *given)
            assert [answer.status for answer in heard] == [0] * num, heard
            known[num] = heard[0].value["weights"]
        return known[num]

    return of


@contextmanager
def started(task, *words, before=(), **env):
    """A torchrun that runs the worker; killed with its processes at the end, if it is still there."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **env}
    command = [*before, sys.executable, "-m", "torch.distributed.run", *words, str(WORKER), json.dumps(task)]
    with Path(task["out"] + f".{words[-1]}.err").open("w+") as err:
        process = subprocess.Popen(command, stdout=err, stderr=err, env=environment, start_new_session=True)
        try:
            yield process, err
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ended(process, err):
    status = process.wait(SECONDS)
    err.seek(0)
    return status, err.read()


def steps_of(task):
    path = Path(task["out"] + ".steps")
    return [int(line) for line in path.read_text().split()] if path.exists() else []


@pytest.mark.parametrize("num", [2, 4])
def test_a_worker_killed_within_an_epoch_changes_no_bit(tiny_competition, tmp_path, untroubled, num):
    harm = {"rank": num - 1, "step": 4, "signal": int(signal.SIGKILL)}
    task = {"data": str(tiny_competition), "out": str(tmp_path / "run"), "settings": SETTINGS, "harm": harm}
    words = ("--standalone", "--nproc-per-node", str(num), "--max-restarts", "1")
    with started(task, *words) as (process, err):
        status, said = ended(process, err)
    assert status == 0, said
    steps = steps_of(task)
    assert steps[-1] == 6
    assert len(steps) <= 8  # it went on from a checkpoint: at most one step and the one under way anew
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert len(manifest["resumed"]) == 1
    assert manifest["resumed"][0]["differences"] == []
    assert weights_of(tmp_path / "run" / "model.safetensors") == untroubled(num)


# ---- two machines


def ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=60)


@pytest.fixture
def two_hosts():
    """Two network namespaces joined by a cable; gives their names, and the interface's, which is the same in both."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        pytest.skip("network namespaces take root and iproute2")
    hosts = [f"podium{os.getpid()}{end}" for end in "ab"]
    try:
        for host in hosts:
            ip("netns", "add", host)
    except (subprocess.SubprocessError, OSError):
        pytest.skip("no network namespaces can be made here")
    try:
        ip("link", "add", "cable", "netns", hosts[0], "type", "veth", "peer", "name", "cable", "netns", hosts[1])
        for number, host in enumerate(hosts, 1):
            ip("-n", host, "address", "add", f"10.77.0.{number}/24", "dev", "cable")
            for name in ("lo", "cable"):
                ip("-n", host, "link", "set", name, "up")
        yield hosts
    finally:
        for host in hosts:
            with suppress(subprocess.SubprocessError):
                ip("netns", "delete", host)


@pytest.mark.slow
@pytest.mark.parametrize("cut", ["shorter than the timeout", "longer than the timeout"])
def test_a_host_cut_off_for_a_while_changes_no_bit(tiny_competition, tmp_path, untroubled, two_hosts, cut):
    is_short = cut.startswith("shorter")
    task = {"data": str(tiny_competition), "out": str(tmp_path / "run"), "settings": SETTINGS, "pause": 0.3}
    port = free_port()

    def torchrun(number):
        words = ["--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3", "--rdzv-id", "night"]
        words += ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"10.77.0.1:{port}"]
        # what a machine finds out by itself from its own name, which these two share
        words += ["--local-addr", f"10.77.0.{number}", "--rdzv-conf", f"is_host={number == 1}"]
        before = ("ip", "netns", "exec", two_hosts[number - 1])
        env = {"GLOO_SOCKET_IFNAME": "cable", "PODIUM_TIMEOUT": "60" if is_short else "3"}
        return started(task, *words, before=before, **env)

    with torchrun(1) as one, torchrun(2) as other:
        end = time.monotonic() + SECONDS
        while len(steps_of(task)) < 2 and time.monotonic() < end and one[0].poll() is None:
            time.sleep(0.05)
        ip("-n", two_hosts[1], "link", "set", "cable", "down")
        time.sleep(2 if is_short else 7)
        ip("-n", two_hosts[1], "link", "set", "cable", "up")
        outcomes = [ended(*one), ended(*other)]
    assert [status for status, _ in outcomes] == [0, 0], outcomes
    assert steps_of(task)[-1] == 6
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert len(manifest.get("resumed", [])) == (0 if is_short else 1)
    assert ("WorldError" in outcomes[0][1] or "waited up to 3 s" in outcomes[0][1]) != is_short
    assert weights_of(tmp_path / "run" / "model.safetensors") == untroubled(2)
