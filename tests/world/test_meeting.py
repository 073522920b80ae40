"""How processes find each other, and what is said when some don't come."""

import json
import threading

import pytest
from processes import free_port

from podium.errors import WorldError
from podium.world.launch import Launch
from podium.world.meeting import about_me, check_alike, connect, meet


def place(rank, port, size=2):
    return Launch(rank, size, rank, size, "127.0.0.1", port, False, None)


def test_who_does_not_come_is_named():
    port = free_port()
    store = connect(place(0, port, 3), 10)
    store.set("podium/1", json.dumps(about_me()))
    with pytest.raises(WorldError, match=r"rank 1, 2 didn't come|rank 2 didn't come"):
        meet(store, place(0, port, 3), 0.3)
    with pytest.raises(WorldError, match=r"Rank 2 on .* waited"):
        meet(store, place(2, port, 3), 0.3)


def test_nobody_there(capfd):
    with pytest.raises(WorldError, match=r"can't reach 127\.0\.0\.1:\d+, .*: connection refused, for 0\.5 s\."):
        connect(place(1, free_port()), 0.5)
    assert "Exception raised from" not in capfd.readouterr().err  # torch's own many lines


def test_what_a_former_start_left_in_the_store_is_not_believed():
    port = free_port()
    store = connect(place(0, port), 10)
    stale = [about_me(), about_me()]
    for rank, one in enumerate(stale):
        store.set(f"podium/{rank}", json.dumps(one))
    store.set("podium/all", json.dumps(stale))
    met = {}

    def go(rank):
        own = store if rank == 0 else connect(place(1, port), 10)
        met[rank] = meet(own, place(rank, port), 60)

    threads = [threading.Thread(target=go, args=(rank,)) for rank in (1, 0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    tokens = {one["token"] for one in stale}
    assert met[0] == met[1]
    assert tokens.isdisjoint(one["token"] for one in met[0])


def test_other_versions_are_said():
    one, other = about_me(), about_me()
    check_alike([one, other])
    for key in ("torch", "podium"):
        with pytest.raises(WorldError, match=rf"Rank 1 on .* runs {key} 0.0.1, rank 0 on"):
            check_alike([one, {**other, key: "0.0.1"}])
