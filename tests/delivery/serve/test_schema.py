"""The schema says what the server does: requests made from it, and from what it forbids, get answers that it knows."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uploads import picture_bytes

from podium.delivery.serve import make_app

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis isn't installed")

from schemathesis.generation import GenerationMode  # noqa: E402
from schemathesis.specs.openapi.checks import positive_data_acceptance  # noqa: E402

from podium.delivery.serve.body import IMAGE_TYPES  # noqa: E402

for kind in IMAGE_TYPES:  # a schema can't say what bytes are a picture
    schemathesis.openapi.media_type(kind, st.sampled_from([picture_bytes(), picture_bytes("JPEG"), b"", b"no image"]))


@pytest.fixture(scope="module")
def api(tiny_run, service_of):
    service = service_of(tiny_run)
    app = make_app(service)

    async def that_goes_on(scope, receive, send):
        """The application would end with the first request's lifespan, as schemathesis asks."""
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
        else:
            await app(scope, receive, send)

    yield schemathesis.openapi.from_asgi("/openapi.json", that_goes_on)
    service.close()


@pytest.mark.parametrize(
    ("place", "mode"),
    [
        ("POST /predict", GenerationMode.POSITIVE),
        ("POST /predict", GenerationMode.NEGATIVE),
        ("GET /health", GenerationMode.POSITIVE),
        ("GET /metrics", GenerationMode.POSITIVE),
        ("GET /model", GenerationMode.POSITIVE),
    ],
)
def test_answers_are_those_of_the_schema(api, place, mode):
    method, path = place.split()

    @given(case=api[path][method].as_strategy(generation_mode=mode))
    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    def check(case):
        # whether random bytes are a picture the schema can't say, so they may be refused
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check()


def test_the_schema_names_every_address_and_refusal(client):
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/predict", "/health", "/metrics", "/model"}
    predict = paths["/predict"]["post"]
    assert set(predict["responses"]) == {"200", "408", "413", "415", "422", "503"}
    assert set(predict["requestBody"]["content"]) == {*IMAGE_TYPES, "multipart/form-data"}
