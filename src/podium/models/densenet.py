"""DenseNets with bottlenecks and compression (DenseNet-BC).

Source: arXiv 1608.06993; parameters are named as torchvision names them. The form for small images has a 3×3 stem
without stride or pool.

Shapes: N images, K classes, side S of the input, G the growth rate.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from podium.models.blocks import average_pool, he_init
from podium.models.registry import cifar, imagenet, register

__all__ = ["DenseNet"]


class DenseNet(nn.Module):
    """A stem, blocks of dense layers with a transition between two, BN, ReLU, mean, linear head.

    Args:
        num_classes: K.
        growth: G, the channels that a layer adds.
        num_layers: of each block.
        stem_channels: of the stem.
        large_stem: 7×7 with stride 2 and a pool with stride 2, for large images; else 3×3.
        dropout: after each layer.
    """

    def __init__(
        self,
        num_classes: int,
        growth: int,
        num_layers: tuple[int, ...],
        stem_channels: int,
        large_stem: bool,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        if large_stem:
            self.features.add_module("conv0", nn.Conv2d(3, stem_channels, 7, 2, padding=3, bias=False))
            self.features.add_module("norm0", nn.BatchNorm2d(stem_channels))
            self.features.add_module("relu0", nn.ReLU(inplace=True))
            self.features.add_module("pool0", nn.MaxPool2d(3, 2, padding=1))
        else:
            self.features.add_module("conv0", nn.Conv2d(3, stem_channels, 3, padding=1, bias=False))
        channels = stem_channels
        for number, count in enumerate(num_layers, 1):
            self.features.add_module(f"denseblock{number}", DenseBlock(channels, growth, count, dropout))
            channels += count * growth
            if number < len(num_layers):
                self.features.add_module(f"transition{number}", Transition(channels, channels // 2))
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(average_pool(x))  # type: ignore[no-any-return]  # (N, K)


class DenseBlock(nn.ModuleDict):
    """Layers that each see what all before them made."""

    def __init__(self, in_channels: int, growth: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        for number in range(num_layers):
            self[f"denselayer{number + 1}"] = DenseLayer(in_channels + number * growth, growth, dropout)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        for layer in self.values():
            x = torch.cat([x, layer(x)], 1)  # (N, C + G, S, S)
        return x


class DenseLayer(nn.Module):
    """BN → ReLU → 1×1 (4 G) → BN → ReLU → 3×3 (G)."""

    def __init__(self, in_channels: int, growth: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, 4 * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(4 * growth)
        self.conv2 = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        y = self.conv1(F.relu(self.norm1(x), inplace=True))  # (N, 4 G, S, S)
        y = self.conv2(F.relu(self.norm2(y), inplace=True))  # (N, G, S, S)
        return self.dropout(y)  # type: ignore[no-any-return]


class Transition(nn.Module):
    """BN → ReLU → 1×1 → 2×2 mean."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        return F.avg_pool2d(self.conv(F.relu(self.norm(x), inplace=True)), 2)  # (N, C', S/2, S/2)


@register("densenet_bc_100_12", source="arXiv 1608.06993", cifar=cifar(769_162))
def densenet_bc_100_12(num_classes: int, dropout: float = 0.0) -> nn.Module:
    """DenseNet-BC of 100 layers, growth 12; the paper's dropout is 0.2 where nothing is augmented."""
    return DenseNet(num_classes, 12, (16, 16, 16), 24, large_stem=False, dropout=dropout)


@register("densenet121", source="arXiv 1608.06993", cifar=cifar(6_956_298), imagenet=imagenet(7_978_856))
def densenet121(num_classes: int, form: str = "cifar", dropout: float = 0.0) -> nn.Module:
    """DenseNet-121, growth 32."""
    return DenseNet(num_classes, 32, (6, 12, 24, 16), 64, large_stem=form == "imagenet", dropout=dropout)
