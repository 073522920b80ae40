"""Unknown: does a picture look like any of the classes at all?

A network names a class whatever it is shown. How sure its logits are tells the pictures that it knows from others, not
always: docs/PREDICT.md has the rates. The threshold is where a part of held-out images of the known classes, 5 % unless
told otherwise, would be called unknown too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["FALSE_ALARMS", "score", "threshold"]

FALSE_ALARMS = 0.05
"""Part of the known pictures that is called unknown."""


def score(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """How much each picture looks like one of the classes: higher is more known.

    Args:
        logits: (N, K).

    Returns:
        float64 (N,): the logarithm of the summed exponentials of the logits, less their mean. Source: the free energy
        of Liu et al. (arXiv 2010.03759). Of eleven such scores it told CIFAR-10 from half of CIFAR-100's classes best.
    """
    wide = logits.astype(np.float64)
    wide -= wide.mean(1, keepdims=True)
    top = wide.max(1)
    return np.asarray(top + np.log(np.exp(wide - top[:, None]).sum(1)))


def threshold(logits: npt.NDArray[np.float32], false_alarms: float = FALSE_ALARMS) -> float:
    """The score below which a picture is called unknown.

    Args:
        logits: (N, K), of images of the known classes that the network wasn't trained on.
        false_alarms: part of these that is below it.
    """
    return float(np.quantile(score(logits), false_alarms))
