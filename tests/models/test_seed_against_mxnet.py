"""The seed's ResNet-164 v2 beside what MXNet 1.9.1 itself computed with the same weights: fp32, on the CPU.

Shapes: N images, K classes.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from podium.interop import from_gluon, read_params
from podium.models import Classifier, Preprocessing
from podium.models.seed import SeedResNet164V2
from podium.recipe import load_recipe
from podium.training import setup
from podium.training.optimizers import Optimizers
from podium.training.plan import Plan
from podium.training.timetable import Timetable

GLUON = Path(__file__).parents[3] / "shared" / "gluon"

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def recorded():
    """Batches, logits, losses and settings, as MXNet had them."""
    if not GLUON.is_dir():
        pytest.skip("MXNet's files aren't here")
    with np.load(GLUON / "seed_resnet164_v2_io.npz") as file:
        return dict(file)


@pytest.fixture
def recipe(recorded):
    """The seed's, with what MXNet's step used instead."""
    settings = {key: float(recorded[key]) for key in ("learning_rate", "momentum", "weight_decay")}
    return load_recipe("seed_resnet164_v2").with_settings({**settings, "batch_size": 32})


@pytest.fixture
def classifier(recipe):
    """Podium's net with MXNet's weights, behind the seed's preprocessing."""
    network = SeedResNet164V2(10)
    network.load_state_dict(from_gluon(read_params(GLUON / "seed_resnet164_v2.params"), recipe.model))
    preprocessing = Preprocessing(tuple("0123456789"), (32, 32), recipe.mean, recipe.std)
    return Classifier(recipe.model, network, preprocessing).to(memory_format=torch.channels_last)


def batch(recorded, number):
    """uint8 images (N, 3, H, W) and labels (N,)."""
    images = torch.from_numpy(recorded["images"][number]).permute(0, 3, 1, 2)
    return images, torch.from_numpy(recorded["labels"][number]).long()


def test_logits_are_mxnets(recorded, classifier):
    images, _ = batch(recorded, 2)
    with torch.inference_mode():
        logits = classifier.eval()(images).numpy()  # (N, K)
    assert np.abs(logits - recorded["logits"]).max() < 1e-5 * np.abs(recorded["logits"]).max()


def test_losses_before_and_after_a_step_are_mxnets(recorded, classifier, recipe):
    def loss_sum(number):
        images, labels = batch(recorded, number)
        return F.cross_entropy(classifier(images), labels, reduction="sum")

    optimizers = Optimizers(classifier.network, recipe, Timetable(Plan.from_recipe(recipe, 32)), torch.float32)
    classifier.train()
    before = loss_sum(0)
    torch.autograd.backward(before * setup.loss_scale(recipe, 32))
    optimizers.step(0)
    with torch.no_grad():
        after = loss_sum(1)

    first, second = recorded["train_losses"].tolist()
    assert before.item() / 32 == pytest.approx(first, rel=1e-4)
    # Rounding in fp32 grows through 245 layers: from the same weights fp32 and float64 end 1.2e-3 apart, one on each
    # side of MXNet's. Without the step the loss is 6e-3 off, so this sees the step, but not its weight decay (3e-5).
    assert after.item() / 32 == pytest.approx(second, rel=3e-3)
