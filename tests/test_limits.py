"""Cores and memory, read from made-up /proc and /sys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium import limits

GIB = 2**30


def machine(folder, files):
    """A root folder with these files; 16 GiB of memory, 8 GiB of them available, unless they say otherwise."""
    meminfo = f"MemTotal: {16 * GIB // 1024} kB\nMemFree: 1 kB\nMemAvailable: {8 * GIB // 1024} kB\n"
    for name, text in {"proc/meminfo": meminfo, **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_without_control_groups_there_is_no_limit(tmp_path):
    root = machine(tmp_path, {})
    assert limits.core_quota(root) is None
    assert limits.memory(root) == limits.Memory(16 * GIB, 8 * GIB, None)
    assert limits.num_usable_cores(root) == len(limits.allowed_cores())


def test_version_2_counts_the_groups_that_it_lies_in(tmp_path):
    group = "sys/fs/cgroup/a"
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            f"{group}/cpu.max": "150000 100000\n",
            f"{group}/b/cpu.max": "max 100000\n",
            f"{group}/memory.max": f"{4 * GIB}\n",
            f"{group}/memory.current": f"{3 * GIB}\n",
            f"{group}/memory.stat": f"anon 5\ninactive_file {GIB}\n",
            f"{group}/b/memory.max": "max\n",
        },
    )
    assert limits.core_quota(root) == 1.5
    assert limits.num_usable_cores(root) == min(2, len(limits.allowed_cores()))
    assert limits.memory(root) == limits.Memory(16 * GIB, 2 * GIB, 4 * GIB)


def test_version_1_in_a_container_whose_path_is_the_hosts(tmp_path):
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "7:memory:/docker/0123\n3:cpu,cpuacct:/docker/0123\n0::/\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2 * GIB}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{GIB}\n",
        },
    )
    assert limits.core_quota(root) == 0.5
    assert limits.num_usable_cores(root) == 1
    assert limits.memory(root) == limits.Memory(16 * GIB, GIB, 2 * GIB)


def test_version_1_without_limits(tmp_path):
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "7:memory:/x\n3:cpu:/x\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n",
            "sys/fs/cgroup/memory/x/memory.usage_in_bytes": "5\n",
        },
    )
    assert limits.core_quota(root) is None
    assert limits.memory(root).limit is None


@pytest.mark.parametrize("text", ["", "rubbish", "5 0", "1 2 3"])
def test_what_makes_no_sense_is_no_limit(tmp_path, text):
    root = machine(tmp_path, {"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": text})
    assert limits.core_quota(root) is None


@given(st.frozensets(st.integers(0, 200)))
def test_ranges_of_cores_say_the_same_cores(cores):
    assert limits.cores_in(limits.core_ranges(cores)) == cores


def test_ranges_are_written_as_the_kernel_does():
    assert limits.core_ranges(frozenset({0, 1, 2, 5, 7, 8})) == "0-2,5,7-8"
