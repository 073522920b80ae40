import torch
from torch import nn

from podium.training.lion import Lion


def test_two_steps_are_those_of_the_paper():
    torch.manual_seed(0)
    weight = nn.Parameter(torch.randn(5, 4))
    still = nn.Parameter(torch.randn(3))  # never has a gradient
    kept = still.detach().clone()
    optimizer = Lion([weight, still], lr=0.1, betas=(0.9, 0.99), weight_decay=0.5)
    expected, mean = weight.detach().clone(), torch.zeros(5, 4)
    for _ in range(2):
        gradient = torch.randn(5, 4)
        weight.grad = gradient.clone()
        optimizer.step()
        update = torch.sign(0.9 * mean + 0.1 * gradient)
        expected = expected - 0.1 * (update + 0.5 * expected)
        mean = 0.99 * mean + 0.01 * gradient
    assert torch.allclose(weight, expected, atol=1e-6)
    assert torch.allclose(optimizer.state[weight]["exp_avg"], mean, atol=1e-6)
    assert torch.equal(still, kept)
