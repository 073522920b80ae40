"""The page in a real browser: pictures are dropped, pasted and chosen, and bars are read."""

import base64
import shutil
from pathlib import Path

import pytest
from serving import Server
from uploads import picture_bytes

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
HOSTILE = "<img src=x onerror=alert(1)>.png"

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright isn't installed")

# what a person does with a mouse or the clipboard, as a browser tells it the page
SEND = """([kind, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const carried = new DataTransfer();
  carried.items.add(new File([bytes], name));
  const where = document.getElementById("drop");
  if (kind === "drop") {
    for (const step of ["dragenter", "dragover", "drop"])
      where.dispatchEvent(new DragEvent(step, { dataTransfer: carried, bubbles: true, cancelable: true }));
  } else {
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried }));
  }
}"""


@pytest.fixture(scope="module")
def server(tiny_run):
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here: apt install chromium")
    with Server(tiny_run) as server:
        yield server


@pytest.fixture(scope="module")
def browser(server):
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, server):
    """The page, just opened. In the end nothing went wrong in it, and it asked nobody but its server."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults, places = [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
    page.on("dialog", lambda dialog: faults.append("a dialog"))
    page.on("request", lambda request: places.append(request.url))
    page.set_default_timeout(120_000)
    page.goto(server.address)
    yield page
    context.close()
    assert faults == []
    assert all(place.startswith((server.address, "blob:", "data:")) for place in places)


def send(page, kind, name, data):
    page.evaluate(SEND, [kind, name, base64.b64encode(data).decode()])


def bars(page, place=0):
    """Names and percentages of a result's bars."""
    result = page.locator(".result").nth(place)
    result.locator(".bar").first.wait_for()
    return [
        (bar.locator(".of").inner_text(), bar.locator(".chance").inner_text()) for bar in result.locator(".bar").all()
    ]


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_picture_gets_its_bars_and_its_heat_map(page, server, kind, tmp_path):
    data = picture_bytes(seed=1)
    send(page, kind, "one.png", data)
    expected = server.post(data).json()["images"][0]["classes"]
    shown = bars(page)
    assert [name for name, _ in shown] == [one["name"] for one in expected]
    assert [float(chance.split("\u202f")[0]) for _, chance in shown] == pytest.approx(
        [100 * one["probability"] for one in expected], abs=0.06
    )
    heat = page.locator(".heat")
    heat.wait_for()
    assert heat.get_attribute("alt") == f"Where it looks for {expected[0]['name']}"
    assert heat.bounding_box() == pytest.approx(page.locator(".photo").bounding_box())
    assert "percent" in page.locator("#said").inner_text()
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    assert Path(tmp_path / "page.png").stat().st_size > 10_000


def test_another_class_shows_its_own_heat_map(page):
    send(page, "drop", "one.png", picture_bytes(seed=1))
    name = bars(page)[2][0]
    bar = page.locator(".bar").nth(2)
    bar.focus()
    page.keyboard.press("Enter")
    page.get_by_alt_text(f"Where it looks for {name}").wait_for()
    assert bar.get_attribute("aria-pressed") == "true"
    assert page.locator(".bar[aria-pressed=true]").count() == 1


def test_the_heat_map_can_be_weaker_or_gone(page):
    send(page, "drop", "one.png", picture_bytes(seed=1))
    heat = page.locator(".heat")
    heat.wait_for()
    opacity = "element => Number(getComputedStyle(element).opacity)"
    before = heat.evaluate(opacity)
    page.locator("#strength").focus()
    for _ in range(20):
        page.keyboard.press("ArrowLeft")
    assert heat.evaluate(opacity) < before
    page.locator("#heat").uncheck()
    heat.wait_for(state="hidden")
    page.locator("#heat").check()
    heat.wait_for()


def test_several_are_chosen_and_taken_away(page):
    files = [
        {"name": f"{number}.png", "mimeType": "image/png", "buffer": picture_bytes(seed=number)} for number in range(3)
    ]
    page.set_input_files("#files", files)
    for place in range(3):
        assert len(bars(page, place)) == 3
    assert page.locator(".name span").all_inner_texts() == ["0.png", "1.png", "2.png"]
    page.get_by_label("Remove 1.png").click()
    assert page.locator(".name span").all_inner_texts() == ["0.png", "2.png"]
    page.get_by_text("Clear all").click()
    assert page.locator(".result").count() == 0
    assert page.locator("#tools").is_hidden()


def test_what_is_refused_is_said(page):
    send(page, "drop", "notes.txt", b"no image")
    page.locator(".problem", has_text="no image that can be read").wait_for()
    send(page, "drop", "large.png", b"x" * (2**20 + 1))
    page.locator(".problem", has_text="more than 1,048,576 bytes").wait_for()


def test_the_name_of_a_file_is_only_text(page):
    send(page, "drop", HOSTILE, picture_bytes())
    bars(page)
    assert page.locator(".name span").inner_text() == HOSTILE
    assert page.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_cut_off_on_a_phone(browser, server, scheme):
    context = browser.new_context(
        viewport={"width": 360, "height": 740}, color_scheme=scheme, is_mobile=True, has_touch=True
    )
    page = context.new_page()
    page.goto(server.address)
    send(page, "drop", "a-long-name-" * 20 + ".png", picture_bytes())
    bars(page)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (max(map(int, ground[4:-1].split(","))) < 128) == (scheme == "dark")
    context.close()
