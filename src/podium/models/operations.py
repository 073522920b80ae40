"""Operations: what one image costs, counted on tensors that have no memory."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from podium.models import registry

__all__ = ["count_operations"]


def count_operations(name: str, form: str) -> int:
    """Multiplications and additions of one image's logits, at the size and number of classes that the form is made for.

    Of convolutions and matrix products; all else is small beside them. A training step takes about three times as many.
    """
    facts = registry.entry(name).forms[form]
    size = (facts.image_size, facts.image_size)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        network = registry.create(name, facts.num_classes, size, form=form).eval()
        with torch.no_grad():
            network(torch.empty(1, 3, *size))
    return int(counter.get_total_flops())
