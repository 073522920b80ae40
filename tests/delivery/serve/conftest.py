"""What tests of the server share."""

import asyncio

import pytest
import torch
from fastapi.testclient import TestClient

from podium.delivery.serve import Batching, Limits, Service, make_app
from podium.models import Classifier
from podium.runtime import Runtime

LIMITS = Limits(max_bytes=200_000, max_pixels=100_000, max_images=3, max_in_flight=4)


@pytest.fixture(scope="session")
def runtime():
    return Runtime(torch.device("cpu"), torch.float32, 1)


@pytest.fixture(scope="session")
def service_of(runtime):
    """Makes a service of a run."""

    def make(run, **options):
        options = {"limits": LIMITS} | options
        return Service(run, Classifier.load(run.model_path), runtime, **options)

    return make


@pytest.fixture(scope="session")
def service(tiny_run, service_of):
    return service_of(tiny_run, batching=Batching(max_images=4, max_wait_seconds=0.01))


@pytest.fixture(scope="session")
def client(service):
    """Speaks with the application, without a network."""
    with TestClient(make_app(service)) as client:
        yield client
    assert not service._engine._thread.is_alive()  # the application's end is its threads' end


@pytest.fixture
def run_async():
    """Runs a coroutine; fails where it hangs."""

    def run(coroutine):
        return asyncio.run(asyncio.wait_for(coroutine, 240))

    return run
