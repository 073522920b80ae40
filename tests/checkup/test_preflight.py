"""podium doctor with two processes, as a user starts them."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time

import pytest

DOCTOR = ["-m", "podium", "doctor"]
TAMPERED = """
import os, sys
if os.environ["RANK"] == "1":
    from podium.world import meeting
    from podium.checkup import clocks
    what = os.environ["TAMPER"]
    if "torch" in what:
        about = meeting.about_me
        meeting.about_me = lambda: about() | {"torch": "1.0"}
    if "clock" in what:
        ask = clocks.ask
        clocks.ask = lambda store, name, seconds: ask(store, name, seconds, lambda: __import__("time").time() + 5)
    if "silent" in what:
        clocks.ask = lambda *_: os._exit(7)
    if "sum" in what:
        from torch import distributed
        reduce = distributed.all_reduce
        distributed.all_reduce = lambda tensor, *args, **kwargs: (reduce(tensor), tensor.add_(1))
from podium.cli import main
main()
"""


def environment(**more):
    return {**os.environ, "OMP_NUM_THREADS": "1", **more}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def together(*words, command=DOCTOR, ranks=(0, 1), address="127.0.0.1", **more):
    """Two processes as of two machines, started by hand; exit status, stdout and stderr of each."""
    port, started = str(free_port()), []
    for rank in ranks:
        place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": address, "MASTER_PORT": port}
        started.append(
            subprocess.Popen(
                [sys.executable, *command, *words],
                env=environment(**place, LOCAL_RANK="0", LOCAL_WORLD_SIZE="1", **more),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [one.communicate(timeout=60) for one in started]
    return [(one.returncode, *words) for one, words in zip(started, said, strict=True)]


def tampered(what, *words):
    return together("doctor", "--json", "--wait", "15", *words, command=["-c", TAMPERED], TAMPER=what)


def test_torchrun_starts_two_that_work():
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *DOCTOR, "--json"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)  # one document: rank 0's
    assert found["works"] is True
    world = found["preflight"]
    assert [one["rank"] for one in world["ranks"]] == [0, 1]
    assert world["clocks"] == []  # one machine has one
    assert [one["num_bytes"] for one in world["reductions"]] == [4, 4 << 20, 64 << 20]
    assert all(one["wrong"] == [] and one["seconds"] > 0 for one in world["reductions"])


def test_another_version_is_a_fault_of_the_rank_that_has_it():
    first, second = tampered("torch")
    assert (first[0], second[0]) == (2, 2)
    found = json.loads(first[1])
    assert found["works"] is False
    assert found["preflight"]["reductions"] == []
    assert any("Rank 1 on" in one["what"] and "torch 1.0" in one["what"] for one in found["findings"])


def test_a_wrong_clock_and_a_wrong_sum_are_seen():
    first, second = tampered("clock sum")
    assert (first[0], second[0]) == (2, 2)
    assert "Traceback" not in first[2] + second[2]
    found = json.loads(first[1])
    (clock,) = found["preflight"]["clocks"]
    assert clock["seconds"] == pytest.approx(5, abs=clock["uncertainty"] + 0.05)
    assert all(one["wrong"] == [1] for one in found["preflight"]["reductions"])
    said = " ".join(one["what"] for one in found["findings"])
    assert "5.0 s ahead" in said
    assert "wrong on rank 1" in said
    assert second[1] == ""


def test_a_rank_that_does_not_come_is_named_in_time():
    began = time.monotonic()
    ((status, out, err),) = together("--wait", "2", ranks=(0,))
    assert status == 2
    assert "rank 1 didn't come" in out
    assert "within 2 s" in out
    assert "processor" in out  # what was found is shown all the same
    assert "Traceback" not in err
    assert time.monotonic() - began < 50


def test_a_rank_that_ends_in_the_middle_is_named():
    first, _ = together("doctor", "--wait", "2", command=["-c", TAMPERED], TAMPER="silent")
    assert first[0] == 2
    assert "rank 1 then fell silent for 2 s" in first[1]


def test_a_name_that_is_not_known_is_said_by_who_does_not_know_it():
    ((status, out, err),) = together("--wait", "2", ranks=(1,), address="no..name")
    assert (status, out) == (2, "")
    assert "Rank 1 on" in err
    assert "doesn't know the name no..name" in err


@pytest.fixture
def two_hosts():
    """Words in front of a command that run it on one or the other of two machines with a cable between."""
    mark = str(os.getpid())
    names, ends = [f"pd-{one}{mark}" for one in "ab"], [f"pd{one}{mark}" for one in "ab"]

    def ip(*words):
        subprocess.run(["ip", *words], check=True, capture_output=True)

    if os.name != "posix" or os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        pytest.skip("network namespaces take root, ip and unshare")
    try:
        for name in names:
            ip("netns", "add", name)
        ip("link", "add", ends[0], "netns", names[0], "type", "veth", "peer", "name", ends[1], "netns", names[1])
        for number, (name, end) in enumerate(zip(names, ends, strict=True), 1):
            ip("-n", name, "addr", "add", f"10.77.0.{number}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        # a name server that isn't there would be waited for
        start = 'hostname "$0" && mount --bind /dev/null /etc/resolv.conf && exec "$@"'
        yield (
            [
                ["ip", "netns", "exec", name, "unshare", "--uts", "--mount", "sh", "-c", start, host]
                for name, host in zip(names, ("alpha-podium", "beta-podium"), strict=True)
            ],
            ends,
        )
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespaces here: {error.stderr}")
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def on(hosts, ends, wait):
    """Doctor on both machines; gloo is told the interface where `ends` are given."""
    started = []
    for rank, words in enumerate(hosts):
        place = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "10.77.0.1", "MASTER_PORT": "29777"}
        place |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
        place |= {"GLOO_SOCKET_IFNAME": ends[rank]} if ends else {}
        command = [*words, sys.executable, *DOCTOR, "--json", "--wait", str(wait)]
        started.append(subprocess.Popen(command, env=environment(**place), stdout=subprocess.PIPE, text=True))
    said = [one.communicate(timeout=60)[0] for one in started]
    return [one.returncode for one in started], json.loads(said[0])


@pytest.mark.slow
def test_two_machines_whose_names_lead_nowhere_are_told_the_cure_and_it_cures(two_hosts):
    hosts, ends = two_hosts
    status, found = on(hosts, None, 5)
    assert status == [2, 2]
    faults = [one for one in found["findings"] if one["level"] == "fault"]
    for one, host, end in zip(faults, ("alpha-podium", "beta-podium"), ends, strict=False):
        assert f"{host}'s own name leads to no address" in one["what"]
        assert f"GLOO_SOCKET_IFNAME={end}" in one["do"]
    status, found = on(hosts, ends, 15)
    assert status == [0, 0]
    assert [one["host"] for one in found["preflight"]["clocks"]] == ["beta-podium"]
    assert [one["source"] for one in found["preflight"]["ranks"]] == ["10.77.0.1", "10.77.0.2"]
