import asyncio
import base64
import io
import re
import threading

import httpx
import numpy as np
import pytest
from PIL import Image
from uploads import bomb, picture_bytes

import podium
from podium.delivery.serve import Limits, make_app
from podium.delivery.serve.limits import Refusal
from podium.run import Run

HOSTILE = '<script>alert("x")</script>'
PNG = {"Content-Type": "image/png"}


def post(client, data, query="", **headers):
    return client.post(f"/predict{query}", content=data, headers=PNG | headers)


def files(*contents):
    return [("images", (f"{number}.png", data, "image/png")) for number, data in enumerate(contents)]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Three files, and what `podium predict` says of them."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = []
    for number, form in enumerate(("PNG", "JPEG", "BMP")):
        paths.append(folder / f"{number}.{form.lower()}")
        paths[-1].write_bytes(picture_bytes(form, seed=number))
    return paths


# ---- what is said


def test_one_image_gets_what_predict_says(client, tiny_run, pictures, runtime):
    expected = podium.predict_files(tiny_run, pictures[:1], runtime=runtime)
    (image,) = post(client, pictures[0].read_bytes()).json()["images"]
    chances = [one["probability"] for one in image["classes"]]
    assert chances == sorted(chances, reverse=True)
    named = {one["name"]: one["probability"] for one in image["classes"]}
    assert named == pytest.approx(
        dict(zip(expected.classes, expected.probabilities[0].tolist(), strict=True)), abs=1e-5
    )
    assert image["name"] is None
    assert image["heat_map"] is None
    assert image["unknown"] is None


def test_several_images_come_in_their_order(client, tiny_run, pictures, runtime):
    expected = podium.predict_files(tiny_run, pictures, runtime=runtime)
    sent = [("images", (path.name, path.read_bytes())) for path in pictures]
    images = client.post("/predict", files=sent).json()["images"]
    assert [image["name"] for image in images] == [path.name for path in pictures]
    for image, chances in zip(images, expected.probabilities, strict=True):
        best = chances.argmax()
        assert image["classes"][0]["name"] == expected.classes[best]
        assert image["classes"][0]["probability"] == pytest.approx(chances[best], abs=1e-5)


def test_top_says_how_many(client):
    for top, expected in ((1, 1), (2, 2), (1000, 3)):
        (image,) = post(client, picture_bytes(), f"?top={top}").json()["images"]
        assert len(image["classes"]) == expected


@pytest.mark.parametrize("of", [None, "green"])
def test_a_heat_map_is_a_picture(client, of):
    (image,) = post(client, picture_bytes(), "?heat_map=true" + (f"&of={of}" if of else "")).json()["images"]
    heat = image["heat_map"]
    assert heat["of"] == (of or image["classes"][0]["name"])
    assert heat["part"] == [0, 0, 1, 1]
    kind, _, data = heat["png"].partition(",")
    assert kind == "data:image/png;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).mode == "RGBA"


def test_the_image_s_own_bytes_say_what_it_is(client):
    for kind in ("image/jpeg", "application/octet-stream", "IMAGE/PNG; charset=x"):
        assert client.post("/predict", content=picture_bytes(), headers={"Content-Type": kind}).status_code == 200


def test_the_card_says_what_it_is(client, tiny_run):
    card = client.get("/model").json()
    assert card["classes"] == ["blue", "green", "red"]
    assert card["accuracy"]["value"] == tiny_run.manifest["hold_out"]["accuracy"]
    assert card["trained"]["num_images"] == 48
    assert card["image_size"] == [12, 12]
    for secret in (str(tiny_run.path), tiny_run.manifest["data"]["path"]):
        assert secret not in client.get("/model").text


def test_the_counts_grow(client):
    def count(name):
        (value,) = re.findall(rf"^{re.escape(name)} (\d+)$", client.get("/metrics").text, re.MULTILINE)
        return int(value)

    post(client, b"no image")
    before = count("podium_images_total"), count("podium_predict_seconds_count")
    refused = count('podium_requests_total{method="POST",path="/predict",status="415"}')
    post(client, picture_bytes())
    client.post("/predict", files=files(picture_bytes(), picture_bytes()))
    post(client, b"no image")
    assert (count("podium_images_total"), count("podium_predict_seconds_count")) == (before[0] + 3, before[1] + 2)
    assert count('podium_requests_total{method="POST",path="/predict",status="415"}') == refused + 1
    assert count("podium_requests_in_flight") == 0
    assert count('podium_batch_images_bucket{le="+Inf"}') == count("podium_batch_images_count")


def test_strangers_make_no_counts_of_their_own(client):
    for number in range(5):
        client.get(f"/nowhere/{number}")
        client.request(f"METHOD{number}", "/predict")
    text = client.get("/metrics").text
    assert "nowhere" not in text
    assert "METHOD" not in text


# ---- what is refused


@pytest.mark.parametrize(
    ("data", "headers", "status", "said"),
    [
        (b"", PNG, 422, "empty"),
        (b"hello", PNG, 415, "no image"),
        (b"hello", {"Content-Type": "text/plain"}, 415, "text/plain isn't taken"),
        (b"hello", {}, 415, "no Content-Type"),
        (picture_bytes()[:-30], PNG, 422, "damaged"),
        (bomb(50_000, 50_000), PNG, 413, "pixels"),
        (picture_bytes(height=400, width=400), PNG, 413, "pixels"),
        (b"x" * 200_001, PNG, 413, "200,000 bytes"),
        (b"--x", {"Content-Type": "multipart/form-data"}, 422, "boundary"),
        (b"nonsense", {"Content-Type": "multipart/form-data; boundary=x"}, 422, "form"),
    ],
)
def test_a_refusal_says_why(client, data, headers, status, said):
    answer = client.post("/predict", content=data, headers=headers)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert post(client, picture_bytes()).status_code == 200


@pytest.mark.parametrize("query", ["?top=0", "?top=many", "?heat_map=maybe", "?of=red", "?heat_map=true&of=mauve"])
def test_a_query_that_can_not_be_is_refused(client, query):
    answer = post(client, picture_bytes(), query)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)


def test_one_bad_file_refuses_all_and_is_named(client):
    answer = client.post("/predict", files=files(picture_bytes(), b"no image"))
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("1.png: ")


def test_more_images_than_allowed_are_refused(client):
    assert client.post("/predict", files=files(*[picture_bytes()] * 3)).status_code == 200
    assert client.post("/predict", files=files(*[picture_bytes()] * 4)).status_code == 413


def test_what_content_length_says_is_not_believed(client):
    def body():
        for _ in range(300):
            yield b"x" * 1000

    for headers in ({}, {"Content-Length": "10"}):
        assert client.post("/predict", content=body(), headers=PNG | headers).status_code == 413


def test_a_number_with_many_digits_is_no_trouble(client):
    assert post(client, b"x", **{"Content-Length": "9" * 5000}).status_code == 413


def test_other_methods_and_places_are_not_there(client):
    assert client.get("/predict").status_code == 405
    assert client.get("/nowhere").status_code == 404
    assert client.get("/docs").status_code == 404  # it would fetch from elsewhere


def at_once(app, num, run_async, **options):
    """Answers to as many requests at once."""

    async def ask():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://podium") as http:
            return await asyncio.gather(*(http.post("/predict", headers=PNG, **options) for _ in range(num)))

    return run_async(ask())


def test_more_requests_at_once_than_allowed_are_asked_to_come_again(tiny_run, service_of, run_async):
    service = service_of(tiny_run, limits=Limits(max_in_flight=4))
    answers = at_once(make_app(service), 10, run_async, content=picture_bytes())
    assert sorted(answer.status_code for answer in answers) == [200] * 4 + [503] * 6
    busy = [answer for answer in answers if answer.status_code == 503]
    assert all(int(answer.headers["retry-after"]) >= 1 and "busy" in answer.json()["detail"] for answer in busy)
    assert (service.admission.in_flight, service.admission.held_bytes) == (0, 0)
    service.close()


def test_all_bodies_together_have_a_limit(tiny_run, service_of, run_async):
    data = picture_bytes("BMP", height=60, width=60)
    service = service_of(tiny_run, limits=Limits(max_held_bytes=int(2.5 * len(data))))
    answers = at_once(make_app(service), 6, run_async, content=data)
    assert {answer.status_code for answer in answers} == {200, 503}
    assert service.admission.held_bytes == 0
    service.close()


def test_a_server_that_stops_takes_no_more(tiny_run, service_of, run_async):
    service = service_of(tiny_run)
    app = make_app(service)
    service.admission.closing = True
    (answer,) = at_once(app, 1, run_async, content=picture_bytes())
    assert answer.status_code == 503
    assert "stop" in answer.json()["detail"]
    with pytest.raises(Refusal), service.admission.request():
        pass
    service.close()


def test_who_is_gone_is_not_asked_about(tiny_run, service_of, run_async, monkeypatch):
    service = service_of(tiny_run)
    app = make_app(service)
    may_go, read = threading.Event(), service._read

    def slow(*given):
        assert may_go.wait(60)
        return read(*given)

    monkeypatch.setattr(service, "_read", slow)
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "query_string": b"",
        "headers": [(b"content-type", b"image/png")],
    }
    messages = [{"type": "http.request", "body": picture_bytes()}, {"type": "http.disconnect"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    async def ask():
        await app(scope, receive, send)
        assert service.admission.in_flight == 0
        may_go.set()
        await asyncio.sleep(0.1)

    run_async(ask())
    service.close()
    assert sent[0]["status"] == 499
    assert service.metrics.batches.lines("x")[-1] == "x_count 0"


# ---- the page


@pytest.mark.parametrize("path", ["/", "/api"])
def test_a_page_fetches_nothing_from_elsewhere_and_runs_nothing_of_its_own(client, path):
    answer = client.get(path)
    assert answer.status_code == 200
    assert not re.search(r"""(src|href)=["'](https?:)?//""", answer.text)
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style", answer.text)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_the_page_needs_is_there(client):
    page = client.get("/").text
    for name in re.findall(r"""(?:src|href)=["']([a-z][^"':]*)["']""", page):
        assert client.get(f"/{name}").status_code == 200, name
    assert "//" not in re.sub(r"^\s*//.*$|/\* .* \*/|\s// .*$", "", client.get("/page.js").text, flags=re.MULTILINE)
    assert "url(" not in client.get("/style.css").text


def test_the_page_shows_the_card(client):
    page = client.get("/").text
    for name in ("blue", "green", "red", "sprint_small", "48 images"):
        assert name in page


def test_names_are_escaped(tiny_run, service_of, tmp_path):
    manifest = tiny_run.manifest | {"data": tiny_run.manifest["data"] | {"name": HOSTILE}}
    run = Run(tiny_run.path, tiny_run.recipe, manifest)
    service = service_of(run)
    service.card.classes = [HOSTILE, "b"]
    app = make_app(service)
    pages = [route.endpoint for route in app.routes if getattr(route, "path", "") in ("/", "/api")]
    for endpoint in pages:
        text = asyncio.run(endpoint()).body.decode()
        assert HOSTILE not in text
        assert "&lt;script&gt;" in text
    service.close()


def test_two_views_more_are_an_option(tiny_run, service_of, run_async):
    """With other test-time augmentation than the recipe's the answer is another, and the card says so."""
    answers = {}
    for tta in ("recipe", "none", "mirror"):
        service = service_of(tiny_run, tta=tta)
        (answer,) = at_once(make_app(service), 1, run_async, content=picture_bytes(seed=3))
        answers[tta] = np.array([one["probability"] for one in answer.json()["images"][0]["classes"]])
        assert service.card.serving.tta == ("none" if tta == "recipe" else tta)
        service.close()
    assert np.array_equal(answers["recipe"], answers["none"])  # sprint_small's has none
    assert not np.allclose(answers["mirror"], answers["none"], atol=1e-6)
