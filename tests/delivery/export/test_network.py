"""Every registered network for small images becomes ONNX, and answers there as it does in PyTorch."""

import io
import json

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from podium.delivery.export import OnnxSession, check_answers, generated_images, quantize, to_onnx
from podium.delivery.export.network import OnnxNetwork
from podium.errors import ExportError
from podium.evaluation.tta import NUM_VIEWS, VIEW_WEIGHTS, logits_with_tta, views
from podium.models import Classifier, Preprocessing, create, entries
from podium.models.densenet import DenseNet

CLASSES = ("ant", "bee", "cat")


def shortened(name, size):
    """The network with few layers of each kind: torch's exporter takes a second for twenty of them."""
    torch.manual_seed(0)
    if "densenet" in name:
        return DenseNet(len(CLASSES), 12, (2, 1, 1), 24, large_stem=False)
    network = create(name, len(CLASSES), size, form="cifar")
    kept = 2
    for part in list(network.modules()):
        if type(part) is nn.Sequential and any(word in type(part[0]).__name__ for word in ("Block", "Bottleneck")):
            del part[kept:]
            kept = 1  # of the later stages the first block has all there is, and the others what the first stage's have
    return network


def alike():
    """The names of the networks that are of the same layers, but for the number of channels: each such list once."""
    found = {}
    for entry in entries():
        if "cifar" in entry.forms:
            with torch.device("meta"):
                parts = shortened(entry.name, (32, 32)).modules()
            key = tuple((type(one), getattr(one, "kernel_size", None), getattr(one, "stride", None)) for one in parts)
            found.setdefault(key, []).append(entry.name)
    return list(found.values())


def classifier_of(network, name="any", size=(32, 32)):
    """With statistics that a training would have left, so that none may be forgotten."""
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.running_mean, 0, 0.1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
    return Classifier(name, network, Preprocessing(CLASSES, size, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))).eval()


def exported(classifier, **options):
    return to_onnx(classifier, **options).SerializeToString()


@pytest.fixture(scope="module")
def small():
    """A classifier of images that are higher than wide."""
    return classifier_of(shortened("sprint", (16, 12)), "sprint", (16, 12))


FACTS = {"podium_version": "1.2", "classes": json.dumps(CLASSES)}


@pytest.fixture(scope="module")
def whole(small):
    return exported(small, facts=FACTS)


@pytest.fixture(scope="module")
def session(whole):
    return OnnxSession(whole, 1)


@pytest.mark.parametrize("names", alike(), ids=", ".join)
def test_every_network_for_small_images_is_exported(names):
    classifier = classifier_of(shortened(names[0], (32, 32)), names[0])
    found = check_answers(OnnxSession(exported(classifier), 1), classifier, generated_images(5, (32, 32)), "images")
    assert found.num_images == 5
    assert found.logits < 1e-5


def test_its_input_is_any_number_of_uint8_images(whole, session):
    model = onnx.load(io.BytesIO(whole))
    (images,) = model.graph.input
    assert images.name == "images"
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    batch, *rest = images.type.tensor_type.shape.dim
    assert batch.dim_param
    assert [one.dim_value for one in rest] == [16, 12, 3]
    assert [one.name for one in model.graph.output] == ["probabilities", "logits"]
    assert (model.producer_name, model.producer_version) == ("podium", "1.2")
    assert {one.key: one.value for one in model.metadata_props} == session.facts == FACTS
    images = generated_images(7, (16, 12))
    for count in (1, 2, 7):
        probabilities, logits = session(images[:count])
        assert probabilities.shape == logits.shape == (count, 3)
        assert probabilities.sum(1) == pytest.approx(np.ones(count), abs=1e-5)


def test_it_tells_nothing_of_the_machine_and_is_the_same_each_time(small, whole):
    assert b".py" not in whole
    assert b"torch" not in whole
    assert whole == exported(small, facts=FACTS)


def test_test_time_augmentation_inside(small):
    images = generated_images(6, (16, 12))
    inside = OnnxSession(exported(small, tta="mirror_translate"), 1)
    check_answers(inside, small, images, "images", "mirror_translate")
    with pytest.raises(ExportError, match="doesn't answer as PyTorch does"):
        check_answers(inside, small, images, "images", "none")


def test_a_temperature_inside(small):
    images = generated_images(6, (16, 12))
    inside = OnnxSession(exported(small, temperature=0.5), 1)
    check_answers(inside, small, images, "images", temperature=0.5)
    probabilities, logits = inside(images)
    assert probabilities == pytest.approx(torch.from_numpy(2 * logits).softmax(1).numpy(), abs=1e-6)
    with pytest.raises(ExportError, match="doesn't answer as PyTorch does"):
        check_answers(inside, small, images, "images")


@pytest.mark.parametrize("tta", list(NUM_VIEWS))
def test_views_are_what_logits_with_tta_shows_the_net(small, tta):
    pixels = torch.from_numpy(generated_images(4, (16, 12))).permute(0, 3, 1, 2)
    each = [small(view) for view in views(pixels, tta)]
    assert len(each) == NUM_VIEWS[tta] == len(VIEW_WEIGHTS[tta])
    mean = sum(weight * logits for weight, logits in zip(VIEW_WEIGHTS[tta], each, strict=True))
    assert torch.allclose(mean, logits_with_tta(small, pixels, tta), atol=1e-5)
    _, logits = OnnxNetwork(small, tta)(pixels.permute(0, 2, 3, 1))
    assert torch.allclose(mean, logits, atol=1e-5)


@pytest.mark.parametrize("what", ["mean", "order", "weight"])
def test_a_model_that_answers_otherwise_is_refused(small, session, what):
    other = classifier_of(shortened("sprint", (16, 12)), "sprint", (16, 12))
    other.load_state_dict(small.state_dict())
    images = generated_images(8, (16, 12))
    check_answers(session, other, images, "images")
    if what == "mean":
        other.shift += 0.01
    if what == "order":
        other.scale.copy_(other.scale.flip(0))
        other.shift.copy_(other.shift.flip(0))
    if what == "weight":
        with torch.no_grad():
            other.network.head.weight[0] *= 1.01
    with pytest.raises(ExportError, match="8 images"):
        check_answers(session, other, images, "images")


def test_what_answers_nan_is_refused(small, session):
    def broken(pixels):
        probabilities, logits = session(pixels)
        return probabilities, logits * np.nan

    with pytest.raises(ExportError, match="nan"):
        check_answers(broken, small, generated_images(3, (16, 12)), "images")


def test_what_onnx_has_no_operation_for_is_said():
    class Odd(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x.mean(1)[:, :3, :3]).real

    with pytest.raises(ExportError, match="odd can't be written as ONNX") as caught:
        to_onnx(classifier_of(Odd(), "odd"))
    assert str(caught.value).count("\n") == 0


def test_int8_is_smaller_and_answers_alike(whole):
    images = generated_images(64, (16, 12))
    less = quantize(whole, images, {"precision": "int8", "podium_version": "1.2"})
    assert len(less) < 0.4 * len(whole)
    session = OnnxSession(less, 1)
    assert session.facts["precision"] == "int8"
    kinds = [node.op_type for node in onnx.load(io.BytesIO(less)).graph.node]
    assert kinds.count("QuantizeLinear") >= 6
    assert kinds.index("Conv") < kinds.index("Softmax")
    expected = OnnxSession(whole, 1)(images)[1]
    found = session(images)[1]
    assert np.corrcoef(found.ravel(), expected.ravel())[0, 1] > 0.98
    assert not np.array_equal(found, expected)


def test_what_is_no_model_is_said(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"no model")
    for source in (b"no model", tmp_path / "a.onnx"):
        with pytest.raises(ExportError, match="isn't taken by ONNX Runtime"):
            OnnxSession(source)


def test_generated_images_are_the_same_each_time():
    first, second = generated_images(5, (9, 7)), generated_images(5, (9, 7))
    assert first.shape == (5, 9, 7, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, second)
    assert first.std() > 40
