"""AlexNet.

Source: arXiv 1404.5997, the one-column net; parameters are named as torchvision names them. The form for small images
keeps the five convolutions; its first one is 5×5 without stride, its linear layers are a quarter as wide.

Shapes: N images, K classes, side S of the input.
"""

from __future__ import annotations

from torch import Tensor, nn

from podium.models.registry import cifar, imagenet, register

__all__ = ["AlexNet"]


class AlexNet(nn.Module):
    """Five convolutions with three max pools, three linear layers; no BN.

    Args:
        num_classes: K.
        stem: the first convolution, 3 → 64 channels.
        pool_padding: of the 3×3 max pools of stride 2.
        grid: side to which the last maps are averaged before the linear layers.
        width: outputs of each of the two hidden linear layers.
        dropout: before each of them.
    """

    def __init__(
        self, num_classes: int, stem: nn.Conv2d, pool_padding: int, grid: int, width: int, dropout: float
    ) -> None:
        super().__init__()
        self.features = nn.Sequential(
            stem,
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, pool_padding),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, pool_padding),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, pool_padding),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(grid)
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * grid**2, width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(inplace=True),
            nn.Linear(width, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:  # (N, 3, S, S)
        x = self.features(x)  # (N, 256, S/8, S/8), or S/32
        x = self.avgpool(x).flatten(1)  # (N, 256 grid²)
        return self.classifier(x)  # type: ignore[no-any-return]  # (N, K)


@register("alexnet", source="arXiv 1404.5997", cifar=cifar(7_706_442), imagenet=imagenet(61_100_840, min_size=63))
def alexnet(num_classes: int, form: str = "cifar", dropout: float = 0.0) -> nn.Module:
    """AlexNet; its paper's dropout is 0.5."""
    if form == "imagenet":
        stem = nn.Conv2d(3, 64, 11, stride=4, padding=2)
        return AlexNet(num_classes, stem, pool_padding=0, grid=6, width=4096, dropout=dropout)
    stem = nn.Conv2d(3, 64, 5, padding=2)
    return AlexNet(num_classes, stem, pool_padding=1, grid=4, width=1024, dropout=dropout)
