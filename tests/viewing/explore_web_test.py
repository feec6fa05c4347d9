"""The page in a real browser, on a phone and a desk; and what the server refuses."""

import base64
import contextlib
import io
import shutil
import socket
import threading

import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.viewing import explore, explore_answers, explore_start
from tests.conftest import ROOT
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
    with serving(answers) as address:
        yield address


# Milliseconds: other tests run on the same cores.
_PATIENCE = 120_000


@contextlib.contextmanager
def serving(answers):
    """The address of a page, while it is served."""
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
    context.set_default_timeout(_PATIENCE)
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


@pytest.mark.slow
@pytest.mark.browser
def test_refused_picture_leaves_what_was_chosen(page, tmp_path):
    """The generator is asked again, and the mended file of the same name can be chosen."""
    path = tmp_path / "own.png"
    path.write_text("not a picture")
    page.locator("#upload").set_input_files(path)
    page.locator("#attention .error", has_text="own.png: expected a picture").wait_for()
    assert page.locator("[name=network]:checked").get_attribute("value") == "generator"
    assert page.locator("#upload").input_value() == ""
    Image.fromarray(random_images(1)[0]).save(path)
    page.locator("#upload").set_input_files(path)
    page.locator("#what", has_text="own.png, seen by the discriminator").wait_for()
    assert page.locator("[name=network]:checked").get_attribute("value") == "discriminator"


@pytest.mark.slow
@pytest.mark.browser
def test_name_that_is_there_does_not_hide_the_others(page):
    """It steps back while another can be chosen, and returns where none is."""
    field = page.locator("#classes")
    field.focus()
    assert (field.input_value(), field.get_attribute("placeholder")) == ("", "tench")
    field.press("Enter")
    assert settle(page, "images") == ""
    assert "--classes=tench " in page.locator("#images code").inner_text()
    field.blur()
    assert (field.input_value(), field.get_attribute("placeholder")) == ("tench", "")
    field.fill("0,2")
    field.blur()
    field.focus()
    assert field.input_value() == "0,2"


@pytest.mark.slow
@pytest.mark.browser
def test_keys_of_the_map_are_read_with_arrow_keys(page):
    page.locator("#map").hover(position={"x": 3, "y": 3})
    page.locator("#map").press("ArrowDown")
    assert page.locator("#key").inner_text().startswith("Key in row 1, column 0: ")
    page.locator("#map").press("ArrowLeft")
    assert page.locator("#key").inner_text().startswith("Key in row 1, column 0: ")


@pytest.mark.slow
@pytest.mark.browser
def test_page_of_a_run_that_moves_away_and_changes(chromium_browser, tiny_run, tmp_path):
    """It begins when the run is back; checkpoints come and go."""
    run_dir, gone = tmp_path / "run", tmp_path / "gone"
    shutil.copytree(tiny_run, run_dir)
    started = config.ExploreConfig(run=str(run_dir))
    answers = explore_answers.Answers(explore.Explorer(str(run_dir)), started)
    with serving(answers) as address:
        page, faults = chromium_browser.new_page(), []
        page.on("pageerror", lambda error: faults.append(str(error)))
        run_dir.rename(gone)
        page.goto(address)
        page.locator("#images .error", has_text="deleted or moved").wait_for()
        page.locator("#ends button").click()
        page.locator("#between .error", has_text="deleted or moved").wait_for()
        gone.rename(run_dir)
        page.locator("#ask button").first.click()
        page.locator("#attention .keep code span").first.wait_for()
        assert settle(page, "images") == ""

        # A second checkpoint is written.
        for name in ("ckpt-5.index", "ckpt-5.data-00000-of-00001"):
            shutil.copy(run_dir / name, run_dir / name.replace("5", "9", 1))
        page.locator("#ask button").first.click()
        page.locator("#growth").wait_for()
        assert page.locator("#step option").all_inner_texts() == ["5", "9"]

        # An own picture and a place are seen again at the checkpoint that is chosen.
        Image.fromarray(random_images(1)[0]).save(tmp_path / "own.png")
        page.locator("#upload").set_input_files(tmp_path / "own.png")
        page.locator("#attention code", has_text="own.png").wait_for()
        page.locator("#image").click(position={"x": 3, "y": 3})
        page.locator("#attention code", has_text="--queries=1,1 ").wait_for()
        for select, step in (("9", 9), ("5", 5)):
            page.locator("#step").select_option(select)
            page.locator("#attention code", has_text=f"--step={step} ").wait_for()
            assert "--queries=1,1 " in page.locator("#attention code").inner_text()
        page.locator("#grid button").first.click()
        page.locator("#attention code", has_text="--seeds=0").wait_for()

        # The image has grown through both.
        page.locator("#grow").click()
        page.locator("#growth output", has_text="(2 of 2)").wait_for()
        page.close()
    assert faults == []


def client(answers, local=True, name="localhost"):
    return werkzeug_test.Client(explore_web.Application(answers, local=local, name=name))


@pytest.mark.browser
@pytest.mark.parametrize("is_run", [True, False])
def test_truncation_is_asked_for_where_statistics_can_fit(chromium_browser, tiny_run, is_run):
    """The statistics of an exported model are in it for good."""
    run = str(tiny_run if is_run else ROOT / "data/emoji_model")
    answers = explore_answers.Answers(explore.Explorer(run), config.ExploreConfig(run=run))
    with serving(answers) as address:
        page = chromium_browser.new_page()
        page.goto(address)
        page.locator("#attention .keep code span").first.wait_for(timeout=_PATIENCE)
        assert page.locator("#truncation").is_enabled() == is_run
        page.close()


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
    assert client(answers, name="example.com").get("/", **elsewhere).status_code == 200


def test_every_address_of_this_machine_alone_is_its_own():
    own = ("127.0.0.1", "127.0.0.2:8008", "localhost:80", "[::1]", "[::1]:8008")
    assert list(filter(explore_web.is_own, own)) == list(own[:2] + own[3:])
    assert explore_web.is_own("localhost:80", ("localhost",))
    others = ("example.com", "8.8.8.8", "127.0.0.1.example.com", "[::1", "", "0.0.0.0")
    assert not any(map(explore_web.is_own, others))


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 400), ("127.0.0.2", 400)])
def test_server_of_this_machine_refuses_other_names(answers, host, status):
    with explore_web.listening(answers, host, port=0) as server:
        asked = werkzeug_test.Client(server.app).get("/", base_url="http://example.com:8008")
    assert asked.status_code == status


@pytest.mark.parametrize(
    ("request_of", "status", "sentence"),
    [
        ({"path": "/api/images", "json": {"classes": "zebra"}}, 400, "Classes zebra: no such"),
        ({"path": "/api/images", "json": []}, 400, "do not understand each other"),
        (
            {
                "path": "/api/images",
                "data": "[" * 100_000,
                "content_type": "application/json",
            },
            400,
            "do not understand each other",
        ),
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


def test_port_in_use_is_said_before_the_generator_is_opened(tiny_run, monkeypatch):
    monkeypatch.setattr(explore.Explorer, "generator", lambda *_: pytest.fail("it was opened"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.UserError, match="cannot be listened on"):
            explore_start.start(config.ExploreConfig(run=str(tiny_run), port=port))


def test_start_says_where_the_page_is(tiny_run, monkeypatch):
    """Without Werkzeug, it says what to install."""
    monkeypatch.setattr(explore_web.serving.BaseWSGIServer, "serve_forever", lambda _: None)
    said = io.StringIO()
    explore_start.start(config.ExploreConfig(run=str(tiny_run), port=0), said)
    assert said.getvalue().startswith(f"step 5 of {tiny_run}: http://127.0.0.1:")
    monkeypatch.setattr(explore_start.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(errors.UserError, match=r"needs the package Werkzeug \(pip install"):
        explore_start.start(config.ExploreConfig(run=str(tiny_run)), said)
