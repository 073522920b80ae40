"""sprint: a small net that learns fast.

Source: arXiv 2404.00498 (sections 3.1 to 3.3: frozen whitening, identity initialisation, scaled head) in the form that
its authors train with Muon. We deviate in pooling globally at the end, so that any input of 9 pixels and more will do.

Shapes: N images, K classes, side S of the input.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from podium.models.registry import cifar, register

__all__ = ["Sprint"]


class Sprint(nn.Module):
    """Whitening 2×2 convolution, three groups of two or three 3×3 convolutions, global max pool, linear head.

    Args:
        num_classes: K.
        widths: channels of the three groups.
        depth: convolutions a group: 2 or 3.
    """

    def __init__(self, num_classes: int, widths: tuple[int, int, int] = (64, 256, 256), depth: int = 2) -> None:
        super().__init__()
        self.whiten = Whiten()
        self.groups = nn.Sequential(
            Group(self.whiten.out_channels, widths[0], depth),
            Group(widths[0], widths[1], depth),
            Group(widths[1], widths[2], depth),
        )
        self.head = nn.Linear(widths[2], num_classes, bias=False)
        with torch.no_grad():
            self.head.weight /= self.head.weight.std()

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = F.gelu(self.whiten(x))  # (N, 24, S-1, S-1)
        x = self.groups(x)  # (N, 256, (S-1)//8, (S-1)//8)
        # not amax: its gradient asks which values equal the largest. Where torch.compile computes those anew, and
        # doesn't round them to bf16, none does
        x = F.max_pool2d(x, x.shape[2:]).flatten(1)  # (N, 256)
        return torch.as_tensor(self.head(x) / x.shape[1])  # (N, K)

    def prepare(self, images: Tensor) -> None:
        """Sets the whitening filters from normalised training images, float (M, 3, H, W); a few thousand are enough."""
        self.whiten.fit(images)


class Whiten(nn.Conv2d):
    """A 2×2 convolution whose frozen filters whiten the patches of the training images; only its bias is trained.

    The filters are the patches' principal components, scaled to unit variance, and their negatives: arXiv 2404.00498
    section 3.1. Directions in which the patches don't vary, as in grey images, would show rounding errors only: their
    places repeat the other directions.
    """

    def __init__(self) -> None:
        super().__init__(3, 24, kernel_size=2)
        self.weight.requires_grad_(False)

    @torch.no_grad()
    def fit(self, images: Tensor, eps: float = 5e-4) -> None:
        patches = F.unfold(images.float(), kernel_size=2)  # (M, 12, L)
        patches = patches.transpose(1, 2).reshape(-1, patches.shape[1])  # (M L, 12)
        covariance = patches.T @ patches / len(patches)
        variances, components = torch.linalg.eigh(covariance)
        filters = components.T / (variances[:, None] + eps).sqrt()
        varying = (variances > eps / 50).nonzero().flatten()
        if 0 < len(varying) < len(filters):
            places = torch.arange(len(filters), device=varying.device) % len(varying)
            filters = filters[varying][places]
        self.weight.copy_(torch.cat([filters, -filters]).view_as(self.weight))


class Group(nn.Module):
    """Convolution, 2×2 max pool, BN, GELU; convolution, BN, GELU; with a third one, a skip past the last two."""

    def __init__(self, in_channels: int, out_channels: int, depth: int = 2) -> None:
        super().__init__()
        assert depth in (2, 3), depth
        self.conv1 = PooledConv(in_channels, out_channels)
        self.norm1 = _norm(out_channels)
        self.conv2 = IdentityConv(out_channels, out_channels)
        self.norm2 = _norm(out_channels)
        self.conv3 = IdentityConv(out_channels, out_channels) if depth == 3 else None
        self.norm3 = _norm(out_channels) if depth == 3 else None

    def forward(self, x: Tensor) -> Tensor:  # (N, C, S, S)
        x = F.gelu(self.norm1(self.conv1(x)))  # (N, C', S//2, S//2)
        y = F.gelu(self.norm2(self.conv2(x)))
        if self.conv3 is None or self.norm3 is None:
            return y
        return F.gelu(self.norm3(self.conv3(y)) + x)


class IdentityConv(nn.Conv2d):
    """A 3×3 convolution that begins with passing its input through.

    The first filters, as many as there are inputs, do that; the others are drawn as usual (section 3.2).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size=3, padding=1, bias=False)
        nn.init.dirac_(self.weight[:in_channels].data)


class PooledConv(IdentityConv):
    """That and a 2×2 max pool. Of an odd number of rows or columns the pool drops the last: it isn't computed.

    That is a tenth of a sprint's operations, for the same bits.
    """

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W) → (N, C', H//2, W//2)
        height, width = x.shape[2:]
        if height % 2 or width % 2:
            x = F.conv2d(F.pad(x, (1, 1 - width % 2, 1, 1 - height % 2)), self.weight)
        else:
            x = super().forward(x)
        return F.max_pool2d(x, 2)


def _norm(num_channels: int) -> nn.BatchNorm2d:
    """BN with a bias but no scale, and statistics that follow within a few steps."""
    norm = nn.BatchNorm2d(num_channels, eps=1e-12, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


@register("sprint", cifar=cifar(1_972_792, min_size=9), source="arXiv 2404.00498, Muon form")
def sprint(num_classes: int) -> nn.Module:
    """The net of the recipe `sprint`."""
    return Sprint(num_classes)


@register("sprint_deep", cifar=cifar(2_412_424, min_size=9), source="arXiv 2404.00498, as airbench96, narrower")
def sprint_deep(num_classes: int) -> nn.Module:
    """As deep as `sprint96`, with skips, and hardly larger than `sprint`: in fp16 it takes less than 5 MB."""
    return Sprint(num_classes, widths=(64, 184, 256), depth=3)


@register("sprint96", cifar=cifar(9_918_776, min_size=9), source="arXiv 2404.00498, airbench96")
def sprint96(num_classes: int) -> nn.Module:
    """The net of the recipe `sprint96`: wider, deeper, with skips."""
    return Sprint(num_classes, widths=(128, 384, 512), depth=3)
