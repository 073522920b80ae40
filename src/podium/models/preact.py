"""Residual nets with full pre-activation: BN and ReLU stand before each convolution.

Source: arXiv 1603.05027. Where a block changes the shape, its shortcut is a 1×1 convolution of the pre-activated input.

Shapes: N images, K classes, side S of the input, C channels of a stage.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from podium.models.blocks import StochasticDepth, average_pool, depth_rates, he_init
from podium.models.registry import cifar, register

__all__ = ["PreActBlock", "PreActBottleneck", "PreActResNet"]


class PreActResNet(nn.Module):
    """3×3 stem, stages of blocks, BN, ReLU, mean, linear head.

    Args:
        num_classes: K.
        block: PreActBlock or PreActBottleneck.
        stem_channels: of the stem.
        widths: channels of each stage's output; each stage but the first halves the side.
        num_blocks: of every stage.
        stochastic_depth: probability that the last block is skipped.
        dropout: between a block's two convolutions (PreActBlock).
    """

    def __init__(
        self,
        num_classes: int,
        block: type[PreActBlock] | type[PreActBottleneck],
        stem_channels: int,
        widths: tuple[int, ...],
        num_blocks: int,
        stochastic_depth: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, stem_channels, 3, padding=1, bias=False)
        rates = depth_rates(stochastic_depth, num_blocks * len(widths))
        self.stages = nn.Sequential()
        channels = stem_channels
        for number, width in enumerate(widths):
            stage = nn.Sequential()
            for place in range(num_blocks):
                stage.append(block(channels, width, 2 if number > 0 and place == 0 else 1, next(rates), dropout))
                channels = width
            self.stages.append(stage)
        self.norm = nn.BatchNorm2d(channels)
        self.head = nn.Linear(channels, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = self.stages(self.stem(x))  # (N, C, S', S')
        x = F.relu(self.norm(x), inplace=True)
        return self.head(average_pool(x))  # type: ignore[no-any-return]  # (N, K)


class PreActBlock(nn.Module):
    """BN → ReLU → 3×3, twice."""

    def __init__(self, in_channels: int, channels: int, stride: int, drop_rate: float, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.shortcut = _shortcut(in_channels, channels, stride)
        self.dropout = nn.Dropout(dropout)
        self.drop = StochasticDepth(drop_rate)

    def forward(self, x: Tensor) -> Tensor:  # (N, C_in, S, S)
        y = F.relu(self.norm1(x), inplace=True)
        skip = x if self.shortcut is None else self.shortcut(y)
        y = self.conv1(y)  # (N, C, S/stride, S/stride)
        y = self.dropout(F.relu(self.norm2(y), inplace=True))
        return self.drop(self.conv2(y)) + skip  # type: ignore[no-any-return]


class PreActBottleneck(nn.Module):
    """BN → ReLU → 1×1 (C/4), BN → ReLU → 3×3 (C/4), BN → ReLU → 1×1 (C)."""

    def __init__(self, in_channels: int, channels: int, stride: int, drop_rate: float, dropout: float) -> None:
        super().__init__()
        assert not dropout, "only PreActBlock has a place for it"
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels // 4, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels // 4)
        self.conv2 = nn.Conv2d(channels // 4, channels // 4, 3, stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels // 4)
        self.conv3 = nn.Conv2d(channels // 4, channels, 1, bias=False)
        self.shortcut = _shortcut(in_channels, channels, stride)
        self.drop = StochasticDepth(drop_rate)

    def forward(self, x: Tensor) -> Tensor:  # (N, C_in, S, S)
        y = F.relu(self.norm1(x), inplace=True)
        skip = x if self.shortcut is None else self.shortcut(y)
        y = self.conv1(y)  # (N, C/4, S, S)
        y = self.conv2(F.relu(self.norm2(y), inplace=True))  # (N, C/4, S/stride, S/stride)
        y = self.conv3(F.relu(self.norm3(y), inplace=True))  # (N, C, S/stride, S/stride)
        return self.drop(y) + skip  # type: ignore[no-any-return]


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Conv2d | None:
    if stride == 1 and in_channels == channels:
        return None
    return nn.Conv2d(in_channels, channels, 1, stride, bias=False)


@register("preact_resnet18", source="arXiv 1603.05027", cifar=cifar(11_172_170))
def preact_resnet18(num_classes: int, stochastic_depth: float = 0.0) -> nn.Module:
    """The ResNet-18 with pre-activation."""
    return PreActResNet(num_classes, PreActBlock, 64, (64, 128, 256, 512), 2, stochastic_depth)


@register("resnet164_v2", source="arXiv 1603.05027", cifar=cifar(1_703_258))
def resnet164_v2(num_classes: int, stochastic_depth: float = 0.0) -> nn.Module:
    """The paper's ResNet-164: 18 bottlenecks a stage."""
    return PreActResNet(num_classes, PreActBottleneck, 16, (64, 128, 256), 18, stochastic_depth)


@register("wrn_28_10", source="arXiv 1605.07146", cifar=cifar(36_479_194))
def wrn_28_10(num_classes: int, stochastic_depth: float = 0.0, dropout: float = 0.0) -> nn.Module:
    """A wide residual net: 28 layers, ten times the width; the paper's dropout is 0 or 0.3."""
    return PreActResNet(num_classes, PreActBlock, 16, (160, 320, 640), 4, stochastic_depth, dropout)


@register("wrn_16_4", source="arXiv 1605.07146", cifar=cifar(2_748_890))
def wrn_16_4(num_classes: int, stochastic_depth: float = 0.0, dropout: float = 0.0) -> nn.Module:
    """A wide residual net: 16 layers, four times the width."""
    return PreActResNet(num_classes, PreActBlock, 16, (64, 128, 256), 2, stochastic_depth, dropout)
