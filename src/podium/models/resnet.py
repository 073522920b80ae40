"""ResNets.

Source: arXiv 1512.03385; the bottleneck strides in its 3×3 convolution, as most have had it since. Parameters are named
as torchvision names them. The form for small images has a 3×3 stem without stride or pool.

Shapes: N images, K classes, side S of the input, C channels of a stage.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from podium.models.blocks import StochasticDepth, average_pool, depth_rates, he_init
from podium.models.registry import cifar, imagenet, register

__all__ = ["BasicBlock", "Bottleneck", "ResNet"]


class ResNet(nn.Module):
    """A stem, four stages of blocks, 64/128/256/512 channels (times the block's expansion), mean, linear head.

    Args:
        num_classes: K.
        block: BasicBlock or Bottleneck.
        num_blocks: of each stage.
        large_stem: 7×7 with stride 2 and a pool with stride 2, for large images; else 3×3.
        stochastic_depth: probability that the last block is skipped.
    """

    def __init__(
        self,
        num_classes: int,
        block: type[BasicBlock] | type[Bottleneck],
        num_blocks: tuple[int, int, int, int],
        large_stem: bool,
        stochastic_depth: float = 0.0,
    ) -> None:
        super().__init__()
        kernel, stride = (7, 2) if large_stem else (3, 1)
        self.conv1 = nn.Conv2d(3, 64, kernel, stride, padding=kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1) if large_stem else nn.Identity()
        rates = depth_rates(stochastic_depth, sum(num_blocks))
        in_channels = 64
        for number, count in enumerate(num_blocks):
            stage = nn.Sequential()
            for place in range(count):
                stride = 2 if number > 0 and place == 0 else 1
                stage.append(block(in_channels, 64 * 2**number, stride, next(rates)))
                in_channels = 64 * 2**number * block.expansion
            self.add_module(f"layer{number + 1}", stage)
        self.fc = nn.Linear(in_channels, num_classes)
        he_init(self)
        for module in self.modules():  # each block begins as its shortcut: arXiv 1706.02677, section 5.1
            if isinstance(module, BasicBlock | Bottleneck):
                nn.init.zeros_(module.last_norm.weight)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = self.maxpool(x)  # (N, 64, S, S), or S/4
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(average_pool(x))  # type: ignore[no-any-return]  # (N, K)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, in_channels: int, channels: int, stride: int, drop_rate: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = _shortcut(in_channels, channels, stride)
        self.drop = StochasticDepth(drop_rate)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn2

    def forward(self, x: Tensor) -> Tensor:  # (N, C_in, S, S)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)  # (N, C, S/stride, S/stride)
        y = self.drop(self.bn2(self.conv2(y)))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolution, the last four times as wide, beside a shortcut."""

    expansion = 4

    def __init__(self, in_channels: int, channels: int, stride: int, drop_rate: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.conv3 = nn.Conv2d(channels, 4 * channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * channels)
        self.downsample = _shortcut(in_channels, 4 * channels, stride)
        self.drop = StochasticDepth(drop_rate)

    @property
    def last_norm(self) -> nn.BatchNorm2d:
        return self.bn3

    def forward(self, x: Tensor) -> Tensor:  # (N, C_in, S, S)
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)  # (N, C, S, S)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)  # (N, C, S/stride, S/stride)
        y = self.drop(self.bn3(self.conv3(y)))  # (N, 4 C, S/stride, S/stride)
        return F.relu(y + (x if self.downsample is None else self.downsample(x)), inplace=True)


def _shortcut(in_channels: int, channels: int, stride: int) -> nn.Sequential | None:
    if stride == 1 and in_channels == channels:
        return None
    return nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))


@register("resnet18", source="arXiv 1512.03385", cifar=cifar(11_173_962), imagenet=imagenet(11_689_512))
def resnet18(num_classes: int, form: str = "cifar", stochastic_depth: float = 0.0) -> nn.Module:
    """ResNet-18."""
    return ResNet(num_classes, BasicBlock, (2, 2, 2, 2), form == "imagenet", stochastic_depth)


@register("resnet34", source="arXiv 1512.03385", cifar=cifar(21_282_122), imagenet=imagenet(21_797_672))
def resnet34(num_classes: int, form: str = "cifar", stochastic_depth: float = 0.0) -> nn.Module:
    """ResNet-34."""
    return ResNet(num_classes, BasicBlock, (3, 4, 6, 3), form == "imagenet", stochastic_depth)


@register("resnet50", source="arXiv 1512.03385", cifar=cifar(23_520_842), imagenet=imagenet(25_557_032))
def resnet50(num_classes: int, form: str = "cifar", stochastic_depth: float = 0.0) -> nn.Module:
    """ResNet-50."""
    return ResNet(num_classes, Bottleneck, (3, 4, 6, 3), form == "imagenet", stochastic_depth)
