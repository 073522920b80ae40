import pytest
import torch

from podium.models.blocks import StochasticDepth, depth_rates


def test_stochastic_depth_drops_whole_images_and_keeps_the_mean():
    torch.manual_seed(0)
    layer = StochasticDepth(0.25).train()
    out = layer(torch.ones(4000, 2, 3, 3))
    values = out.flatten(1)
    assert (values == values[:, :1]).all()  # an image is dropped whole
    assert values[:, 0].unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(out.mean()) == pytest.approx(1, abs=0.05)
    assert layer.eval()(out) is out


def test_rates_rise_linearly_to_the_last_block():
    assert list(depth_rates(0.2, 4)) == pytest.approx([0.05, 0.1, 0.15, 0.2])
