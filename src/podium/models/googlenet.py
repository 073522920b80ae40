"""GoogLeNet with BN.

Source: arXiv 1409.4842, with BN as in arXiv 1502.03167; parameters are named as torchvision names them, and as there
the third branch's 5×5 convolution is a 3×3 one. The form for small images has one 3×3 convolution as its stem.

Shapes: N images, K classes, side S of the input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from podium.models.blocks import average_pool, he_init
from podium.models.registry import cifar, imagenet, register

__all__ = ["GoogLeNet"]

# in, 1×1, 3×3 reduced, 3×3, 5×5 reduced, 5×5, pool projected: the paper's table 1
_INCEPTIONS = {
    "inception3a": (192, 64, 96, 128, 16, 32, 32),
    "inception3b": (256, 128, 128, 192, 32, 96, 64),
    "inception4a": (480, 192, 96, 208, 16, 48, 64),
    "inception4b": (512, 160, 112, 224, 24, 64, 64),
    "inception4c": (512, 128, 128, 256, 24, 64, 64),
    "inception4d": (512, 112, 144, 288, 32, 64, 64),
    "inception4e": (528, 256, 160, 320, 32, 128, 128),
    "inception5a": (832, 256, 160, 320, 32, 128, 128),
    "inception5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """A stem, nine inception modules, mean, linear head; in training a list with the auxiliary heads' logits too.

    Args:
        num_classes: K.
        large_stem: three convolutions and two pools, an eighth of the side, for large images; else one convolution.
        dropout: before the head; the paper's is 0.4.
        auxiliary_heads: two more classifiers behind the modules 4a and 4d, for training only.
    """

    auxiliary_names = ("aux1", "aux2")

    def __init__(self, num_classes: int, large_stem: bool, dropout: float = 0.0, auxiliary_heads: bool = False) -> None:
        super().__init__()
        self.large_stem = large_stem
        if large_stem:
            self.conv1 = ConvNorm(3, 64, 7, stride=2)
            self.conv2 = ConvNorm(64, 64, 1)
            self.conv3 = ConvNorm(64, 192, 3)
        else:
            self.conv1 = ConvNorm(3, 192, 3)
        for name, channels in _INCEPTIONS.items():
            self.add_module(name, Inception(*channels))
        self.aux1 = AuxiliaryHead(512, num_classes) if auxiliary_heads else None
        self.aux2 = AuxiliaryHead(528, num_classes) if auxiliary_heads else None
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(1024, num_classes)
        he_init(self)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:  # (N, 3, S, S)
        x = self.conv1(x)
        if self.large_stem:
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            x = self.conv3(self.conv2(x))
            x = F.max_pool2d(x, 3, 2, ceil_mode=True)  # (N, 192, S/8, S/8)
        auxiliary = []
        for name in _INCEPTIONS:
            x = self.get_submodule(name)(x)
            if name == "inception3b":
                x = F.max_pool2d(x, 3, 2, ceil_mode=True)
            if name == "inception4e":
                x = F.max_pool2d(x, 2, 2, ceil_mode=True)
            head = {"inception4a": self.aux1, "inception4d": self.aux2}.get(name)
            if head is not None and self.training:
                auxiliary.append(head(x))
        logits: Tensor = self.fc(self.dropout(average_pool(x)))  # (N, K)
        return [logits, *auxiliary] if auxiliary else logits


class ConvNorm(nn.Module):
    """Convolution, BN, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches side by side: 1×1; 1×1 then 3×3; 1×1 then 3×3; 3×3 max pool then 1×1."""

    def __init__(
        self, in_channels: int, one: int, reduced3: int, three: int, reduced5: int, five: int, pooled: int
    ) -> None:
        super().__init__()
        self.branch1 = ConvNorm(in_channels, one, 1)
        self.branch2 = nn.Sequential(ConvNorm(in_channels, reduced3, 1), ConvNorm(reduced3, three, 3))
        self.branch3 = nn.Sequential(ConvNorm(in_channels, reduced5, 1), ConvNorm(reduced5, five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, padding=1), ConvNorm(in_channels, pooled, 1))

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class AuxiliaryHead(nn.Module):
    """4×4 mean, 1×1 convolution, two linear layers with the paper's dropout of 0.7 between them."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv = ConvNorm(in_channels, 128, 1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(0.7)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        x = self.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)  # (N, 2048)
        x = F.relu(self.fc1(x), inplace=True)
        return self.fc2(self.dropout(x))  # type: ignore[no-any-return]  # (N, K)


@register("googlenet", source="arXiv 1409.4842, with BN", cifar=cifar(5_490_986), imagenet=imagenet(6_624_904))
def googlenet(num_classes: int, form: str = "cifar", dropout: float = 0.0, auxiliary_heads: bool = False) -> nn.Module:
    """GoogLeNet."""
    return GoogLeNet(num_classes, form == "imagenet", dropout, auxiliary_heads)
