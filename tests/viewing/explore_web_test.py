"""The page in a real browser, on a phone and a desk; and what the server refuses."""

import base64
import io
import threading

import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.viewing import explore, explore_answers, explore_start
from tests.testing import chromium, random_images

explore_web = pytest.importorskip(
    "sagan_tf.viewing.explore_web", reason="Werkzeug is not installed", exc_type=ImportError
)
from werkzeug import test as werkzeug_test  # noqa: E402

PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "device_scale_factor": 2}
DESK = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(name="answers", scope="module")
def fixture_answers(tiny_run):
    """The answers about a small run."""
    return explore_answers.Answers(
        explore.Explorer(str(tiny_run)), config.ExploreConfig(run=str(tiny_run))
    )


@pytest.fixture(name="address", scope="module")
def fixture_address(answers):
    """The address of the page about a small run."""
    with explore_web.listening(answers, "127.0.0.1", port=0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(name="page", params=[PHONE, DESK], ids=["phone", "desk"])
def fixture_page(request, chromium_browser, address):
    """The page, when its first image is there; it must not have loaded anything from outside."""
    context = chromium_browser.new_context(**request.param)
    page, outside, faults = context.new_page(), [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            outside.append(asked.url) if not asked.url.startswith((address, "data:")) else None
        ),
    )
    page.goto(address)
    page.locator("#attention .keep code span").first.wait_for()
    yield page
    assert (outside, faults) == ([], [])
    context.close()


@pytest.fixture(name="chromium_browser", scope="module")
def fixture_chromium_browser():
    """Chromium; skips where it or playwright is absent."""
    with chromium() as browser:
        yield browser


def settle(page, section):
    """Waits until a section has its answer; its error, or ""."""
    page.locator(f"#{section}:not(.busy)").wait_for()
    return page.locator(f"#{section} .error").inner_text()


@pytest.mark.slow
@pytest.mark.browser
def test_click_and_arrow_keys_choose_the_place(page):
    image = page.locator("#image")
    box = image.bounding_box()
    image.click(position={"x": box["width"] * 17 / 32, "y": box["height"] * 30.5 / 32})
    page.locator("#place", has_text="row 15, column 8 (pixels 16 to 18").wait_for()
    assert "--queries=17,31" in page.locator("#attention code").inner_text()
    image.press("ArrowUp")
    page.locator("#place", has_text="row 14, column 8 ").wait_for()
    page.locator("#map").hover(position={"x": 3, "y": 3})
    assert page.locator("#key").inner_text().startswith("Key in row 0, column 0: ")
    page.locator("[value=discriminator]").check()
    page.locator("#scores tr").first.wait_for()
    assert page.locator("#scores tr").count() == 3
    assert "row 14, column 8 " in page.locator("#place").inner_text()


@pytest.mark.slow
@pytest.mark.browser
def test_grid_sliders_and_saved_file(page):
    page.locator("#all").click()
    page.locator("#grid img").nth(2).wait_for()
    assert settle(page, "images") == ""
    assert page.locator("#grid button").all_inner_texts() == [
        "seed 0, tench",
        "seed 0, goldfish",
        "seed 0, great white shark",
    ]
    page.locator("#ends button").click()
    slider = page.locator("#between input[type=range]")
    slider.wait_for()
    first = page.locator("#between img").get_attribute("src")
    slider.fill("15")
    assert page.locator("#between output").inner_text() == "100 %"
    assert page.locator("#between img").get_attribute("src") != first
    with page.expect_download() as download:
        page.locator("#between .save").click()
    assert download.value.suggested_filename == "interpolation.png"


@pytest.mark.slow
@pytest.mark.browser
def test_errors_are_sentences_and_the_page_goes_on(page, tmp_path):
    page.locator("#classes").fill("zebra")
    page.locator("#ask button").first.click()
    page.locator("#images .error", has_text="Classes zebra: no such class").wait_for()
    page.locator("#classes").fill("goldfish")
    page.locator("#ask button").first.click()
    page.locator("#images .error").wait_for(state="hidden")
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").touch()
    Image.fromarray(random_images(1)[0]).save(tmp_path / "own.png")
    for name in ("text.png", "empty.png"):
        page.locator("#upload").set_input_files(tmp_path / name)
        page.locator("#attention .error", has_text=f"{name}: expected a picture").wait_for()
    page.locator("#upload").set_input_files(tmp_path / "own.png")
    page.locator("#what", has_text="own.png, seen by the discriminator").wait_for()
    assert settle(page, "attention") == ""
    assert page.locator("#scores tr").count() == 3


@pytest.mark.slow
@pytest.mark.browser
def test_page_is_as_wide_as_the_screen(page):
    width = page.viewport_size["width"]
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]


def client(answers, local=True):
    return werkzeug_test.Client(explore_web.Application(answers, local=local))


def test_page_loads_nothing_from_outside(answers):
    for path in ("/", "/explore.js", "/explore.css"):
        answer = client(answers).get(path)
        assert answer.status_code == 200
        assert "http://" not in answer.text
        assert "https://" not in answer.text
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'self';")


def test_only_this_machine_s_name_leads_here(answers):
    """A page of another site, whose name points to this machine, is refused."""
    elsewhere = {"base_url": "http://example.com:8008"}
    assert client(answers).get("/", **elsewhere).status_code == 400
    assert client(answers).get("/", base_url="http://localhost:8008").status_code == 200
    assert client(answers, local=False).get("/", **elsewhere).status_code == 200


@pytest.mark.parametrize(
    ("request_of", "status", "sentence"),
    [
        ({"path": "/api/images", "json": {"classes": "zebra"}}, 400, "Classes zebra: no such"),
        ({"path": "/api/images", "json": []}, 400, "do not understand each other"),
        ({"path": "/api/images", "data": "{}"}, 415, "application/json"),
        ({"path": "/api/none", "json": {}}, 404, "There is no such page"),
        ({"path": "/api/images", "json": {"x": "x" * 2**20 * 48}}, 413, "The picture is too large"),
    ],
)
def test_refusals_are_sentences(answers, request_of, status, sentence):
    answer = client(answers).post(**request_of)
    assert answer.status_code == status
    assert sentence in answer.json["error"]


def test_what_nobody_foresaw_is_a_sentence_too(answers, monkeypatch, capsys):
    def fail(*_):
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(explore.Explorer, "images", fail)
    answer = client(answers).post("/api/images", json={})
    assert (answer.status_code, answer.json) == (
        500,
        {"error": "That failed; the terminal says more (ZeroDivisionError: by zero)"},
    )
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_saved_file_has_a_name(answers):
    fields = {"what": "images", "step": 5, "classes": "0", "seeds": "0"}
    answer = client(answers).post("/api/save", json=fields)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="samples.png"'
    assert Image.open(io.BytesIO(answer.data)).format == "PNG"
    first = client(answers).post("/api/images", json=fields).json["images"][0]["png"]
    assert base64.b64decode(first.partition(",")[2]).startswith(b"\x89PNG")


def test_port_in_use_is_one_line(answers):
    with (
        explore_web.listening(answers, "127.0.0.1", port=0) as server,
        pytest.raises(errors.UserError, match="cannot be listened on .*--port=0") as error,
        explore_web.listening(answers, "127.0.0.1", port=server.port),
    ):
        pass
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"--host=127.0.0.1 --port={server.port}: ")


def test_start_says_where_the_page_is(tiny_run, monkeypatch):
    """Without Werkzeug, it says what to install."""
    monkeypatch.setattr(explore_web.serving.BaseWSGIServer, "serve_forever", lambda _: None)
    said = io.StringIO()
    explore_start.start(config.ExploreConfig(run=str(tiny_run), port=0), said)
    assert said.getvalue().startswith(f"step 5 of {tiny_run}: http://127.0.0.1:")
    monkeypatch.setattr(explore_start.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(errors.UserError, match=r"needs the package Werkzeug \(pip install"):
        explore_start.start(config.ExploreConfig(run=str(tiny_run)), said)
