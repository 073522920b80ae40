import pytest
import torch
from torch.nn import functional as F

from podium import models
from podium.errors import RecipeError
from podium.models.registry import register

NAMES = [entry.name for entry in models.entries()]
ENTRIES = {entry.name: entry for entry in models.entries()}


def create(name, num_classes=10, size=32):
    torch.manual_seed(0)
    return models.create(name, num_classes, (size, size))


@pytest.mark.parametrize("name", NAMES)
def test_parameter_count_is_as_declared(name):
    assert (
        sum(parameter.numel() for parameter in create(name).parameters()) == ENTRIES[name].forms["cifar"].num_parameters
    )


@pytest.mark.parametrize("name", NAMES)
def test_smallest_size_works_and_a_smaller_one_is_refused(name):
    smallest = ENTRIES[name].forms["cifar"].min_size
    net = create(name, num_classes=3, size=smallest).eval()
    assert net(torch.zeros(2, 3, smallest, smallest)).shape == (2, 3)
    with pytest.raises(RecipeError, match=f"at least {smallest}×{smallest}"):
        create(name, size=smallest - 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_trainable_parameter_gets_a_gradient(name):
    net = create(name)
    images = torch.randn(4, 3, 32, 32)
    F.cross_entropy(net(images), torch.tensor([0, 1, 2, 3])).backward()
    for key, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", NAMES)
def test_bf16_and_channels_last_agree_with_fp32(name):
    net = create(name)
    images = torch.randn(16, 3, 32, 32)
    with torch.no_grad():
        net(images)  # statistics for BN
        net.eval()
        exact = net(images)
        last = net.to(memory_format=torch.channels_last)
        assert torch.allclose(last(images), exact, rtol=1e-3, atol=1e-4 * float(exact.abs().max()))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = last(images).float()
    error = (rough - exact).norm() / exact.norm()
    assert error < (0.25 if name == "seed_resnet164_v2" else 0.05)  # 245 layers of rounding


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(name):
    one, other = create(name).eval(), models.create(name, 10, (32, 32)).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(one(images), other(images))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(images), other(images))


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="registered already"):
        register("sprint", source="")(lambda num_classes: torch.nn.Identity())


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(RecipeError, match="'seed_resnet18'"):
        models.create("seed_resnet_18", 10, (32, 32))


@pytest.mark.parametrize("name", ["seed_resnet18", "seed_resnet164_v2"])
def test_seed_weights_are_xavier_uniform_and_biases_zero(name):
    """Uniform within sqrt(3 / ((fan_in + fan_out) / 2)): MXNet's Xavier, factor "avg", magnitude 3."""
    for module in create(name).modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            area = module.weight[0, 0].numel()
            bound = (3 / (area * sum(module.weight.shape[:2]) / 2)) ** 0.5
            assert module.weight.abs().max() <= bound
            if module.weight.numel() > 2000:
                assert module.weight.abs().max() > 0.98 * bound
                assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
            if module.bias is not None:
                assert not module.bias.any()
