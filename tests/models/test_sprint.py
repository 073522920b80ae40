import shutil

import pytest
import torch
from torch.nn import functional as F

from podium import models
from podium.models.sprint import PooledConv, Sprint, Whiten


def test_whitening_makes_patches_white():
    torch.manual_seed(0)
    smooth = F.avg_pool2d(torch.randn(300, 3, 14, 14), 3, stride=1)  # neighbours that resemble each other
    whiten = Whiten()
    whiten.fit(smooth, eps=0.0)
    assert not whiten.weight.requires_grad
    with torch.no_grad():
        whiten.bias.zero_()
        out = whiten(smooth).transpose(0, 1).reshape(24, -1)  # (24, patches)
    covariance = out[:12] @ out[:12].T / out.shape[1]
    assert torch.allclose(covariance, torch.eye(12), atol=1e-3)
    assert torch.allclose(out[12:], -out[:12], atol=1e-5)


def test_first_filters_pass_their_input_through():
    net = Sprint(10)
    x = torch.randn(2, 24, 8, 8)
    assert torch.allclose(net.groups[0].conv1(x)[:, :24], F.max_pool2d(x, 2), atol=1e-6)


def test_head_has_unit_spread_and_no_bias():
    net = Sprint(10)
    assert abs(net.head.weight.std().item() - 1) < 1e-5
    assert net.head.bias is None


def test_any_size_from_nine_gives_logits():
    for size in (9, 17, 32, 47):
        assert models.create("sprint", 7, (size, size)).eval()(torch.zeros(1, 3, size, size)).shape == (1, 7)


@pytest.mark.parametrize("size", [(8, 8), (7, 7), (15, 12), (4, 9), (3, 3)])
def test_what_the_pool_drops_is_not_missed(size):
    """The same bits as convolution, then pool; gradients too."""
    torch.manual_seed(0)
    conv = PooledConv(5, 8).to(memory_format=torch.channels_last)
    x = torch.randn(4, 5, *size).to(memory_format=torch.channels_last).requires_grad_()
    found = conv(x)
    expected = F.max_pool2d(F.conv2d(x, conv.weight, padding=1), 2)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)
    rows = torch.randn_like(expected)
    for one, two in zip(
        torch.autograd.grad(found, (x, conv.weight), rows),
        torch.autograd.grad(expected, (x, conv.weight), rows),
        strict=True,
    ):
        assert torch.allclose(one, two, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="no compiler")
def test_compiled_in_bf16_it_has_the_gradients_that_it_has_otherwise():
    torch.manual_seed(0)
    net = Sprint(10, widths=(24, 24, 24)).to(memory_format=torch.channels_last)
    x = torch.randn(16, 3, 18, 18).to(memory_format=torch.channels_last)
    found = []
    for forward in (net, torch.compile(net, dynamic=False)):
        net.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            forward(x).float().square().sum().backward()
        found.append([weight.grad.clone() for weight in net.parameters() if weight.requires_grad])
    for one, other in zip(*found, strict=True):
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.8  # bf16 rounds elsewhere
    torch._dynamo.reset()


@pytest.mark.parametrize("seed", range(3))
def test_grey_images_leave_no_filter_that_sees_nothing(seed):
    grey = torch.rand(200, 1, 12, 12, generator=torch.Generator().manual_seed(seed)).expand(-1, 3, -1, -1)
    whiten = Whiten()
    whiten.fit(grey)
    seen = whiten(grey).double()
    mean_squares = (seen - whiten.bias.view(-1, 1, 1)).square().mean((0, 2, 3))
    torch.testing.assert_close(mean_squares, torch.ones(24, dtype=torch.double), rtol=0.02, atol=0)


def test_coloured_images_are_whitened_in_every_direction():
    coloured = torch.rand(200, 3, 12, 12, generator=torch.Generator().manual_seed(0))
    whiten = Whiten()
    whiten.fit(coloured)
    assert torch.linalg.matrix_rank(whiten.weight.flatten(1)) == 12
