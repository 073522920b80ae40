"""What a step's gradients are, beside the plain formula."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from podium.models import Classifier, Preprocessing
from podium.recipe import Recipe
from podium.runtime import Runtime
from podium.training.engine import Engine
from podium.training.gradient import Batch, Gradient

PREPROCESSING = Preprocessing(("a", "b", "c"), (12, 12), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
CPU = Runtime(torch.device("cpu"), torch.float32, 1)


def network(norm=True):
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8) if norm else nn.Identity(), nn.ReLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(800, 3))


def gradient_of(net, batch, **settings):
    recipe = Recipe(batch_size=len(batch.targets), **settings)
    engine = Engine(recipe, CPU)
    engine.begin(Classifier("sprint", net, PREPROCESSING)).train()
    losses, hits = Gradient(engine, recipe, 0)(batch, 5)
    return losses, hits, [parameter.grad for parameter in net.parameters()]


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return Batch(torch.randint(0, 256, (9, 3, 12, 12), dtype=torch.uint8), torch.tensor([0, 1, 2] * 3))


def close(one, other):
    return all(torch.allclose(a, b, rtol=1e-4, atol=1e-6) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("num_parts", [2, 4, 100])
def test_accumulated_parts_give_the_gradient_of_the_whole(batch, num_parts):
    whole = gradient_of(network(norm=False), batch)
    recipe = {"accumulate": min(num_parts, 4)}
    parts = gradient_of(network(norm=False), batch, **recipe)
    assert torch.allclose(parts[0], whole[0], atol=1e-5)
    assert torch.equal(parts[1], whole[1])
    assert close(parts[2], whole[2])


def test_no_part_has_fewer_images_than_two(batch):
    short = Batch(batch.pixels[:3], batch.targets[:3])
    net = network()
    recipe = Recipe(batch_size=9, accumulate=4)
    engine = Engine(recipe, CPU)
    engine.begin(Classifier("sprint", net, PREPROCESSING)).train()
    losses, _ = Gradient(engine, recipe, 0)(short, 0)  # an epoch's last batch; BN would refuse a single value a channel
    assert len(losses) == 3


def test_weights_and_blended_targets_enter_the_loss(batch):
    net = network(norm=False)
    part, weights = torch.linspace(0, 1, 9), torch.linspace(1, 2, 9)
    other = batch.targets.flip(0)
    mixed = Batch(batch.pixels, batch.targets, weights, other, part)
    losses, hits, grads = gradient_of(net, mixed, label_smoothing=0.1)

    plain = network(norm=False)
    logits = plain(PREPROCESSING.normalize(batch.pixels))
    one = F.cross_entropy(logits, batch.targets, label_smoothing=0.1, reduction="none")
    two = F.cross_entropy(logits, other, label_smoothing=0.1, reduction="none")
    expected = part * one + (1 - part) * two
    ((expected * weights).sum() / 9).backward()
    assert torch.allclose(losses, expected, atol=1e-5)
    assert close(grads, [parameter.grad for parameter in plain.parameters()])
    guesses = logits.argmax(1)
    assert torch.allclose(hits, part * (guesses == batch.targets) + (1 - part) * (guesses == other))


def test_clipping_cuts_the_length_and_keeps_the_direction(batch):
    plain = gradient_of(network(), batch)[2]
    length = torch.sqrt(sum((grad**2).sum() for grad in plain))
    cut = gradient_of(network(), batch, clip_norm=float(length) / 4)[2]
    assert close([4 * grad for grad in cut], plain)
    assert close(gradient_of(network(), batch, clip_norm=float(length) * 2)[2], plain)


def test_sam_takes_the_gradient_uphill_and_leaves_weights_and_statistics(batch):
    net, radius = network(), 0.3
    before = [parameter.detach().clone() for parameter in net.parameters()]
    losses, _, grads = gradient_of(net, batch, sam_radius=radius)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))

    plain = network()
    first = F.cross_entropy(plain(PREPROCESSING.normalize(batch.pixels)), batch.targets)
    first.backward()
    assert losses.mean() == pytest.approx(first.item(), rel=1e-5)
    assert torch.allclose(net[1].running_mean, plain[1].running_mean, atol=1e-6)  # as one pass leaves it
    with torch.no_grad():
        length = torch.sqrt(sum((parameter.grad**2).sum() for parameter in plain.parameters()))
        for parameter in plain.parameters():
            parameter.add_(radius * parameter.grad / length)
            parameter.grad = None
    F.cross_entropy(plain(PREPROCESSING.normalize(batch.pixels)), batch.targets).backward()
    assert close(grads, [parameter.grad for parameter in plain.parameters()])


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.main, self.other = nn.Linear(432, 3), nn.Linear(432, 3)

    def forward(self, x):
        x = x.flatten(1)
        return [self.main(x), self.other(x)] if self.training else self.main(x)


def test_auxiliary_heads_add_their_part_to_the_loss(batch):
    torch.manual_seed(0)
    net = TwoHeads()
    losses, hits, _ = gradient_of(net, batch, auxiliary_weight=0.3)
    main, other = net(PREPROCESSING.normalize(batch.pixels))
    expected = F.cross_entropy(main, batch.targets, reduction="none")
    expected = expected + 0.3 * F.cross_entropy(other, batch.targets, reduction="none")
    assert torch.allclose(losses, expected, atol=1e-5)
    assert torch.equal(hits, (main.argmax(1) == batch.targets).float())
