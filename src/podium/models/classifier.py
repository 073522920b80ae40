"""Classifier: a network together with all that turns pixels into its input and its output into names.

Every verb that uses a trained model goes through this one object, and its file holds both halves: the weights as
safetensors, the preprocessing as JSON in that file's metadata.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from podium.errors import PodiumError, RunError
from podium.files import write_atomically
from podium.models import registry
from podium.models.blocks import auxiliary_prefixes

__all__ = ["Classifier", "Preprocessing"]

_FORMAT = "podium-classifier-1"
_MAX_SIDE = 4096  # pixels, as of `podium.open`
_MAX_NUMBER, _MIN_STD = 1e6, 1e-6


@dataclass(frozen=True)
class Preprocessing:
    """What a network was trained on, and so must be given.

    Attributes:
        classes: the K names, in the order of the logits.
        image_size: height and width in pixels.
        mean: per channel of RGB, of pixels scaled to [0, 1]; subtracted.
        std: per channel of RGB, of pixels scaled to [0, 1]; divided by.
        crops: how an image of another size gets that size. True: its middle, as `podium.data.fit` takes it; False: it
            is resized, whatever its proportions.
    """

    classes: tuple[str, ...]
    image_size: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    crops: bool = False

    def to_json(self) -> str:
        """What `from_json` reads. Where nothing is cropped it isn't mentioned, as in files of before there was that."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "crops" or value})

    @staticmethod
    def from_json(text: str) -> Preprocessing:
        """Raises ValueError or TypeError if the text is something else, or says what can't be."""
        values = json.loads(text)
        if not isinstance(values, dict):
            raise ValueError("its preprocessing is no table")
        typed: dict[str, Any] = {
            name: value if isinstance(value, bool) else tuple(value) for name, value in values.items()
        }
        found = Preprocessing(**typed)
        if not all(isinstance(name, str) for name in found.classes) or not 2 <= len(set(found.classes)) == len(
            found.classes
        ):
            raise ValueError("its classes aren't two different names or more")
        if len(found.image_size) != 2 or not all(
            type(side) is int and 1 <= side <= _MAX_SIDE for side in found.image_size
        ):
            raise ValueError("its images' size can't be")
        for numbers in (found.mean, found.std):
            if len(numbers) != 3 or not all(type(one) in (int, float) and abs(one) < _MAX_NUMBER for one in numbers):
                raise ValueError("its mean and std aren't three numbers each")
        if min(found.std) < _MIN_STD:
            raise ValueError("its std isn't above 0")
        return found

    def normalize(self, pixels: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) in RGB → float32 of the same shape and memory format."""
        scale, shift = self.scale_and_shift()
        return _normalized(pixels, scale.to(pixels.device), shift.to(pixels.device))

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """What a pixel of 0 … 255 is multiplied by, and what is added then: float32 (3,) each, on the CPU."""
        scale = torch.tensor([1 / (255 * std) for std in self.std])
        shift = torch.tensor([-mean / std for mean, std in zip(self.mean, self.std, strict=True)])
        return scale, shift


def _normalized(pixels: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return pixels.float().mul_(scale.view(1, 3, 1, 1)).add_(shift.view(1, 3, 1, 1))


class Classifier(nn.Module):
    """uint8 images in, logits out.

    Args:
        model_name: as registered.
        network: float (N, 3, H, W) → logits (N, K).
        preprocessing: what stands before the network.
        form: of the model, as registered, or "auto".
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, model_name: str, network: nn.Module, preprocessing: Preprocessing, form: str = "auto") -> None:
        super().__init__()
        self.model_name = model_name
        self.form = form
        self.network = network
        self.preprocessing = preprocessing
        # on the device from the start: made anew for each batch, they would have it wait for two copies
        scale, shift = preprocessing.scale_and_shift()
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) → float32 logits (N, K)."""
        return self.outputs(pixels)[0]

    def outputs(self, pixels: Tensor) -> list[Tensor]:
        """The logits of the network's own head, then, in training, of each auxiliary one: float32 (N, K)."""
        logits: Tensor | list[Tensor] = self.network(_normalized(pixels, self.scale, self.shift))
        return [one.float() for one in ([logits] if isinstance(logits, Tensor) else logits)]

    def state(self) -> dict[str, Tensor]:
        """The network's weights and buffers without its auxiliary heads: what is needed to use it."""
        only = auxiliary_prefixes(self.network)
        return {name: tensor for name, tensor in self.network.state_dict().items() if not name.startswith(only)}

    def save(self, path: Path) -> None:
        """Writes weights and preprocessing to one safetensors file, whole or not at all.

        Raises:
            StorageError: the disk is full or not writable.
        """
        state = {name: tensor.detach().cpu().contiguous() for name, tensor in self.state().items()}
        header = {"format": _FORMAT, "model": self.model_name, "form": self.form}
        header["preprocessing"] = self.preprocessing.to_json()
        write_atomically(path, safetensors.torch.save(state, metadata=header))

    @staticmethod
    def load(path: Path, device: torch.device | None = None) -> Classifier:
        """Reads what `save` wrote; the network is in evaluation mode and channels_last.

        Raises:
            RunError: the file is missing, damaged, or not a classifier of this version.
        """
        if not path.is_file():
            raise RunError(
                f"{path} is missing: the run was not finished, or isn't one. `podium train --resume` goes on."
            )
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("format") != _FORMAT:
                    raise RunError(f"{path} holds no podium classifier. It takes the model.safetensors of a run.")
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
            preprocessing = Preprocessing.from_json(header["preprocessing"])
            form = header.get("form", "auto")  # files of before there were forms lack it
            if not any(tensor.shape[:1] == (len(preprocessing.classes),) for tensor in state.values()):
                raise ValueError("its weights are for other classes")  # said before memory is taken for so many
            network = registry.create(header["model"], len(preprocessing.classes), preprocessing.image_size, form=form)
            network.load_state_dict(state)
        except PodiumError:
            raise
        except Exception as error:  # a damaged file can be damaged anyhow
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            raise RunError(f"{path} is damaged: {reason}.\nTrain again, or copy the run anew.") from error
        classifier = Classifier(header["model"], network, preprocessing, form).eval()
        return classifier.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
