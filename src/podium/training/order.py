"""Order: which images an epoch shows, and in which order.

Learned images may be left out: source: Qin et al., "InfoBatch" (arXiv 2303.04947): of the images with the lowest last
loss a random part is left out of an epoch, and those of them that are shown count for more, so that the expected
gradient stays. We deviate in leaving out a fixed number, so that the steps of a training are known beforehand.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from podium.data.shard_order import by_shard
from podium.runtime import random_stream, send

__all__ = ["Order"]


class Order:
    """Permutations of the training images, one an epoch.

    Args:
        num_images: in the training set.
        seed: of the training.
        device: where indices and losses are kept.
        remembers: whether to keep each image's last loss; without it none can be left out.
        shards: which shard holds each image, int32 (num_images,): those of few shards are mixed at a time; None: all.
    """

    def __init__(
        self,
        num_images: int,
        seed: int,
        device: torch.device,
        *,
        remembers: bool,
        shards: npt.NDArray[np.int32] | None = None,
    ) -> None:
        self.remembers = remembers
        self._shards = shards
        self._num_images = num_images
        self._seed = seed
        self._device = device
        self._shards = shards
        # inf: never seen, so not learned. The losses at the epoch's begin decide it, also when it is resumed.
        self._losses = torch.full((num_images if remembers else 0,), float("inf"), device=device)
        self._basis = self._losses.clone()

    def begin(self) -> None:
        """An epoch begins: what is known of the images now decides what it shows."""
        if self.remembers:
            self._basis = self._losses.clone()

    def epoch(self, epoch: int, num_shown: int) -> tuple[Tensor, Tensor | None]:
        """What an epoch shows.

        Args:
            epoch: from 0.
            num_shown: how many of the images; all but these are drawn from the learned half, or from twice their
                number if that is less.

        Returns:
            Indices int64 (num_shown,), and what each image's loss is multiplied by, float32 (num_images,); None: by 1.
        """
        if self._shards is None:
            order = torch.randperm(self._num_images, generator=random_stream(self._seed, "order", epoch))
        else:
            order = torch.from_numpy(by_shard(self._shards, self._seed, epoch))
        order = send(order, self._device)
        num_left_out = self._num_images - num_shown
        if not num_left_out:
            return order, None
        assert self.remembers
        num_learned = min(2 * num_left_out, self._num_images)
        learned = torch.argsort(self._basis, stable=True)[:num_learned]
        drawn = send(torch.randperm(num_learned, generator=random_stream(self._seed, "skip", epoch)), self._device)
        shown = torch.ones(self._num_images, dtype=torch.bool, device=self._device)
        shown[learned[drawn[:num_left_out]]] = False
        weights = torch.ones(self._num_images, device=self._device)
        weights[learned] = num_learned / (num_learned - num_left_out)
        return order[shown[order]], weights

    def note(self, indices: Tensor, losses: Tensor) -> None:
        """Keeps the losses (N,) of the images `indices` (N,)."""
        if self.remembers:
            self._losses[indices] = losses.detach().float()

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint needs."""
        known = {"losses": self._losses, "basis": self._basis} if self.remembers else {}
        return known if self._shards is None else known | {"shards": self._shards_check()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Puts back what `state` gave. Raises KeyError or RuntimeError if it is another training's."""
        before, now = state.get("shards"), None if self._shards is None else self._shards_check()
        if (before is None) != (now is None) or (before is not None and now is not None and before != now):
            raise RuntimeError("its images were spread over other shards, or lay in none, so its order was another")
        if self.remembers:
            self._losses.copy_(state["losses"])
            self._basis.copy_(state["basis"])

    def _shards_check(self) -> Tensor:
        """Tells other shards from these: int64 (1,)."""
        assert self._shards is not None
        return torch.tensor([zlib.crc32(self._shards.tobytes())])
