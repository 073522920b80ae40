"""The seed's two networks, to the parameter.

Source: the MXNet project that podium succeeds. They are not the papers' nets of similar names: every convolution of the
ResNet-18 has a bias, and the "ResNet-164 v2" is 245 layers deep, without a ReLU after a block's first BN.

Shapes: N images, K classes, side S of the input, C channels of a stage.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from podium.models.folding import conv_norm, conv_norm_add, norm_conv
from podium.models.registry import cifar, register

__all__ = ["SeedResNet18", "SeedResNet164V2"]


class SeedResNet18(nn.Module):
    """Four stages of two basic blocks, 64/128/256/512 channels, for 32×32 pixels.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = Stem(64)
        self.stages = _stages(BasicBlock, in_channels=64, widths=(64, 128, 256, 512), num_blocks=2)
        self.head = nn.Linear(512, num_classes)
        self.apply(_xavier)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = self.stem(x)  # (N, 64, S, S)
        x = self.stages(x)  # (N, 512, S/8, S/8)
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]  # (N, K)


class SeedResNet164V2(nn.Module):
    """Three stages of 27 pre-activation bottlenecks, 64/128/256 channels, for 32×32 pixels.

    Args:
        num_classes: K.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.stem = Stem(64)
        self.stages = _stages(Bottleneck, in_channels=64, widths=(64, 128, 256), num_blocks=27)
        self.norm = nn.BatchNorm2d(256)
        self.head = nn.Linear(256, num_classes)
        self.apply(_xavier)

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = self.stem(x)  # (N, 64, S, S)
        x = self.stages(x)  # (N, 256, S/4, S/4)
        x = F.relu(self.norm(x), inplace=True)
        return self.head(x.mean((2, 3)))  # type: ignore[no-any-return]  # (N, K)


class Stem(nn.Sequential):
    """3×3 convolution, BN, ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.Conv2d(3, channels, 3, padding=1), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        conv, norm = self
        assert isinstance(conv, nn.Conv2d)
        assert isinstance(norm, nn.BatchNorm2d)
        return F.relu(conv_norm(x, conv, norm), inplace=True)  # (N, 64, S, S)


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and the block's own input, through a bare 1×1 convolution where it downsamples."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride, bias=True)

    def forward(self, x: Tensor) -> Tensor:  # (N, C_in, S, S)
        y = F.relu(conv_norm(x, self.conv1, self.norm1), inplace=True)  # (N, C, S/stride, S/stride)
        y = conv_norm(y, self.conv2, self.norm2)
        return F.relu(y.add_(self.shortcut(x)), inplace=True)


class Bottleneck(nn.Module):
    """BN → 1×1 (C/4) → BN → ReLU → 3×3 → BN → ReLU → 1×1 (C) → BN, plus the block's own input."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(in_channels)
        self.conv1 = nn.Conv2d(in_channels, channels // 4, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels // 4)
        self.conv2 = nn.Conv2d(channels // 4, channels // 4, 3, stride, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(channels // 4)
        self.conv3 = nn.Conv2d(channels // 4, channels, 1, bias=False)
        self.norm4 = nn.BatchNorm2d(channels)
        self.shortcut = _shortcut(in_channels, channels, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:  # (N, C_in, S, S)
        y, x = norm_conv(x, self.norm1, self.conv1)  # (N, C/4, S, S)
        y = self.conv2(F.relu(self.norm2(y), inplace=True))  # (N, C/4, S/stride, S/stride)
        y = F.relu(self.norm3(y), inplace=True)
        return conv_norm_add(y, self.conv3, self.norm4, self.shortcut(x))  # (N, C, S/stride, S/stride)


def _stages(
    block: type[BasicBlock] | type[Bottleneck], in_channels: int, widths: tuple[int, ...], num_blocks: int
) -> nn.Sequential:
    """One stage a width; each but the first halves the side in its first block."""
    stages = nn.Sequential()
    for number, width in enumerate(widths):
        stage = nn.Sequential()
        for place in range(num_blocks):
            stage.append(block(in_channels, width, stride=2 if number > 0 and place == 0 else 1))
            in_channels = width
        stages.append(stage)
    return stages


def _shortcut(in_channels: int, channels: int, stride: int, *, bias: bool) -> nn.Module:
    if stride == 1 and in_channels == channels:
        return nn.Identity()
    return nn.Conv2d(in_channels, channels, 1, stride, bias=bias)


def _xavier(module: nn.Module) -> None:
    """MXNet's Xavier(uniform, "avg", magnitude 3) is torch's xavier_uniform_; biases 0."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@register("seed_resnet18", cifar=cifar(11_176_970), source="the MXNet seed")
def seed_resnet18(num_classes: int) -> nn.Module:
    """The seed's ResNet-18."""
    return SeedResNet18(num_classes)


@register("seed_resnet164_v2", cifar=cifar(2_563_402), source="the MXNet seed")
def seed_resnet164_v2(num_classes: int) -> nn.Module:
    """The seed's "ResNet-164 v2"."""
    return SeedResNet164V2(num_classes)
