import torch
from torch.nn import functional as F

from podium import models
from podium.models.sprint import Sprint, Whiten


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
    assert torch.allclose(net.groups[0].conv1(x)[:, :24], x, atol=1e-6)


def test_head_has_unit_spread_and_no_bias():
    net = Sprint(10)
    assert abs(net.head.weight.std().item() - 1) < 1e-5
    assert net.head.bias is None


def test_any_size_from_nine_gives_logits():
    for size in (9, 17, 32, 47):
        assert models.create("sprint", 7, (size, size)).eval()(torch.zeros(1, 3, size, size)).shape == (1, 7)
