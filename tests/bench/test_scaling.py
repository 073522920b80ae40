"""The bench of several processes, with next to no work."""

import json
import sys

import pytest
import scaling


@pytest.mark.slow
def test_a_try_measures_all_and_writes_nothing(monkeypatch, capsys):
    words = ["--recipes", "sprint_small", "--rounds", "1", "--steps", "2", "--set", "batch_size=8"]
    monkeypatch.setattr(sys, "argv", ["scaling.py", *words])
    monkeypatch.setattr(scaling, "write_result", None)
    scaling.main()
    said = capsys.readouterr().out
    figures = json.loads(said[said.index("{") :])["sprint_small"]
    assert set(figures["images_per_second"]) == set(scaling.COMPETITORS)
    synced, apart = figures["bytes_per_step"].values()
    # float32 gradients of all but the whitening filters (24·3·2·2) and BN's scales (2·(64 + 256 + 256))
    assert synced["gradients"] == apart["gradients"] == 4 * (1_972_792 - 288 - 1152)
    # forward: a count, means and variances in float64; back: two sums in float32; and small words now and then
    channels = 2 * (64 + 256 + 256)
    assert synced["all_gather"] - apart["all_gather"] == 8 * (2 * channels + 6)
    assert synced["all_reduce"] - apart["all_reduce"] == 4 * 2 * channels


def test_ratios_are_taken_within_a_round():
    speeds = [{scaling.ONE: 10, scaling.TWO_THREADS: 20, scaling.TWO_PROCESSES: 15}, {scaling.ONE: 100}]
    speeds[1] |= {scaling.TWO_THREADS: 150, scaling.TWO_PROCESSES: 180}
    rounds = [{name: {"speed": one.get(name, 1), "bytes": {}} for name in scaling.COMPETITORS} for one in speeds]
    figures = scaling.summed_up(rounds)
    assert figures["efficiency"] == {"median": 0.825, "min": 0.75, "max": 0.9, "n": 2}
    assert figures["against 1 process × 2 threads"]["max"] == 1.2
