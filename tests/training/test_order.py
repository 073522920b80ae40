"""Order: permutations, and learned images left out."""

import torch

from podium.training.order import Order

CPU = torch.device("cpu")


def test_every_epoch_is_another_permutation():
    order = Order(50, 0, CPU, remembers=False)
    first, weights = order.epoch(0, 50)
    second, _ = order.epoch(1, 50)
    assert weights is None
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(50))
    assert not torch.equal(first, second)
    assert torch.equal(first, Order(50, 0, CPU, remembers=False).epoch(0, 50)[0])


def test_half_of_the_learned_images_are_left_out_and_the_others_count_double():
    order = Order(50, 0, CPU, remembers=True)
    learned = torch.arange(10, 30)
    order.note(torch.arange(50), torch.ones(50))
    order.note(learned, torch.full((20,), 0.1))
    order.begin()
    shown, weights = order.epoch(3, 40)
    assert len(shown) == len(set(shown.tolist())) == 40
    left_out = set(range(50)) - set(shown.tolist())
    assert left_out < set(learned.tolist())
    assert [weights[i].item() for i in range(50)] == [2.0 if 10 <= i < 30 else 1.0 for i in range(50)]
    assert set(range(50)) - set(order.epoch(4, 40)[0].tolist()) != left_out  # drawn anew


def test_what_is_learned_within_an_epoch_counts_from_the_next():
    order = Order(50, 0, CPU, remembers=True)
    order.note(torch.arange(50), torch.arange(50.0))
    order.begin()
    before = order.epoch(3, 40)[0]
    order.note(torch.arange(50), torch.arange(50.0).flip(0))
    assert torch.equal(order.epoch(3, 40)[0], before)
    again = Order(50, 0, CPU, remembers=True)
    again.load_state({name: tensor.clone() for name, tensor in order.state().items()})
    assert torch.equal(again.epoch(3, 40)[0], before)
    again.begin()
    assert not torch.equal(again.epoch(3, 40)[0], before)


def test_unseen_images_are_not_learned():
    order = Order(50, 0, CPU, remembers=True)
    order.note(torch.arange(10), torch.full((10,), 9.0))
    order.begin()
    assert set(range(50)) - set(order.epoch(1, 45)[0].tolist()) < set(range(10))
