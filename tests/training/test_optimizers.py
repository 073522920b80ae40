import pytest
import torch
from torch import nn

from podium import models
from podium.errors import RecipeError
from podium.recipe import load_recipe
from podium.training.muon import Muon, orthogonalize
from podium.training.optimizers import Optimizers
from podium.training.plan import Plan
from podium.training.timetable import Timetable


@pytest.mark.parametrize("shape", [(8, 30), (30, 8), (16, 16)])
def test_orthogonalize_brings_singular_values_near_one(shape):
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    matrix = left @ torch.diag(torch.linspace(0.2, 3.0, min(shape))) @ right
    values = torch.linalg.svdvals(orthogonalize(matrix, 5, torch.float32))
    assert 0.6 < values.min() <= values.max() < 1.3
    # and it keeps the singular vectors: the result commutes with the polar factor
    polar = left @ right
    assert (orthogonalize(matrix, 5, torch.float32) * polar).sum() / polar.norm() ** 2 > 0.8


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("shape", [(8, 30), (30, 8)])
def test_the_iteration_on_the_gram_matrix_is_newton_schulz(shape, dtype, tolerance):
    torch.manual_seed(0)
    matrix = torch.randn(shape)
    x = matrix.double() / matrix.double().norm()
    x = x if shape[0] <= shape[1] else x.T
    for _ in range(3):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    expected = x if shape[0] <= shape[1] else x.T
    found = orthogonalize(matrix, 3, dtype)
    assert found.dtype == dtype
    assert (found.double() - expected).norm() < tolerance * expected.norm()


def test_one_muon_step_is_that_of_the_formula():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(6, 3, 3, 3))
    before = weight.detach().clone()
    first, second = torch.randn_like(before), torch.randn_like(before)
    optimizer = Muon([weight], lr=0.1, momentum=0.6, dtype=torch.float32)

    expected, buffer = before.clone(), torch.zeros_like(before)
    for gradient in (first, second):
        weight.grad = gradient.clone()
        optimizer.step()
        buffer = 0.6 * buffer + gradient
        update = orthogonalize((gradient + 0.6 * buffer).reshape(6, -1), 3, torch.float32).view_as(before)
        expected = expected / expected.norm() * 6**0.5 - 0.1 * update
    assert torch.allclose(weight, expected, atol=1e-6)


def test_sgd_steps_are_the_seeds_across_falls_of_the_rate():
    """MXNet: state = momentum · state + lr · (gradient + wd · weight); weight -= state."""
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    recipe = load_recipe("seed_resnet18", ["schedule_period=2"])
    optimizers = Optimizers(net, recipe, Timetable(Plan.from_recipe(recipe, 128)), torch.float32)  # a step an epoch
    weight, bias = net.weight.detach().clone(), net.bias.detach().clone()
    state_w, state_b = torch.zeros_like(weight), torch.zeros_like(bias)
    for step in range(6):
        rate = 0.1 * 0.1 ** (step // 2)  # it falls twice
        net.weight.grad, net.bias.grad = torch.randn_like(weight), torch.randn_like(bias)
        state_w = 0.9 * state_w + rate * (net.weight.grad + 1e-4 * weight)
        state_b = 0.9 * state_b + rate * (net.bias.grad + 1e-4 * bias)
        weight, bias = weight - state_w, bias - state_b
        optimizers.step(step)
    assert torch.allclose(net.weight, weight, atol=1e-6)
    assert torch.allclose(net.bias, bias, atol=1e-6)


def sprint_optimizers():
    net = models.create("sprint", 10, (12, 12))
    recipe = load_recipe("sprint", ["epochs=8", "batch_size=10", "whiten_bias_epochs=3"])
    return net, Optimizers(net, recipe, Timetable(Plan.from_recipe(recipe, 20)), torch.float32)  # two steps an epoch


def gradients(net):
    for parameter in net.parameters():
        parameter.grad = torch.randn_like(parameter) if parameter.requires_grad else None


def test_every_trained_parameter_of_sprint_is_stepped_and_whitening_filters_are_not():
    net, optimizers = sprint_optimizers()
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    gradients(net)
    optimizers.step(0)
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, before[name]) != parameter.requires_grad, name


def test_whitening_bias_is_trained_for_three_epochs_only():
    net, optimizers = sprint_optimizers()
    for step in range(8):
        before = net.whiten.bias.detach().clone()
        assert net.whiten.bias.requires_grad == (step < 6)
        gradients(net)
        optimizers.step(step)
        assert torch.equal(before, net.whiten.bias) == (step >= 6)


def test_state_goes_round():
    torch.manual_seed(0)
    net, optimizers = sprint_optimizers()
    gradients(net)
    optimizers.step(0)
    other, others = sprint_optimizers()
    other.load_state_dict(net.state_dict())
    others.load_state(optimizers.state())
    for step in (1, 2):
        gradients(net)
        for one, two in zip(net.parameters(), other.parameters(), strict=True):
            two.grad = None if one.grad is None else one.grad.clone()
        optimizers.step(step)
        others.step(step)
    for one, two in zip(net.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_muon_refuses_a_net_without_convolutions():
    recipe = load_recipe("sprint")
    with pytest.raises(RecipeError, match="muon"):
        Optimizers(nn.Linear(3, 2), recipe, Timetable(Plan.from_recipe(recipe, 50_000)), torch.float32)


@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_several_matrices_are_orthogonalised_as_each_alone(shape):
    several = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    together = orthogonalize(several, 3, torch.float32)
    for one, expected in zip(together, several, strict=True):
        torch.testing.assert_close(one, orthogonalize(expected, 3, torch.float32))
