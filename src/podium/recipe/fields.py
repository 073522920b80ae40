"""Recipe: everything that decides a training, as one frozen dataclass; read from TOML, changed by `--set`.

Imports nothing heavy, so that the command line can check a recipe before it loads torch.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, get_type_hints

from podium.errors import RecipeError
from podium.recipe import rules

__all__ = ["Recipe"]


@dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are those of a plain SGD training; the recipes that ship override most of them."""

    name: str = "custom"
    """Names the run folder."""
    model: str = "sprint"
    """A name from `podium models`."""
    form: str = "auto"
    """Of the network. cifar: for small images, its stem keeps their size; imagenet: as the paper has it. auto: imagenet
    from 96 pixels a side on, or the only one there is."""
    dropout: float = 0.0
    """Part of the activations set to 0, where the network's paper does so (nets with dropout)."""
    stochastic_depth: float = 0.0
    """Probability that a residual block is skipped, rising from near 0 at the first to this at the last (residual
    nets; arXiv 1603.09382)."""
    auxiliary_weight: float = 0.0
    """Of the loss of each auxiliary head, which only training has (googlenet; the paper's is 0.3); 0: no such heads."""

    hold_out: float = 0.1
    """Fraction of the labelled images, stratified by class, that is kept from training to measure accuracy; 0: none."""
    hold_out_seed: int = 0
    """Which images are held out. Apart from the training's seed, so that several seeds share one hold-out."""
    mean: tuple[float, ...] = ()
    """Per channel, of pixels scaled to [0, 1]; subtracted. Empty: measured on the training images."""
    std: tuple[float, ...] = ()
    """Per channel, of pixels scaled to [0, 1]; divided by. Empty: measured on the training images."""

    epochs: float = 100.0
    """Passes over the training images; a fraction stops within one."""
    batch_size: int = 128
    """Images a step."""
    accumulate: int = 1
    """Parts that a step's batch is computed in, one after the other, to save memory; BN sees the parts."""
    grow_scales: tuple[float, ...] = ()
    """Growing resolution: the parts of their own size at which the images are shown first, one after the other."""
    grow_until: tuple[float, ...] = ()
    """The part of the training, ascending and below 1, at which each of `grow_scales` ends."""
    skip_learned: float = 0.0
    """Part of the images that an epoch leaves out, drawn from the twice as many with the lowest last loss; those of
    them that are shown count double."""
    skip_between: tuple[float, ...] = ()
    """The parts of the training, two numbers, between which epochs leave learned images out; never the first one."""
    last_batch: str = "keep"
    """keep: an epoch's last batch may be short. drop: its images wait for another epoch."""

    optimizer: str = "sgd"
    """sgd; adamw; lion (arXiv 2302.06675); muon: Muon for the convolutions' filters, SGD with Nesterov momentum for
    biases and head."""
    learning_rate: float = 0.1
    """At the schedule's multiplier 1, its highest. With muon: of the filters."""
    momentum: float = 0.9
    """Of sgd; with muon: of the filters."""
    betas: tuple[float, ...] = ()
    """How slowly the two running means follow (adamw, lion). Empty: 0.9 and 0.999 for adamw, 0.9 and 0.99 for lion."""
    momentum_form: str = "torch"
    """How a falling learning rate meets the momentum (sgd). torch: at once. mxnet: what was gathered keeps the rate
    that it was gathered at."""
    nesterov: bool = False
    """Look ahead along the momentum (sgd; muon always does)."""
    weight_decay: float = 0.0
    """sgd: added to the gradient, times the weight. adamw, lion: what a weight shrinks by in a step, times the learning
    rate. muon: what biases and head shrink by in a step at full learning rate; the filters have their norm fixed."""
    decay_all: bool = True
    """Whether biases and BN's parameters decay too (sgd, adamw, lion)."""
    bias_learning_rate: float = 0.0
    """Of the biases (muon)."""
    head_learning_rate: float = 0.0
    """Of the classifier head (muon)."""
    sgd_momentum: float = 0.85
    """Of biases and head (muon)."""
    whiten_bias_epochs: float = 0.0
    """The whitening layer's bias is trained this long, its learning rate falling to 0 (nets with one, muon)."""

    schedule: str = "constant"
    """constant; linear: falls to 0 at the end; cosine: falls to 0 along half a wave; one_cycle: rises from a 25th until
    `schedule_peak`, then falls as cosine does; step: times `schedule_factor` every `schedule_period` epochs, or at each
    of `schedule_milestones`."""
    warmup_epochs: float = 0.0
    """The rate rises linearly from 0 during so many epochs; the schedule's shape fills the rest."""
    schedule_peak: float = 0.3
    """The part of the training at which `one_cycle` is at its highest."""
    schedule_period: float = 0.0
    """Epochs between two steps of the schedule `step`; 0: `schedule_milestones` say when."""
    schedule_milestones: tuple[float, ...] = ()
    """The epochs, ascending, after which the schedule `step` steps."""
    schedule_factor: float = 0.1
    """What a step of the schedule `step` multiplies by."""

    clip_norm: float = 0.0
    """The gradient's length over all parameters is cut to this; 0: not. Of the gradient as `loss_reduction` has it."""
    sam_radius: float = 0.0
    """Sharpness-aware minimisation (arXiv 2010.01412): the gradient is taken so far uphill, which doubles the time."""
    average: str = "none"
    """What the trained weights are. none: the last ones; ema: an exponential moving average; swa: the mean of those at
    the epochs' ends from `swa_from` on (arXiv 1803.05407). Averages have BN's statistics measured anew."""
    ema_decay: float = 0.999
    """Part of the moving average that a step keeps; less in the first steps, so that it doesn't remember the start."""
    swa_from: float = 0.75
    """The part of the training from which on epochs' ends are averaged."""

    sync_norm: bool = True
    """Where several processes train: whether BN takes the statistics of all of them, as one process would, or each
    those of its own part; the running ones are then the first's."""
    norm_momentum: float = 0.0
    """How fast BN's running statistics follow a batch's; 0: as the network has it."""
    label_smoothing: float = 0.0
    """Part of the target spread evenly over all classes."""
    distill_weight: float = 1.0
    """Where there is a teacher (`--teacher`): part of the loss that is the distance to its answers; the rest is that to
    the labels."""
    distill_temperature: float = 1.0
    """That the teacher's logits and the network's own are divided by for that distance."""
    loss_reduction: str = "mean"
    """Over a batch: mean, sum, or sum_over_batch_size: the sum over `batch_size`, even where the batch is short."""
    mixup: float = 0.0
    """Images are blended with another of their batch, by a part drawn from Beta(mixup, mixup), and so are their targets
    (arXiv 1710.09412); 0: not. With `cutmix` too, a coin decides for each image."""
    cutmix: float = 0.0
    """A box of another image of the batch is pasted over, its area drawn from Beta(cutmix, cutmix), and targets are
    blended by area (arXiv 1905.04899); 0: not."""

    resize: int = 0
    """Side in pixels to which images are resized before all other augmentation; 0: not."""
    brightness: float = 0.0
    """Brightness times a factor uniform in [1 - brightness, 1 + brightness]."""
    contrast: float = 0.0
    """Distance from the image's mean grey times a factor uniform in [1 - contrast, 1 + contrast]."""
    saturation: float = 0.0
    """Distance from the pixel's own grey times a factor uniform in [1 - saturation, 1 + saturation]."""
    sharpness: float = 0.0
    """Distance from the smoothed image times a factor uniform in [1 - sharpness, 1 + sharpness]."""
    hue: float = 0.0
    """Hue turned, in HLS space, by a part of the circle uniform in [-hue, hue]; 0.5 reaches every hue."""
    grey: float = 0.0
    """Probability that an image loses its colours."""
    posterize: int = 0
    """Images keep only a number of bits of each channel, uniform from this to 8; 0: all."""
    solarize: float = 0.0
    """Probability that levels from a threshold on, uniform over all levels, are inverted."""
    equalize: float = 0.0
    """Probability that each channel's histogram is flattened."""
    autocontrast: float = 0.0
    """Probability that each channel is stretched to the full range."""
    crop_area_min: float = 1.0
    """Crop of area uniform in [crop_area_min, 1] of the image, resized back to the net's input; 1: no crop."""
    crop_ratio: float = 1.0
    """The crop's width over height is off from the input's by a factor log-uniform in [1/crop_ratio, crop_ratio]."""
    flip: str = "none"
    """Left-right. random: a fair coin each time. alternating: a coin in the first epoch, then turned every epoch."""
    translate: int = 0
    """Shift by up to this many pixels each way."""
    border: str = "reflect"
    """What `translate` brings in at the edges. reflect: the image mirrored; mean: the training images' mean colour, as
    padding normalised images by zeros does; black."""
    rotate: float = 0.0
    """Turned by an angle uniform in [-rotate, rotate] degrees, bilinear; what comes in has the mean colour."""
    shear: float = 0.0
    """Sheared along x and along y by angles uniform in [-shear, shear] degrees; one map together with `rotate`."""
    policy: str = "none"
    """Operations drawn for each image. trivialaugment: one of 14 at a random strength (arXiv 2103.10158, its wide
    space); randaugment: `policy_ops` times one of 14 at `policy_magnitude` (arXiv 1909.13719); autoaugment: one of the
    25 pairs found for CIFAR-10 (arXiv 1805.09501)."""
    policy_ops: int = 2
    """Operations an image (randaugment)."""
    policy_magnitude: int = 9
    """Their strength, 0 to 30 (randaugment)."""
    cutout: int = 0
    """A square of this many pixels a side is painted over with the training images' mean; 0: none."""
    erasing: float = 0.0
    """Probability that a box of 2 to 33 % of the area is painted over with the mean colour (arXiv 1708.04896)."""

    tta: str = "none"
    """Test-time augmentation. mirror: with the mirrored image; mirror_translate: and both shifted by a pixel."""
    tta_fraction: float = 1.0
    """Part of the images, the least sure by their first view, that get all views of `tta`; the others keep that one."""
    evaluate_every: int = 1
    """Epochs between two looks at the hold-out, for the curve only; 0: only at the end."""
    precision: str = "auto"
    """auto: bf16 where the processor multiplies it natively, else fp32."""
    channels_last: bool = True
    """Memory format of the convolutions: NHWC."""
    compile: str = "none"
    """none; default: torch.compile makes fused kernels, which takes a minute and pays in long trainings; max: it also
    tries out many (max-autotune) and replays them as CUDA graphs, for many trainings in one process."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in fields(self):
            value = rules.typed(field.name, getattr(self, field.name), hints[field.name])
            object.__setattr__(self, field.name, value)
        rules.check(self)

    def with_settings(self, settings: Mapping[str, object]) -> Recipe:
        """A copy with some keys set anew.

        Raises:
            RecipeError: an unknown key (the nearest right one is named), an impossible value, or one without effect.
        """
        _check_keys(settings, where="")
        changed = replace(self, **dict(settings))  # type: ignore[arg-type]  # __post_init__ checks each type
        rules.check_used(changed, settings)
        return changed

    def to_dict(self) -> dict[str, Any]:
        """All fields, as plain values in their order."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    def to_toml(self) -> str:
        """As TOML that `load_recipe` reads back to an equal recipe."""
        return "".join(f"{key} = {_toml(value)}\n" for key, value in self.to_dict().items())

    @staticmethod
    def from_toml(text: str, where: str) -> Recipe:
        """Reads TOML; `where` names it in errors.

        Raises:
            RecipeError: the text is no TOML, or a key or value is wrong.
        """
        try:
            values = tomllib.loads(text)
        except (ValueError, RecursionError) as error:  # ValueError: a number of thousands of digits
            raise RecipeError(f"{where} is no valid TOML: {error}.") from None
        _check_keys(values, where=f"{where}: ")
        try:
            return Recipe(**values)
        except RecipeError as error:
            raise RecipeError(f"{where}: {error}") from None


def _check_keys(values: Mapping[str, object], where: str) -> None:
    known = [field.name for field in fields(Recipe)]
    for key in values:
        if key not in known:
            hint = rules.nearest(key, known) or f"; the keys are: {', '.join(known)}"
            raise RecipeError(f"{where}unknown key {key!r}{hint}.")


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # JSON's escapes are TOML's too
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    return repr(value)
