"""Folded BN against the plain modules: values, running statistics, gradients."""

import copy

import pytest
import torch
from torch import nn

from podium.models.folding import conv_norm, conv_norm_add, norm_conv

FORMATS = [torch.contiguous_format, torch.channels_last]


def modules(in_channels, out_channels, norm_channels, *, bias=False, size=1):
    torch.manual_seed(0)
    conv = nn.Conv2d(in_channels, out_channels, size, padding=size // 2, bias=bias).double()
    norm = nn.BatchNorm2d(norm_channels).double()
    with torch.no_grad():
        norm.weight.uniform_(0.5, 1.5)
        norm.bias.normal_()
    return conv, norm


def folded(kind, conv, norm, x, skip):
    if kind == "norm_conv":
        y, same = norm_conv(x, norm, conv)
        return y.sum(1, keepdim=True) * 0.3 + same + y.square().mean()
    if kind == "conv_norm_add":
        return conv_norm_add(x, conv, norm, skip)
    return conv_norm(x, conv, norm)


def plain(kind, conv, norm, x, skip):
    if kind == "norm_conv":
        y = conv(norm(x))
        return y.sum(1, keepdim=True) * 0.3 + x + y.square().mean()
    return norm(conv(x)) + skip if kind == "conv_norm_add" else norm(conv(x))


CASES = {
    "norm_conv": lambda: modules(6, 3, 6),
    "conv_norm_add": lambda: modules(3, 6, 6),
    "conv_norm": lambda: modules(3, 6, 6, bias=True, size=3),
}


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize("kind", CASES)
def test_values_statistics_and_gradients_are_those_of_the_plain_modules(kind, memory_format):
    conv, norm = CASES[kind]()
    conv2, norm2 = copy.deepcopy(conv), copy.deepcopy(norm)
    x = torch.randn(5, conv.in_channels, 4, 4, dtype=torch.float64).contiguous(memory_format=memory_format)
    skip = torch.randn(5, 6, 4, 4, dtype=torch.float64).contiguous(memory_format=memory_format)
    results = []
    for function, one, two in ((folded, conv, norm), (plain, conv2, norm2)):
        inputs = [x.clone().requires_grad_(), skip.clone().requires_grad_()]
        out = function(kind, one, two, *inputs)
        wanted = [inputs[0], one.weight, two.weight, two.bias] + [inputs[1]] * (kind == "conv_norm_add")
        gradients = torch.autograd.grad((out * torch.linspace(-1, 2, out.numel()).view_as(out)).sum(), wanted)
        results.append([out, *gradients, two.running_mean, two.running_var])
    for found, expected in zip(*results, strict=True):
        assert torch.allclose(found, expected, atol=1e-9), (found - expected).abs().max()
    assert norm.num_batches_tracked == norm2.num_batches_tracked == 1


@pytest.mark.parametrize("kind", CASES)
def test_evaluation_and_no_gradients_are_plain(kind):
    conv, norm = CASES[kind]()
    x = torch.randn(5, conv.in_channels, 4, 4, dtype=torch.float64)
    skip = torch.randn(5, 6, 4, 4, dtype=torch.float64)
    norm.eval()
    assert torch.equal(folded(kind, conv, norm, x, skip), plain(kind, conv, norm, x, skip))
    norm.train()
    with torch.no_grad():
        conv2, norm2 = copy.deepcopy(conv), copy.deepcopy(norm)
        assert torch.equal(folded(kind, conv, norm, x, skip), plain(kind, conv2, norm2, x, skip))


@pytest.mark.parametrize("kind", CASES)
def test_bf16_autocast_is_near(kind):
    conv, norm = (module.float() for module in CASES[kind]())
    conv2, norm2 = copy.deepcopy(conv), copy.deepcopy(norm)
    x, skip = torch.randn(8, conv.in_channels, 4, 4), torch.randn(8, 6, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = folded(kind, conv, norm, x.clone(), skip)
    expected = plain(kind, conv2, norm2, x, skip)
    assert (found.float() - expected).abs().max() < 0.1


def test_a_bias_before_bn_has_no_gradient_but_zero():
    conv, norm = CASES["conv_norm"]()
    conv_norm(torch.randn(5, 3, 4, 4, dtype=torch.float64), conv, norm).square().sum().backward()
    assert torch.equal(conv.bias.grad, torch.zeros(6, dtype=torch.float64))
