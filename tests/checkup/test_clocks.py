"""Clocks that go wrong by a known amount, and addresses."""

import socket
import threading
import time

import pytest

from podium.checkup import clocks, network


def offsets(skews):
    """What each of some clocks, wrong by so many seconds, measures against a right one."""
    from torch import distributed

    store, found = distributed.HashStore(), {}

    def one(name, skew):
        found[name] = clocks.ask(store, name, 20, lambda: time.time() + skew)

    threads = [threading.Thread(target=one, args=(str(i), skew)) for i, skew in enumerate(skews)]
    for thread in threads:
        thread.start()
    clocks.answer(store, [str(i) for i in range(len(skews))], 20)
    for thread in threads:
        thread.join()
    return [found[str(i)] for i in range(len(skews))]


def test_a_clocks_offset_is_measured_within_its_uncertainty():
    skews = [0.0, 5.0, -100.0]
    for skew, offset in zip(skews, offsets(skews), strict=True):
        assert abs(offset.seconds - skew) <= offset.uncertainty + 1e-3
        assert offset.uncertainty < 1


def test_who_does_not_ask_is_not_waited_for_longer():
    from torch import distributed

    with pytest.raises(RuntimeError):
        clocks.answer(distributed.HashStore(), ["1"], 0.1)


def test_addresses():
    route = network.route_to("localhost", 29500)
    assert set(route.addresses) & {"127.0.0.1", "::1"}
    assert network.is_loopback(route.source)
    assert route.interface == "lo"
    nowhere = network.route_to("no..name", 29500)
    assert (nowhere.addresses, nowhere.source) == ((), None)


@pytest.mark.parametrize(
    ("address", "expected"), [("127.0.1.1", True), ("::1", True), ("10.0.0.3", False), (None, False)]
)
def test_addresses_that_others_cannot_reach(address, expected):
    assert network.is_loopback(address) is expected


def test_the_interface_of_an_address_is_found():
    names = [name for _, name in socket.if_nameindex()]
    found = [network.interface_of(address) for address in network.resolve(socket.gethostname())]
    assert all(name is None or name in names for name in found)
    assert network.interface_of("203.0.113.77") is None
