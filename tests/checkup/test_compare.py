"""Ranks that are unlike the others."""

from dataclasses import replace

import pytest

from podium.checkup.advice import Level
from podium.checkup.compare import (
    Clock,
    Rank,
    Reduction,
    compare,
    compare_clocks,
    compare_reductions,
    compare_speeds,
    suspect_addresses,
)


def rank(number, host, local_rank=0, local_size=2, **changes):
    one = Rank(
        rank=number,
        host=host,
        local_rank=local_rank,
        local_size=local_size,
        python="3.12.1",
        torch="2.13.0",
        podium="0.1.0",
        cores="0-3",
        core_quota=None,
        num_threads=2,
        gpus=(),
        source="10.0.0.1",
        interface="eth0",
        own_address="10.0.0.1",
        named_interface=None,
    )
    return replace(one, **changes)


GOOD = [rank(0, "a"), rank(1, "a", 1), rank(2, "b"), rank(3, "b", 1)]


def changed(number, **changes):
    return [replace(one, **changes) if one.rank == number else one for one in GOOD]


def test_of_ranks_that_are_alike_there_is_nothing_to_say():
    assert compare(GOOD) == []
    assert compare([]) == []
    assert suspect_addresses(GOOD) == []


@pytest.mark.parametrize(
    ("ranks", "level", "words"),
    [
        (changed(3, torch="2.12.0"), Level.FAULT, "Rank 3 on b runs torch 2.12.0, rank 0 on a 2.13.0"),
        (changed(2, podium="0.2.0"), Level.FAULT, "Rank 2 on b runs podium 0.2.0"),
        (changed(1, python="3.11.7"), Level.SLOW, "Rank 1 on a runs python 3.11.7"),
        (changed(2, num_threads=4), Level.SLOW, "b has 4 cores for 2 processes with 6 threads"),
        (changed(2, core_quota=2.0), Level.SLOW, "b has 2 cores"),
        (changed(3, gpus=("H100",)), Level.FAULT, "Rank 0, 1, 2 on a, b sees no GPU"),
        ([replace(one, gpus=("H100",)) for one in GOOD], Level.FAULT, "2 processes were started on a, which has 1 GPU"),
        (
            [replace(one, gpus=("H100", "A100")) for one in GOOD],
            Level.SLOW,
            "The GPUs differ (A100, H100)",
        ),
    ],
)
def test_who_is_unlike_the_others_is_named(ranks, level, words):
    assert any(one.level == level and words in one.what for one in compare(ranks)), compare(ranks)


def test_threads_of_one_host_with_cores_of_their_own_are_no_fault():
    apart = [rank(0, "a", cores="0-1"), rank(1, "a", 1, cores="2-3")]
    assert compare(apart) == []
    assert compare([replace(one, cores="0-1") for one in apart]) != []


def test_a_name_that_leads_nowhere_for_others_is_suspect():
    found = suspect_addresses(changed(2, own_address="127.0.1.1", interface="eth7"))
    assert ["b's own name leads to 127.0.1.1" in one.what for one in found] == [True]
    assert "GLOO_SOCKET_IFNAME=eth7" in found[0].do
    assert suspect_addresses(changed(2, own_address="127.0.1.1", named_interface="eth7")) == []
    assert suspect_addresses([replace(one, host="a", own_address="127.0.1.1") for one in GOOD]) == []


def test_clocks_that_surely_differ_by_more_than_a_second_are_said():
    assert compare_clocks([Clock(2, "b", 0.9, 0.001), Clock(2, "b", 1.5, 0.8)]) == []
    ahead, behind = compare_clocks([Clock(2, "b", 5.0, 0.001), Clock(3, "c", -2.0, 0.001)])
    assert "b (rank 2) is 5.0 s ahead" in ahead.what
    assert "c (rank 3) is 2.0 s behind" in behind.what


def test_sums():
    word, large = Reduction(4, "cpu", 4, 1e-4, ()), Reduction(64 << 20, "cpu", 4, 0.1, ())
    assert compare_reductions([word, large], GOOD) == []
    assert large.bus_bytes_per_second == pytest.approx(1.5 * (64 << 20) / 0.1)
    (wrong,) = compare_reductions([word, replace(large, wrong=(3,))], GOOD)
    assert wrong.level == Level.FAULT
    assert "rank 3 on b" in wrong.what
    late, narrow = compare_reductions([replace(word, seconds=0.02), replace(large, seconds=1.0)], GOOD)
    assert "20.0 ms" in late.what
    assert "101 MB/s" in narrow.what
    assert compare_reductions([replace(word, seconds=0.02)], GOOD[:2]) == []  # one machine has no network


def test_a_slow_rank_is_named():
    measured = [replace(one, matmul_gflops=100.0) for one in GOOD]
    assert compare_speeds(measured) == compare_speeds(GOOD) == []
    measured[2] = replace(measured[2], matmul_gflops=50.0)
    (found,) = compare_speeds(measured)
    assert "Rank 2 on b" in found.what
