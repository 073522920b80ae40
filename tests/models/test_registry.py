"""What every registered model declares, and what all must do."""

import hashlib

import pytest
import torch
from torch.nn import functional as F

from podium import models
from podium.errors import RecipeError
from podium.models.registry import cifar, imagenet, register

ENTRIES = {entry.name: entry for entry in models.entries()}
NAMES = list(ENTRIES)
FORMS = [(entry.name, form) for entry in models.entries() for form in entry.forms]

# 1605.07146, 1608.06993, …: what the papers or their authors' code say of the CIFAR nets, in millions
PAPERS = {"resnet164_v2": 1.70, "densenet_bc_100_12": 0.77, "wrn_28_10": 36.5, "wrn_16_4": 2.7}

# The first 16 digits of the SHA-256 of all lines "name shape" of torchvision 0.29.1's state dicts, sorted
TORCHVISION = {
    "alexnet": (16, "935c1ea73a7869ee"),
    "resnet18": (122, "5191d63ec3989592"),
    "resnet34": (218, "f8de2a1812ef85e4"),
    "resnet50": (320, "a87e91cd6bd1f939"),
    "densenet121": (727, "9c659ec278435e95"),
    "googlenet": (364, "de3745733576b3b1"),
}


def create(name, num_classes=10, size=32, **options):
    torch.manual_seed(0)
    return models.create(name, num_classes, (size, size), **options)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_parameter_count_is_as_declared(name, form):
    facts = ENTRIES[name].forms[form]
    with torch.device("meta"):
        network = models.create(name, facts.num_classes, (facts.image_size,) * 2, form=form)
        assert count(network) == facts.num_parameters
        assert network(torch.empty(2, 3, facts.image_size, facts.image_size)).shape == (2, facts.num_classes)


def test_the_issues_counts():
    """Counts that are known from elsewhere; the ImageNet forms' are torchvision's."""
    known = {"alexnet": 61_100_840, "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032}
    known |= {"densenet121": 7_978_856, "googlenet": 6_624_904}
    assert {name: ENTRIES[name].forms["imagenet"].num_parameters for name in known} == known
    for name, millions in PAPERS.items():
        found = ENTRIES[name].forms["cifar"].num_parameters / 1e6
        assert round(found, 1 if millions in (36.5, 2.7) else 2) == millions
    with torch.device("meta"):
        assert count(create("googlenet", 1000, 224, auxiliary_heads=True)) == 13_004_888


@pytest.mark.parametrize("name", TORCHVISION)
def test_imagenet_forms_have_torchvisions_names_and_shapes(name):
    options = {"auxiliary_heads": True} if name == "googlenet" else {}
    with torch.device("meta"):
        state = create(name, 1000, 224, **options).state_dict()
    lines = sorted(f"{key} {tuple(tensor.shape)}" for key, tensor in state.items())
    assert (len(lines), hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]) == TORCHVISION[name]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_smallest_size_works_and_a_smaller_one_is_refused(name, form):
    smallest = ENTRIES[name].forms[form].min_size
    net = create(name, num_classes=3, size=smallest, form=form)
    net(torch.zeros(2, 3, smallest, smallest))
    assert net.eval()(torch.zeros(2, 3, smallest, smallest)).shape == (2, 3)
    with pytest.raises(RecipeError, match=f"at least {smallest}×{smallest}"):
        create(name, size=smallest - 1, form=form)


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_other_sizes_and_proportions_work(name, form):
    net = create(name, num_classes=5, size=64, form=form).eval()
    with torch.inference_mode():
        assert net(torch.zeros(1, 3, 64, 75)).shape == (1, 5)


@pytest.mark.parametrize("name", NAMES)
def test_every_trainable_parameter_gets_a_gradient(name):
    options = {"auxiliary_heads": True} if name == "googlenet" else {}
    net = create(name, **options)
    outputs = net(torch.randn(4, 3, 32, 32))
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else outputs
    assert len(outputs) == (3 if name == "googlenet" else 1)
    sum(F.cross_entropy(one, torch.tensor([0, 1, 2, 3])) for one in outputs).backward()
    for key, parameter in net.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, key
            assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", NAMES)
def test_bf16_and_channels_last_agree_with_fp32(name):
    net = create(name)
    images = torch.randn(16, 3, 32, 32)
    with torch.no_grad():
        net(images)  # statistics for BN
        net.eval()
        exact = net(images)
        last = net.to(memory_format=torch.channels_last)
        assert torch.allclose(last(images), exact, rtol=1e-3, atol=1e-4 * float(exact.abs().max()))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = last(images).float()
    error = (rough - exact).norm() / exact.norm()
    assert error < (0.25 if name == "seed_resnet164_v2" else 0.05)  # 245 layers of rounding


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trip(name):
    one, other = create(name).eval(), models.create(name, 10, (32, 32)).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        assert not torch.equal(one(images), other(images))
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(images), other(images))


def test_auto_takes_the_form_by_the_images_size():
    assert models.resolve_form("resnet18", "auto", (64, 200)) == "cifar"
    assert models.resolve_form("resnet18", "auto", (128, 96)) == "imagenet"
    assert models.resolve_form("wrn_16_4", "auto", (224, 224)) == "cifar"  # the only one there is
    with pytest.raises(RecipeError, match="no form 'imagenet'; it has: cifar"):
        models.resolve_form("wrn_16_4", "imagenet", (224, 224))


OPTIONS = [(entry.name, option) for entry in models.entries() for option in sorted(entry.options)]


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_an_option_changes_training_and_nothing_else(name, option):
    value = True if option == "auxiliary_heads" else 0.5
    plain, changed = create(name), create(name, **{option: value})
    changed.load_state_dict({**changed.state_dict(), **plain.state_dict()})
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        for module in [*plain.modules(), *changed.modules()]:
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(1.0)  # a residual branch that begins at 0 would hide what is dropped
        torch.manual_seed(1)
        first = changed.train()(images)
        second = plain.train()(images)
        if option == "auxiliary_heads":
            assert torch.equal(first[0], second)
        else:
            assert not torch.allclose(first, second)
        changed.load_state_dict({**changed.state_dict(), **plain.state_dict()})
        assert torch.equal(changed.eval()(images), plain.eval()(images))


def test_an_option_that_a_model_lacks_is_refused_and_those_that_have_it_are_named():
    with pytest.raises(RecipeError, match=r"'sprint' has no stochastic depth; these have: .*resnet18"):
        create("sprint", stochastic_depth=0.1)
    assert create("sprint", stochastic_depth=0.0, auxiliary_heads=False) is not None


def test_a_name_is_taken_once():
    with pytest.raises(ValueError, match="registered already"):
        register("sprint", source="", cifar=cifar(1))(lambda num_classes: torch.nn.Identity())


def test_forms_say_what_they_are_for():
    assert (cifar(5).num_classes, cifar(5).image_size) == (10, 32)
    assert (imagenet(5).num_classes, imagenet(5).image_size) == (1000, 224)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(RecipeError, match="'seed_resnet18'"):
        models.create("seed_resnet_18", 10, (32, 32))


@pytest.mark.parametrize("name", ["seed_resnet18", "seed_resnet164_v2"])
def test_seed_weights_are_xavier_uniform_and_biases_zero(name):
    """Uniform within sqrt(3 / ((fan_in + fan_out) / 2)): MXNet's Xavier, factor "avg", magnitude 3."""
    for module in create(name).modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            area = module.weight[0, 0].numel()
            bound = (3 / (area * sum(module.weight.shape[:2]) / 2)) ** 0.5
            assert module.weight.abs().max() <= bound
            if module.weight.numel() > 2000:
                assert module.weight.abs().max() > 0.98 * bound
                assert module.weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.05)
            if module.bias is not None:
                assert not module.bias.any()
