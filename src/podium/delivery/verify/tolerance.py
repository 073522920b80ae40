"""How far a form's answers may lie from the reference's, and where each number comes from: the one table of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["TOLERANCES", "Tolerance"]


@dataclass(frozen=True)
class Tolerance:
    """What a form may differ by.

    Attributes:
        logits: the largest difference of two logits, as part of the largest logit there is; None: isn't judged.
        probabilities: the largest difference of two probabilities, read with a temperature of 0.5 or more; None: isn't
            judged.
        margin: an image may get another answer where the reference's logits of both are no further apart than this, as
            part of the largest logit there is.
        other_answers: the part of the images that may get another answer past the margin.
        source: where the numbers come from.
    """

    logits: float | None
    probabilities: float | None
    margin: float
    other_answers: float
    source: str

    def at(self, temperature: float) -> Tolerance:
        """For answers read with a temperature below 0.5: what moves logits moves probabilities by more."""
        if self.probabilities is None:
            return self
        return replace(self, probabilities=min(1.0, self.probabilities * max(1.0, _TEMPERATURE / temperature)))


_TEMPERATURE = 0.5  # of the weights that ship, about; the lowest that a hold-out without a fault gives is 0.018

_FLOAT32 = (
    "float32 keeps 24 bits; sums in another order differ by some 1e-6 of the largest (bench/results/verify.json, "
    "onnx-networks.json). 1e-4 is a hundred times that; a wrong mean, padding or order of channels makes a thousand "
    "times it."
)

TOLERANCES = {
    "eager": Tolerance(1e-4, 1e-4, 1e-4, 0.0, _FLOAT32),
    "reloaded": Tolerance(0.0, 0.0, 0.0, 0.0, "A file keeps every bit, so the same computation gives the same bits."),
    "bf16": Tolerance(
        0.05,
        0.1,
        0.05,
        0.0,
        "bfloat16 keeps 8 bits: each layer rounds by up to 2^-9 = 0.2 %, and 25 layers all to one side make 5 %. "
        "Probabilities: three times the 3 % seen of the weights that ship.",
    ),
    "compiled": Tolerance(1e-4, 1e-4, 1e-4, 0.0, _FLOAT32),
    "onnx": Tolerance(1e-4, 1e-4, 1e-4, 0.0, f"As `podium export` demands. {_FLOAT32}"),
    "int8": Tolerance(
        None,
        None,
        0.05,
        0.05,
        "8 bits a weight and an activation move single answers by more than rounding does, so it is judged as an "
        "accuracy is: by how many answers change of those that weren't near a tie. Of the weights that ship at most "
        "1 % do (bench/results/verify.json); a wrong range or an overflow changes a third and more.",
    ),
    "server": Tolerance(None, 1e-4, 1e-4, 0.0, f"The server answers probabilities, of six digits. {_FLOAT32}"),
    "resumed": Tolerance(
        0.0, 0.0, 0.0, 0.0, "Every random draw is named by seed and step, so on a processor no bit may differ."
    ),
}
"""By form, in the order in which they are shown."""
