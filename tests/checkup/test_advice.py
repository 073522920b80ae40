"""What is said of made-up machines."""

from dataclasses import replace

import pytest

from podium.checkup.advice import Level, advise
from podium.checkup.gpus import GPU, has_kernels
from podium.checkup.machine import Cache, Machine, Torch, bf16_instructions, look
from podium.checkup.packages import is_older, look_for_packages

GIB = 2**30
GOOD = Machine(
    host="here",
    system="Linux 6.1, x86_64",
    processor="one",
    num_cores=8,
    cores="0-7",
    core_quota=None,
    num_usable_cores=8,
    num_processes=1,
    bf16=("AVX-512 BF16",),
    memory_bytes=32 * GIB,
    available_bytes=24 * GIB,
    memory_limit_bytes=None,
    shm_bytes=16 * GIB,
    shm_free_bytes=16 * GIB,
    gpus=(),
    gpu_problem=None,
    torch=Torch("2.13.0", None, has_onednn=True, instructions="AVX512", num_threads=8),
    torch_problem=None,
    compiler="/usr/bin/g++",
    allocator="glibc 2.36",
    keeps_memory=True,
    settings={},
    cache=Cache("/home/me/.cache/podium", is_writable=True, free_bytes=100 * GIB),
    python="3.12.1",
    packages=(),
)
H100 = GPU("H100", 80 * GIB, "9.0", has_kernels=True)


def test_of_a_good_machine_there_is_nothing_to_say():
    assert advise(GOOD) == []


@pytest.mark.parametrize(
    ("change", "level", "word"),
    [
        ({"torch": None, "torch_problem": "ImportError: libfoo.so"}, Level.FAULT, "libfoo"),
        ({"cache": Cache("/x", is_writable=False, free_bytes=None)}, Level.FAULT, "/x"),
        ({"cache": Cache(None, is_writable=False, free_bytes=None, problem="no home")}, Level.FAULT, "no home"),
        ({"cache": Cache("/x", is_writable=True, free_bytes=GIB)}, Level.SLOW, "1.0 GiB"),
        ({"packages": look_for_packages(["nosuchthing>=1.2"])}, Level.FAULT, "nosuchthing is missing"),
        ({"packages": look_for_packages(["numpy>=999"])}, Level.FAULT, "too old"),
        ({"packages": look_for_packages(["nosuchthing; extra == 'parquet'"])}, Level.HINT, "Parquet"),
        ({"core_quota": 2.0, "num_usable_cores": 2}, Level.HINT, "2 of 8"),
        ({"cores": "0-1", "num_usable_cores": 2}, Level.HINT, "cores 0-1"),
        ({"num_usable_cores": 4}, Level.SLOW, "8 threads, for 4 cores"),
        (
            {"torch": replace(GOOD.torch, num_threads=1), "settings": {"OMP_NUM_THREADS": "1"}},
            Level.SLOW,
            "1 of 8",
        ),
        ({"torch": replace(GOOD.torch, has_onednn=False)}, Level.SLOW, "oneDNN"),
        ({"bf16": ()}, Level.SLOW, "fp32"),
        ({"compiler": None}, Level.HINT, "compiler"),
        ({"gpu_problem": "the driver is too old"}, Level.SLOW, "driver is too old"),
        ({"gpus": (replace(H100, has_kernels=False),)}, Level.FAULT, "H100"),
        ({"gpus": (GPU("T4", 16 * GIB, "7.5", has_kernels=True),)}, Level.SLOW, "no bf16"),
        ({"gpus": (H100, H100)}, Level.HINT, "2 GPUs"),
        ({"available_bytes": GIB}, Level.SLOW, "1.0 GiB"),
        ({"shm_bytes": 64 * 2**20, "shm_free_bytes": 64 * 2**20}, Level.SLOW, "64 MiB"),
        ({"allocator": "jemalloc", "keeps_memory": False}, Level.SLOW, "jemalloc"),
        ({"settings": {"ATEN_CPU_CAPABILITY": "default"}}, Level.SLOW, "ATEN_CPU_CAPABILITY"),
    ],
)
def test_what_is_wrong_is_said(change, level, word):
    found = advise(replace(GOOD, **change))
    assert any(word in one.what and one.level == level for one in found), found


def test_a_gpu_makes_the_processors_lacks_unimportant():
    one = replace(GOOD.torch, num_threads=1)
    lacking = replace(GOOD, bf16=(), compiler=None, torch=one, settings={"OMP_NUM_THREADS": "1"})
    assert advise(lacking) != []
    assert advise(replace(lacking, gpus=(H100,))) == []


def test_the_worst_comes_first():
    machine = replace(GOOD, compiler=None, bf16=(), cache=Cache("/x", is_writable=False, free_bytes=None))
    assert [one.level for one in advise(machine)] == [Level.FAULT, Level.SLOW, Level.HINT]


@pytest.mark.parametrize(
    ("capability", "built_for", "expected"),
    [
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["sm_80", "compute_80"], True),
        ((12, 0), ["sm_90a"], False),
        ((9, 0), ["sm_90a"], True),
        ((10, 3), ["sm_100f"], True),
        ((12, 0), ["sm_100f", "sm_120"], True),
        ((6, 1), ["sm_75", "compute_75"], False),
    ],
)
def test_machine_code_runs_on_later_minor_versions_and_ptx_on_all_later_ones(capability, built_for, expected):
    assert has_kernels(capability, built_for) is expected


@pytest.mark.parametrize(
    ("version", "other", "expected"),
    [("2.9.1+cpu", "2.10", True), ("2.10", "2.9", False), ("13", "13.0.0", False), ("0.4.3rc1", "0.4.4", True)],
)
def test_versions_are_compared_by_number(version, other, expected):
    assert is_older(version, other) is expected


def test_requirements_of_other_systems_are_left_out():
    names = [one.name for one in look_for_packages(["numpy>=1", "foo; sys_platform == 'win32'", "a; extra == 'b'"])]
    assert names == ["numpy", "a"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 amx_bf16\n", ("AVX-512 BF16", "AMX")),
        ("Features\t: fp asimd sve svebf16 bf16\n", ("Arm BF16", "SVE BF16")),
        ("flags\t\t: fpu avx512f\n", ()),
        ("", ()),
    ],
)
def test_bf16_is_read_from_the_processors_flags(tmp_path, line, expected):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "cpuinfo").write_text(f"processor : 0\n{line}")
    assert bf16_instructions(tmp_path) == expected


def test_this_machine_can_be_looked_at():
    machine = look()
    assert machine.torch is not None
    assert 1 <= machine.num_usable_cores <= machine.num_cores
    assert 0 < machine.available_bytes <= machine.memory_bytes
    assert not [one for one in advise(machine) if one.level == Level.FAULT]


def test_a_cache_that_cannot_be_made_is_seen(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "file" / "cache"))
    assert not look().cache.is_writable
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path / "none" / "yet"))
    assert look().cache.is_writable
    assert not (tmp_path / "none").exists()
    monkeypatch.setenv("PODIUM_CACHE", str(tmp_path))
    assert look().cache.is_writable
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
