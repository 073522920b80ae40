import pytest
import torch
from torch import nn

from podium.models import Classifier, Preprocessing
from podium.recipe import Recipe
from podium.runtime import Runtime
from podium.training.average import Average
from podium.training.plan import Plan
from podium.training.timetable import Timetable

PREPROCESSING = Preprocessing(("a", "b", "c"), (12, 12), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
CPU = Runtime(torch.device("cpu"), torch.float32, 1)


def setting(**settings):
    recipe = Recipe(epochs=4, batch_size=10, **settings)
    plan = Timetable(Plan.from_recipe(recipe, 50))  # 5 steps an epoch
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    classifier = Classifier("sprint", net, PREPROCESSING)
    return classifier, Average(classifier, recipe, plan)


def batches():
    torch.manual_seed(2)
    return [torch.randint(0, 256, (8, 3, 12, 12), dtype=torch.uint8) for _ in range(3)]


def walk(classifier, average, num_steps=20):
    """Weights that are the number of steps done."""
    for step in range(1, num_steps + 1):
        with torch.no_grad():
            for parameter in classifier.network.parameters():
                parameter.fill_(float(step))
        average.update(step)


def weight(classifier):
    return float(classifier.network[4].weight[0, 0].detach())


def test_swa_is_the_mean_of_the_epochs_ends_from_its_start_on():
    classifier, average = setting(average="swa", swa_from=0.5)
    walk(classifier, average, 9)
    assert average.classifier(iter(batches()), CPU) is classifier  # nothing averaged yet
    walk(classifier, average)
    assert weight(average.classifier(iter(batches()), CPU)) == pytest.approx((10 + 15 + 20) / 3)


def test_ema_follows_its_formula_and_forgets_the_start():
    classifier, average = setting(average="ema", ema_decay=0.8)
    walk(classifier, average)
    expected = 1.0
    for count, value in enumerate(range(2, 21), 1):
        decay = min(0.8, (1 + count) / (10 + count))
        expected = decay * expected + (1 - decay) * value
    assert weight(average.classifier(iter(batches()), CPU)) == pytest.approx(expected, rel=1e-5)


def test_bn_is_measured_anew_and_the_trained_network_stays():
    classifier, average = setting(average="ema", ema_decay=0.5)
    walk(classifier, average)
    before = {name: tensor.clone() for name, tensor in classifier.network.state_dict().items()}
    averaged = average.classifier(iter(batches()), CPU)
    assert all(torch.equal(tensor, before[name]) for name, tensor in classifier.network.state_dict().items())
    conv, norm = averaged.network[0], averaged.network[1]
    with torch.no_grad():
        out = [conv(PREPROCESSING.normalize(batch)) for batch in batches()]
    mean = torch.stack([one.mean((0, 2, 3)) for one in out]).mean(0)
    assert torch.allclose(norm.running_mean, mean, rtol=1e-4)
    assert norm.momentum == 0.1  # as it was


def test_its_state_goes_through_a_checkpoint():
    classifier, average = setting(average="swa", swa_from=0.25)
    walk(classifier, average, 10)
    other, again = setting(average="swa", swa_from=0.25)
    again.load_state({name: tensor.clone() for name, tensor in average.state().items()})
    for one, mine in ((classifier, average), (other, again)):
        with torch.no_grad():
            for parameter in one.network.parameters():
                parameter.fill_(100.0)
        mine.update(15)
    assert weight(again.classifier(iter(batches()), CPU)) == weight(average.classifier(iter(batches()), CPU))
