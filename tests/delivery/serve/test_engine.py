import asyncio
import threading
from concurrent.futures import Executor

import numpy as np
import pytest
import torch
from torch import nn

from podium.data import Images
from podium.delivery.serve.engine import Batching, Engine
from podium.evaluation import predict_images
from podium.evaluation.grad_cam import grad_cam
from podium.models import Classifier, Preprocessing

CLASSES = ("a", "b", "c")


class Net(nn.Module):
    """Says how many images it saw at once; may be held, and may fail."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)
        self.seen = []
        self.may_go = threading.Event()
        self.may_go.set()
        self.began = threading.Event()
        self.fails = False

    def forward(self, x):
        self.began.set()
        assert self.may_go.wait(60)
        self.seen.append(len(x))
        if self.fails:
            raise ValueError("broken")
        return self.head(self.conv(x).amax((2, 3)))


class AtOnce(Executor):
    """Reads before it returns."""

    def submit(self, call, /, *given):
        call(*given)


class Later(Executor):
    """Reads when it is told to."""

    def __init__(self):
        self.calls = []

    def submit(self, call, /, *given):
        self.calls.append(lambda: call(*given))


def asks(engine, pixels, readers=None, **options):
    return engine.ask(readers or AtOnce(), lambda: pixels, **options)


async def answer_of(engine, pixels, **options):
    return await asks(engine, pixels, **options)


@pytest.fixture
def classifier():
    return Classifier("toy", Net(), Preprocessing(CLASSES, (8, 8), (0.5,) * 3, (0.25,) * 3)).eval()


@pytest.fixture
def engine_of(classifier, runtime):
    engines = []

    def make(max_images=8, max_wait_seconds=0.0, **options):
        engines.append(Engine(classifier, runtime, batching=Batching(max_images, max_wait_seconds), **options))
        return engines[-1]

    yield make
    classifier.network.may_go.set()
    for engine in engines:
        engine.close()


def pixels_of(num, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (num, 8, 8, 3), np.uint8)


def predicted(classifier, pixels, runtime, **options):
    images = Images(pixels, None, np.arange(len(pixels)).astype(str), CLASSES)
    return predict_images(classifier, images, runtime, **options).logits


@pytest.mark.parametrize("tta", ["none", "mirror", "mirror_translate"])
def test_each_request_gets_what_predict_says_of_it_alone(engine_of, classifier, runtime, run_async, tta):
    engine = engine_of(tta=tta)
    requests = [pixels_of(num, seed=num) for num in (1, 4, 2, 7, 12)]

    async def ask():
        return await asyncio.gather(*(asks(engine, pixels) for pixels in requests))

    for pixels, answer in zip(requests, run_async(ask()), strict=True):
        expected = predicted(classifier, pixels, runtime, tta=tta)
        np.testing.assert_allclose(answer.logits, expected, atol=1e-5)


def test_requests_that_come_while_it_computes_go_together(engine_of, classifier, run_async):
    net, engine = classifier.network, engine_of()

    async def ask():
        net.may_go.clear()
        first = asks(engine, pixels_of(1))
        await asyncio.to_thread(net.began.wait)
        others = [asks(engine, pixels_of(1, seed)) for seed in range(20)]
        net.may_go.set()
        await asyncio.gather(first, *others)

    run_async(ask())
    assert net.seen == [1, 8, 8, 4]


def test_a_request_alone_does_not_wait(engine_of, run_async):
    engine = engine_of(max_wait_seconds=3600)
    for _ in range(3):
        run_async(answer_of(engine, pixels_of(1)))


def test_it_waits_for_what_is_on_its_way(engine_of, classifier, run_async):
    engine = engine_of(max_wait_seconds=3600)

    async def ask():
        readers = Later()
        second = asks(engine, pixels_of(1), readers)
        first = asks(engine, pixels_of(1))
        await asyncio.sleep(0.05)
        assert not first.done()
        readers.calls[0]()
        await asyncio.gather(first, second)

    run_async(ask())
    assert classifier.network.seen == [2]


def test_it_does_not_wait_for_ever(engine_of, run_async):
    engine, readers = engine_of(max_wait_seconds=0.05), Later()

    async def ask():
        late = asks(engine, pixels_of(1), readers)
        await asks(engine, pixels_of(1))
        readers.calls[0]()
        await late

    run_async(ask())


def test_what_can_not_be_read_keeps_nobody_waiting(engine_of, run_async):
    engine = engine_of(max_wait_seconds=3600)

    def read():
        raise ValueError("no image")

    async def ask():
        with pytest.raises(ValueError, match="no image"):
            await engine.ask(AtOnce(), read)
        await asks(engine, pixels_of(1))

    run_async(ask())


def test_who_is_gone_costs_nothing(engine_of, classifier, run_async):
    net, engine, unread = classifier.network, engine_of(), []

    async def ask():
        net.may_go.clear()
        first, readers = asks(engine, pixels_of(1)), Later()
        await asyncio.to_thread(net.began.wait)
        gone = [asks(engine, pixels_of(1), heat=True) for _ in range(5)]
        gone.append(engine.ask(readers, unread.append))
        stays = asks(engine, pixels_of(1))
        for one in gone:
            one.cancel()
        readers.calls[0]()
        net.may_go.set()
        await asyncio.gather(first, stays)

    run_async(ask())
    assert net.seen == [1, 1]
    assert unread == []


def test_a_fault_is_told_to_all_and_survived(engine_of, classifier, run_async):
    net, engine = classifier.network, engine_of()

    async def ask():
        net.fails = True
        answers = await asyncio.gather(*(asks(engine, pixels_of(1)) for _ in range(3)), return_exceptions=True)
        net.fails = False
        return answers, await asks(engine, pixels_of(1))

    answers, after = run_async(ask())
    assert [type(answer) for answer in answers] == [ValueError] * 3
    assert after.logits.shape == (1, 3)


def test_closing_answers_what_was_asked(engine_of, classifier, run_async):
    net, engine = classifier.network, engine_of(max_images=1, max_wait_seconds=3600)

    async def ask():
        net.may_go.clear()
        asked, readers = [asks(engine, pixels_of(1, seed)) for seed in range(3)], Later()
        asked.append(asks(engine, pixels_of(1), readers))
        await asyncio.to_thread(net.began.wait)
        closing = asyncio.create_task(asyncio.to_thread(engine.close))
        net.may_go.set()
        await asyncio.gather(*asked[:3])
        assert not closing.done()
        readers.calls[0]()
        await closing
        await asked[3]
        with pytest.raises(RuntimeError, match="closed"):
            asks(engine, pixels_of(1))

    run_async(ask())
    assert net.seen == [1, 1, 1, 1]


@pytest.mark.parametrize("heat_class", [None, 2])
def test_heat_maps_are_grad_cam_s(engine_of, classifier, run_async, heat_class):
    pixels = pixels_of(6)
    answer = run_async(answer_of(engine_of(), pixels, heat=True, heat_class=heat_class))
    classes = answer.logits.argmax(1) if heat_class is None else np.full(6, 2)
    assert np.array_equal(answer.heat_classes, classes)
    expected = grad_cam(classifier, torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(classes), 4)
    np.testing.assert_allclose(answer.heats, expected.numpy(), atol=1e-5)


def test_who_wants_no_heat_map_does_not_wait_for_another_s(engine_of, classifier, run_async, monkeypatch):
    may_go = threading.Event()

    def slow(classifier, pixels, classes, side):
        assert may_go.wait(60)
        return torch.zeros(len(pixels), side, side)

    monkeypatch.setattr("podium.delivery.serve.engine.grad_cam", slow)
    engine, readers = engine_of(max_wait_seconds=3600), Later()

    async def ask():
        without = asks(engine, pixels_of(1), readers)
        with_heat = asks(engine, pixels_of(1), heat=True)
        readers.calls[0]()
        await without
        assert not with_heat.done()
        may_go.set()
        await with_heat

    run_async(ask())
    assert classifier.network.seen == [2]
