import pytest
import torch
from torch import nn

from podium import models
from podium.evaluation.grad_cam import grad_cam
from podium.models import Classifier, Preprocessing


def classifier_of(network, num_classes, side):
    names = tuple(str(number) for number in range(num_classes))
    return Classifier("toy", network, Preprocessing(names, (side, side), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))


class Toy(nn.Module):
    """Two feature maps, red and green; logit 0 is 3 mean(red) - mean(green), logit 1 the opposite."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[1.0, 0, 0], [0, 1, 0]]).view(2, 3, 1, 1))
            self.head.weight.copy_(torch.tensor([[3.0, -1], [-3, 1]]))

    def forward(self, x):
        return self.head(self.conv(x).mean((2, 3)))


def test_the_map_of_a_known_network_is_the_one_computed_by_hand():
    pixels = torch.zeros(2, 3, 2, 2, dtype=torch.uint8)
    pixels[0, 0] = torch.tensor([[51, 0], [102, 0]])  # red: 0.2, 0.4
    pixels[0, 1] = torch.tensor([[0, 255], [153, 0]])  # green: 1, 0.6
    pixels[1, 0, 0, 0] = 255
    # weights are the gradients' means: 3/4 and -1/4 for logit 0. Then red 3/4 - green 1/4, cut at 0, over the largest
    heat = grad_cam(classifier_of(Toy(), 2, 2), pixels, torch.tensor([0, 0]))
    expected = torch.tensor([[0.2 * 3, 0], [0.4 * 3 - 0.6, 0]])
    assert torch.allclose(heat[0], expected / expected.max(), atol=1e-6)
    assert torch.allclose(heat[1], torch.tensor([[1.0, 0], [0, 0]]))
    # for the other class the signs turn: only green speaks
    heat = grad_cam(classifier_of(Toy(), 2, 2), pixels, torch.tensor([1, 1]))
    assert torch.allclose(heat[0], torch.tensor([[0.0, 1], [0, 0]]))
    assert heat[1].tolist() == [[0, 0], [0, 0]]  # nothing does, and nothing is divided by 0


class InPlace(Toy):
    def forward(self, x):
        return self.head((self.conv(x)).mul_(2).relu_().mean((2, 3)))


def test_what_works_in_place_after_the_maps_leaves_them():
    pixels = torch.randint(0, 256, (3, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    classes = torch.tensor([0, 1, 0])
    assert torch.allclose(
        grad_cam(classifier_of(InPlace(), 2, 4), pixels, classes),
        grad_cam(classifier_of(Toy(), 2, 4), pixels, classes),
        atol=1e-6,
    )


def test_the_last_maps_of_enough_places_are_taken():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Conv2d(4, 4, 2, 2),
        nn.Conv2d(4, 4, 2, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    pixels = torch.randint(0, 256, (2, 3, 16, 16), dtype=torch.uint8)
    sides = [
        grad_cam(classifier_of(network, 4, 16), pixels, torch.tensor([0, 3]), side).shape for side in (1, 4, 5, 9, 99)
    ]
    assert sides == [(2, 4, 4), (2, 4, 4), (2, 8, 8), (2, 16, 16), (2, 16, 16)]  # the pool's single place says nothing


@pytest.mark.parametrize("entry", models.entries(), ids=lambda entry: entry.name)
def test_every_model_has_maps(entry):
    form = next(iter(entry.forms))
    side = max(entry.forms[form].min_size, 32)
    torch.manual_seed(0)
    network = models.create(entry.name, 3, (side, side), form=form)
    classifier = classifier_of(network, 3, side).eval()
    pixels = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    classes = torch.tensor([0, 2])
    last = []  # the last convolution that sees more than a place
    hooks = [
        module.register_forward_hook(lambda _, __, out: last.append(out.shape[2:]) if min(out.shape[2:]) > 1 else None)
        for module in network.modules()
        if isinstance(module, nn.Conv2d)
    ]
    before = classifier(pixels)
    for hook in hooks:
        hook.remove()
    heat = grad_cam(classifier, pixels, classes)
    assert heat.shape[1] <= last[-1][0]
    assert heat.shape[1] > 1
    assert ((heat >= 0) & (heat <= 1)).all()
    assert torch.equal(classifier(pixels), before)  # nothing of it stays behind
    assert all(parameter.grad is None for parameter in network.parameters())
    larger = grad_cam(classifier, pixels, classes, 4)
    assert larger.shape[1] >= min(4, side)
