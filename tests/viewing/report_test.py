"""The report says what is known of a run; a real browser shows it well on a phone and a desk."""

import dataclasses
import html
import io
import json
import os
import pathlib
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors, model
from sagan_tf.data import class_names
from sagan_tf.runs import card, checkpoints
from sagan_tf.runs import directory as runs_directory
from sagan_tf.runtime import files
from sagan_tf.training import previews
from sagan_tf.viewing import report as viewing_report
from sagan_tf.viewing import report_pictures, trained
from tests.testing import PLAIN_MODEL, TINY_MODEL, chromium

MODEL = config.ModelConfig(
    image_size=32, z_dim=8, gf_dim=8, df_dim=8, number_classes=12, attention_resolution=16
)
# What would do harm in a page that did not escape it.
HOSTILE = '<script>alert("1")</script><img src="https://example.com/x.png"> & $a_'
STEPS = (200, 400, 600)
LAYERS = [f"sigma/{net}_block{i}/snconv1" for net in "gd" for i in range(6)]
PROTOCOL = {
    "name": "reference",
    "departures": {"seed": 1},
    "checkpoint_sha256": "0",
    "real": {"source": HOSTILE},
    "classifier": {"handle": "x"},
}


def rows(count=30):
    """Rows of a run, of which one is damaged and one has no numbers."""
    found = [
        {
            "step": 20 * (i + 1),
            "g_loss": np.sin(i),
            "d_loss": 2.0 + i,
            "d_loss_real": 1.0,
            "d_loss_fake": 1.0 + i,
            "logit_real": 0.5,
            "logit_fake": -0.5,
            "time": 60.0 * i,
            "g_gradient_norm": 10.0**i,
            "d_gradient_norm": 1.0,
            "images_per_second": 64.0,
            "model/g_non_local/sigma_ratio": i / 100,
            "model/d_non_local/sigma_ratio": -i / 100,
            **{name: 1.0 + k for k, name in enumerate(LAYERS)},
            "input_stall": 0.25,
            "memory_mb": 1000.0,
            "peak_memory_mb": 1100.0,
        }
        for i in range(count)
    ]
    for row in found[::5]:
        row.update(
            {
                "health/generator_largest_norm": 1.01,
                "health/discriminator_largest_norm": 1.1,
                "health/variety_within_class": 0.5,
            }
        )
    found[3].update(g_loss=float("nan"), d_loss=float("inf"), g_gradient_norm=None, logit_real="x")
    found[4] = {"step": 100}
    return found


def write_lines(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def make_run(directory, model_config=MODEL, numbers=True):
    """A run that was killed, went on, and is at work no more; 600 of 1,000 steps are done.

    Without `numbers`, of which curves are drawn, its report is made quickly.
    """
    run_dir = directory / "imagenet_16"
    runs_directory.write_config(
        str(run_dir),
        model=model_config,
        data=config.DataConfig(data_dir=HOSTILE),
        train=config.TrainConfig(max_steps=1000, batch_size=16, num_towers=1),
    )
    if numbers:
        write_lines(run_dir / "metrics.jsonl", rows())
        write_scores(run_dir)
    start = {
        "event": "start",
        "time": 0,
        "step": 0,
        "text": "step 0",
        "environment": {"machine": HOSTILE, "tensorflow": "2.20.0"},
    }
    write_lines(
        run_dir / "history.jsonl",
        [
            start,
            {"event": "warning", "time": 5, "step": 100, "text": HOSTILE},
            {**start, "time": 9, "environment": {"machine": HOSTILE, "tensorflow": "2.21.0"}},
            {
                "event": "end",
                "time": 99,
                "step": 600,
                "text": "SIGTERM: saved step 600",
                "reason": "Interrupted",
            },
        ],
    )
    names = [f"{HOSTILE}{i}" for i in range(model_config.number_classes)]
    class_names.write(str(run_dir), names, titles=None)
    (run_dir / "samples").mkdir()
    for step, colour in zip(STEPS, ("red", "green", "blue")):
        Image.new("RGB", (320, 320), colour).save(run_dir / "samples" / f"step-{step:08}.png")
    Image.new("RGB", (256, 256), "grey").save(run_dir / "samples" / "real.png")
    return run_dir


def write_scores(run_dir):
    """Scores of two runs in the same place."""
    own = {"run": runs_directory.run_id(str(run_dir)), "protocol": PROTOCOL, "citation": HOSTILE}
    write_lines(
        run_dir.parent / "eval" / "imagenet_16" / "metrics.jsonl",
        [
            {"step": 200, "eval/fid5k": 123.25, "eval/incscore5k": 4.5, **own},
            {"step": 400, "eval/fid5k": 77.25, "eval/incscore5k": 6.5, **own},
            {"step": 600, "eval/fid5k": 88.25, "eval/incscore5k": 5.5, **own},
            {"step": 600, "eval/fid5k": 11.125, "eval/incscore5k": 9.5, **own, "run": "another"},
        ],
    )


class Stub(trained.Trained):
    """A model without a checkpoint: the class decides the grey, the first place is looked at."""

    def __init__(
        self, run_dir, step, sigma_ratio=0.25, attends=True, share=0.5, model_config=MODEL
    ):
        classes = class_names.read(run_dir, MODEL.number_classes)
        about = card.Card(model_config, classes, step, use_ema=False, sigma_ratio=sigma_ratio)
        super().__init__(None, about, source=str(run_dir), batch_size=1)
        self.attends = attends
        self.share = share

    def draw(self, seeds):
        return np.zeros((len(seeds), MODEL.z_dim), np.float32), np.zeros(len(seeds), np.int32)

    def generate_pixels(self, z, labels):
        grey = np.asarray(255 * np.asarray(labels) // MODEL.number_classes, np.uint8)
        return np.broadcast_to(grey[:, None, None, None], (len(z), 32, 32, 3))

    def attention(self, z, labels):
        maps = np.zeros((len(z), 256, 64), np.float32)
        maps[:, :, 0] = 1
        images = self.generate_pixels(z, labels)
        return (images, maps, self.share) if self.attends else (images, None, None)


def open_stub(**options):
    return lambda run_dir, **_: Stub(run_dir, 600, **options)


def write(run_dir, **changes):
    stream = io.StringIO()
    path = viewing_report.write(config.ReportConfig(run=str(run_dir), **changes), stream)
    assert f"\nreport: {path} (" in stream.getvalue()
    return pathlib.Path(path).read_text(encoding="utf-8")


def words(page):
    """What a page says, its tags and pictures left out."""
    body = page[page.index("<body>") : page.index("<script")]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.fixture(name="report", scope="module")
def fixture_report(tmp_path_factory):
    """The path of the report of a run that has everything."""
    run_dir = make_run(tmp_path_factory.mktemp("report"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trained, "open_model", open_stub())
        write(run_dir)
    return run_dir / "report.html"


@pytest.fixture(name="browser", scope="module")
def fixture_browser():
    with chromium() as browser:
        yield browser


PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "device_scale_factor": 2}
DESK = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture(name="shown", scope="module", params=[PHONE, DESK], ids=["phone", "desk"])
def fixture_shown(request, browser, report):
    """The page in a browser, and what it complained about."""
    context = browser.new_context(**request.param)
    page, complaints = context.new_page(), []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            complaints.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
        ),
    )
    page.on("requestfailed", lambda asked: complaints.append(f"failed: {asked.url[:80]}"))
    page.goto(report.as_uri())
    page.wait_for_selector("body[data-drawn]")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    yield page, complaints
    context.close()


@pytest.mark.browser
def test_browser_finds_nothing_to_complain_about(shown):
    page, complaints = shown
    page.wait_for_load_state("load")
    assert complaints == []
    assert page.title() == f"{page.locator('h1').inner_text()}: stopped, step 600"


@pytest.mark.browser
def test_every_picture_is_there(shown):
    page, _ = shown
    images = page.evaluate("[...document.images].map(one => [one.complete, one.naturalWidth])")
    # Three grids, the real images, class sheet, attention figure.
    assert len(images) == 6
    assert all(complete and width > 0 for complete, width in images)
    sizes = page.evaluate("""[...document.querySelectorAll('.plot')].map(one => {
        const box = one.querySelector('.nsewdrag').getBoundingClientRect();
        return [box.width, box.height, one.querySelectorAll('.scatterlayer .trace').length];
    })""")
    # Ten charts of the rows, sigma of two networks' layers, FID and IS.
    assert len(sizes) == 14
    assert all(width > 220 and height > 140 and count for width, height, count in sizes)


@pytest.mark.browser
def test_short_words_of_tables_stay_on_one_line(shown):
    """A narrow screen scrolls a table sideways, before it breaks "model" or a setting's name."""
    page, _ = shown
    lines = page.evaluate("""[...document.querySelectorAll('#settings td:nth-child(-n+2)')]
        .map(one => { const words = document.createRange(); words.selectNodeContents(one);
        return new Set([...words.getClientRects()].map(box => box.top)).size; })""")
    assert set(lines) == {1}


@pytest.mark.browser
def test_paper_shows_all_that_the_screen_scrolls(browser, report):
    """Printed, no box hides a part of what it holds, and curves are named in ink."""
    page = browser.new_page(**DESK, color_scheme="dark")
    page.goto(report.as_uri())
    page.wait_for_selector("body[data-drawn]")
    page.set_viewport_size({"width": 700, "height": 900})  # about that of a sheet
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    hidden = page.evaluate("""[...document.querySelectorAll('.box')].filter(one =>
        one.scrollWidth > 700 || one.scrollHeight > one.clientHeight + 1 ||
        getComputedStyle(one).overflowX !== 'visible').map(one => one.innerText.slice(0, 80))""")
    assert hidden == []
    ink = "getComputedStyle(document.querySelector('.plot .xtick text')).fill"
    until(page, ink, lambda colour: colour == "rgb(28, 32, 36)")
    page.close()


@pytest.mark.browser
def test_page_is_as_wide_as_the_screen(shown):
    page, _ = shown
    width = page.viewport_size["width"]  # On a phone innerWidth grows with what is in the page.
    assert page.evaluate("[document.documentElement.scrollWidth, innerWidth]") == [width, width]
    beyond = page.evaluate(
        """width => [...document.querySelectorAll('body *')].filter(one =>
        !one.closest('.box > *, svg') && one.getBoundingClientRect().right > width + 0.5)
        .map(one => one.outerHTML.slice(0, 80))""",
        width,
    )
    assert beyond == []


@pytest.mark.browser
def test_text_can_be_read(shown):
    page, _ = shown
    sizes = page.evaluate("""[...document.querySelectorAll('body > :not(script) *:not(svg *)')]
        .filter(one => [...one.childNodes].some(node => node.nodeType === 3 && node.data.trim()))
        .filter(one => !['SCRIPT', 'NOSCRIPT'].includes(one.tagName))
        .map(one => parseFloat(getComputedStyle(one).fontSize))""")
    assert min(sizes) >= 12
    heights = page.evaluate("""[...document.querySelectorAll('.plot text')]
        .map(one => one.getBoundingClientRect().height)""")
    assert len(heights) > 100
    assert min(heights) >= 8


@pytest.mark.browser
def test_chart_text_has_the_colour_of_the_page_in_both_schemes(browser, report):
    found = []
    for scheme in ("light", "dark"):
        context = browser.new_context(color_scheme=scheme)
        page = context.new_page()
        page.goto(report.as_uri())
        page.wait_for_selector("body[data-drawn]")
        look = """[getComputedStyle(document.body).color,
            getComputedStyle(document.body).backgroundColor,
            ...new Set([...document.querySelectorAll('.plot text')]
                .map(one => getComputedStyle(one).fill))]"""
        found.append(page.evaluate(look))
        # The reader's choice may change while the page is open.
        page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
        until(page, look, lambda colours: colours != found[-1] and len(set(colours)) == 2)
        context.close()
    assert all(len(colours) == 3 and colours[0] == colours[2] for colours in found)
    assert found[0][0] != found[1][0]
    assert found[0][1] != found[1][1]


@pytest.mark.browser
def test_axis_labels_do_not_overlap(shown):
    page, _ = shown
    overlapping = page.evaluate("""[...document.querySelectorAll('.plot')].flatMap(plot => {
        const boxes = [...plot.querySelectorAll('text')].map(one => one.getBoundingClientRect());
        return boxes.flatMap((a, i) => boxes.slice(i + 1).filter(b =>
            Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
            Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 3)
            .map(() => plot.getAttribute('aria-label')));
    })""")
    assert overlapping == []


@pytest.mark.browser
def test_keyboard_moves_the_slider_through_the_steps(shown):
    page, complaints = shown

    def seen():
        image = page.locator("#frames img:visible")
        assert image.count() == 1
        assert image.get_attribute("alt") == f"Samples at {page.locator('#at').inner_text()}"
        assert page.locator("#when").get_attribute("aria-valuetext") == (
            page.locator("#at").inner_text()
        )
        colour = image.evaluate("""one => {
            const canvas = document.createElement('canvas');
            canvas.width = canvas.height = 1;
            const context = canvas.getContext('2d');
            context.drawImage(one, 0, 0, 1, 1);
            return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
        }""")
        return page.locator("#at").inner_text(), int(np.argmax(colour))

    page.locator("#when").focus()
    page.keyboard.press("End")
    assert seen() == ("step 600", 2)
    page.keyboard.press("ArrowLeft")
    assert seen() == ("step 400", 1)
    page.keyboard.press("Home")
    assert seen() == ("step 200", 0)
    page.keyboard.press("ArrowRight")
    assert seen() == ("step 400", 1)
    assert complaints == []


def until(page, script, holds):
    """Waits for a value; Playwright's own way to wait evaluates text, which the page forbids."""
    for _ in range(200):
        if holds(page.evaluate(script)):
            return
        page.wait_for_timeout(50)
    raise AssertionError("it never came")


AXIS = "one => one.querySelector('.plot')._fullLayout.xaxis.range"
VISIBLE = """one => [...one.querySelector('.plot').querySelectorAll('.scatterlayer .trace')]
    .map(one => getComputedStyle(one).display !== 'none').filter(Boolean).length"""


@pytest.mark.browser
def test_chart_names_values_beside_the_mouse_zooms_and_hides_curves(browser, report):
    page = browser.new_page(**DESK)
    page.goto(report.as_uri())
    page.wait_for_selector("body[data-drawn]")
    chart = page.locator("#curves .chart").first
    chart.scroll_into_view_if_needed()
    box = chart.locator(".nsewdrag").bounding_box()
    across = [box["x"] + share * box["width"] for share in (0.4, 0.8)]
    middle = box["y"] + box["height"] / 2

    # Hover: step and values.
    page.mouse.move(across[0], middle)
    name = chart.locator(".hoverlayer", has_text="discriminator")
    name.wait_for(state="attached")
    # The nearest row is the twelfth or thirteenth; D's loss is 2.0 and the row's number.
    assert re.match(r"2[46]0discriminator : 1[34]generator : .0.\d+$", name.text_content())

    # Zoom into two fifths of the steps, and out again.
    start, end = chart.evaluate(AXIS)
    assert (start, end >= 600) == (0, True)
    page.mouse.down()
    page.mouse.move(across[1], middle, steps=4)
    page.mouse.up()
    axis = f"({AXIS})(document.querySelector('#curves .chart'))"
    until(page, axis, lambda ends: ends[0] > 0)
    np.testing.assert_allclose(chart.evaluate(AXIS), [0.4 * end, 0.8 * end], rtol=0.02)
    page.mouse.dblclick(across[0], middle)
    until(page, axis, lambda ends: ends[0] == 0)

    # Hide a curve and show it again, by mouse and by keyboard.
    button = chart.locator(".legend button").first
    assert (chart.evaluate(VISIBLE), button.get_attribute("aria-pressed")) == (2, "true")
    button.click()
    assert (chart.evaluate(VISIBLE), button.get_attribute("aria-pressed")) == (1, "false")
    page.keyboard.press("Space")
    assert (chart.evaluate(VISIBLE), button.get_attribute("aria-pressed")) == (2, "true")

    # All layers that have no name of their own go together.
    layers = page.locator(".chart", has_text="sigma of the layers of the generator")
    layers.locator("button", has_text="the other 2").click()
    assert layers.evaluate(VISIBLE) == 4
    page.close()


@pytest.mark.browser
def test_no_button_sends_a_chart_away(shown):
    page, _ = shown
    titles = page.evaluate("""[...new Set([...document.querySelectorAll('.modebar-btn')]
        .map(one => one.dataset.title))]""")
    assert [title.split()[0] for title in titles] == [
        "Download",
        "Zoom",
        "Pan",
        "Zoom",
        "Zoom",
        "Reset",
    ]


@pytest.mark.browser
def test_last_grid_shows_without_scripts(browser, report):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator("#frames img:visible").get_attribute("alt") == "Samples at step 600"
    assert not page.locator("#when").is_visible()
    assert "needs JavaScript" in page.locator("#samples").inner_text()
    curves = page.locator("#curves").inner_text()
    assert "need JavaScript" in curves
    assert "discriminator 31" in curves  # The newest values are there.
    context.close()


@pytest.mark.browser
def test_nothing_of_the_run_becomes_a_tag(shown):
    page, _ = shown
    # The page's own, Plotly packed, and Plotly unpacked.
    assert page.locator("script").count() == 3
    for place in ("#scores", "#samples", "#events", "#environment", "#settings"):
        assert HOSTILE in page.locator(place).inner_text()


@pytest.mark.slow
def test_ids_are_unique_and_what_is_pointed_to_is_there(report):
    page = report.read_text(encoding="utf-8")
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids)) > 10
    assert set(re.findall(r'(?:href="|url\()#([^")]+)', page)) <= set(ids)


def test_report_says_what_is_known(report):
    text = words(report.read_text(encoding="utf-8"))
    assert "600 of 1,000 (60 %)" in text
    assert "stopped 1970-01-01 00:01 UTC: SIGTERM: saved step 600" in text
    assert "FID5k 88.25, IS5k 5.50 at step 600, by x" in text
    assert "2 x start, 0 x fault, 1 x killed, 1 x warning" in text
    assert "max_steps 1000 1000000" in text  # value and default
    assert "tensorflow 2.20.0 2.21.0" in text
    assert "sigma_ratio 0.25" in text
    # Layers number 5, 4, 3 and 2 of G are the largest.
    assert (
        "g_block5/snconv1 6 g_block4/snconv1 5 g_block3/snconv1 4 g_block2/snconv1 3 the other 2"
    ) in text
    assert "30 rows up to step 600" in text


def test_samples_come_before_scores_and_every_score_names_its_classifier(report):
    text = words(report.read_text(encoding="utf-8"))
    assert text.index("Samples at step 600") < text.index("Scores protocol reference")
    for score in ("FID5k", "IS5k"):
        assert f"{score} by x" in text
    assert "All scores are by the classifier x: step IS5k FID5k 600 5.5 88.25" in text


@pytest.mark.slow
def test_long_run_makes_a_page_below_ten_megabytes(tmp_path, monkeypatch):
    """A million steps: 10,000 rows, 100 scored checkpoints, grids that no JPEG makes small."""
    monkeypatch.setattr(trained, "open_model", open_stub())
    run_dir = make_run(tmp_path)
    noise = np.random.default_rng(0)
    names = [name for name in rows()[0] if name not in ("step", "time")]
    write_lines(
        run_dir / "metrics.jsonl",
        [
            {"step": 100 * (i + 1), **dict(zip(names, noise.random(len(names)).tolist()))}
            for i in range(10_000)
        ],
    )
    own = {"run": runs_directory.run_id(str(run_dir)), "protocol": PROTOCOL, "citation": "cited"}
    scores = [
        {"step": 10_000 * (i + 1), "eval/fid5k": 200.0 - i, "eval/incscore5k": 1.0 + i, **own}
        for i in range(100)
    ]
    write_lines(run_dir.parent / "eval" / "imagenet_16" / "metrics.jsonl", scores)
    grid = noise.integers(0, 256, (700, 700, 3), dtype=np.uint8)
    for step in range(100_000, 1_000_001, 100_000):
        Image.fromarray(grid).save(run_dir / "samples" / f"step-{step:08}.png", compress_level=1)
    page = write(run_dir)
    assert len(page.encode()) < 10e6
    assert "10,000 rows up to step 1,000,000" in page


def test_scores_of_another_run_are_left_out(report):
    text = words(report.read_text(encoding="utf-8"))
    assert "11.125" not in text
    assert "older release: 1." in text
    assert "Best FID:" in text
    # Newest first.
    assert text.index("600 5.5 88.25") < text.index("400 6.5 77.25") < text.index("200 4.5 123.25")


def test_damaged_rows_are_counted_for_each_file(tmp_path, monkeypatch):
    # A run with two damaged rows and one of a killed process, and a damaged score.
    monkeypatch.setattr(trained, "open_model", open_stub())
    run_dir = make_run(tmp_path)
    write_scores(run_dir)
    files = (run_dir / "metrics.jsonl", tmp_path / "eval" / run_dir.name / "metrics.jsonl")
    for path, damaged in zip(files, (["}", '{"step": "7"}', '{"step": 7'], ['{"step": NaN}'])):
        path.write_text(path.read_text() + "\n".join(damaged))

    # The page and the command say so.
    stream = io.StringIO()
    path = viewing_report.write(config.ReportConfig(run=str(run_dir)), stream)
    page = words(pathlib.Path(path).read_text(encoding="utf-8"))
    for path, lines in zip(files, ("3 lines", "1 line")):
        expected = f"{path}: {lines} cannot be read, left out"
        assert f"\n{expected}\n" in stream.getvalue()
        assert f"{expected}." in page


def test_published_scores_are_shown_of_imagenet_at_128_only(report, tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "open_model", open_stub())
    assert "paper, attention at 32" not in report.read_text(encoding="utf-8")
    run_dir = make_run(tmp_path, config.ModelConfig(), numbers=False)
    write_scores(run_dir)
    page = write(run_dir)
    assert words(page).count("paper, attention at 32") == 2
    assert words(page).count("TF-GAN's example") == 2


def test_report_of_a_run_that_has_just_begun_says_what_is_not_there(tmp_path):
    run_dir = tmp_path / "imagenet_64"
    runs_directory.write_config(
        str(run_dir), model=MODEL, data=config.DataConfig(), train=config.TrainConfig()
    )
    text = words(write(tmp_path))  # The only run in there.
    assert "0 of 1,000,000 (0 %)" in text
    assert "not recorded the run has no history" in text
    for missing in (
        "No row of losses has been recorded yet",
        "No grid of samples",
        "None of this run in",
        "No picture:",
        "holds no checkpoint yet",
        "Newest scores none yet",
        "What differs from the defaults",
    ):
        assert missing in text


def test_old_rows_lack_curves_and_the_report_says_which(tmp_path):
    run_dir = make_run(tmp_path)
    (run_dir / "history.jsonl").unlink()
    write_lines(
        run_dir / "metrics.jsonl", [{"step": 5, "g_loss": 1.0, "d_loss": 2.0, "time": float("nan")}]
    )
    page = write(run_dir)
    assert page.count('class="plot"') == 1 + 2  # losses; FID and IS
    assert "Not recorded: Parts of the discriminator's loss, Logits," in words(page)
    assert "Not recorded: the run has no history" in words(page)


def test_report_of_an_auxiliary_classifier_draws_what_is_known_of_classes(tmp_path):
    """Two panels more; nothing of them, and no word, in the report of another run."""
    model_config = dataclasses.replace(MODEL, conditioning="auxiliary_classifier")
    names = ("g_class_loss", "d_class_loss_real", "d_class_loss_fake", "class_accuracy_real")
    numbers = {**dict.fromkeys(names, 0.75), "class_accuracy_fake": 0.5, "g_loss": 1.0}
    pages = []
    for name, settings in (("classifier", model_config), ("projection", MODEL)):
        run_dir = make_run(tmp_path / name, settings, numbers=False)
        write_lines(run_dir / "metrics.jsonl", [{"step": 5, "d_loss": 2.0, **numbers}])
        pages.append(words(write(run_dir)))
    titles = ("Losses of the class", "Accuracy of the discriminator")
    for text in (*titles, "generated images 50", "cross-entropy of the class of real and of"):
        assert text in pages[0]
        assert text not in pages[1]


def test_report_of_adaptive_augmentation_draws_its_probability(tmp_path):
    """No word of it in the report of another run."""
    for name, numbers in (("ada", {"ada/p": 0.25, "ada/r": 0.5}), ("none", {})):
        run_dir = make_run(tmp_path / name, numbers=False)
        write_lines(run_dir / "metrics.jsonl", [{"step": 5, "g_loss": 1.0, **numbers}])
        page = words(write(run_dir))
        for text in ("Adaptive augmentation", "p, the probability of each transformation"):
            assert (text in page) == bool(numbers)


def test_run_at_work_is_reported_and_left_in_peace(tmp_path, monkeypatch):
    run_dir = make_run(tmp_path, numbers=False)
    write_lines(run_dir / "metrics.jsonl", [{"step": 600, "images_per_second": 64.0}])
    monkeypatch.setattr(trained, "open_model", open_stub())
    before = sorted(path for path in run_dir.rglob("*") if path.name != "lock")
    with files.locked(str(run_dir / "lock"), "at work"):
        text = words(write(run_dir))
        with (
            pytest.raises(errors.UserError, match="at work"),
            files.locked(str(run_dir / "lock"), "at work"),
        ):
            pass
    assert "running step 600 of 1,000" in text
    assert "Time left 2 min" in text  # 400 steps of 16 images at 64 a second: 100 s
    after = sorted(path for path in run_dir.rglob("*") if path.name != "lock")
    assert set(after) - set(before) == {run_dir / "report.html"}


def test_bytes_that_are_no_text_and_numbers_beyond_all_bounds_do_no_harm(tmp_path, monkeypatch):
    monkeypatch.setattr(trained, "open_model", open_stub())
    run_dir = make_run(tmp_path, numbers=False)
    write_lines(run_dir / "metrics.jsonl", [{"step": 600, "g_loss": 1.0}])
    with open(run_dir / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 601, "g_loss": 1' + b"0" * 400 + b'}\n\xff\xfe\x00\n{"step": 602')
    with open(run_dir / "history.jsonl", "ab") as file:
        file.write(b"\xff\xfe\n")
    page = words(write(run_dir))
    assert "Step 601 of 1,000" in page
    assert "SIGTERM: saved step 600" in page


def test_unfinished_and_damaged_grids_are_passed_over(tmp_path):
    run_dir = make_run(tmp_path, numbers=False)
    whole = (run_dir / "samples" / "step-00000600.png").read_bytes()
    (run_dir / "samples" / "step-00000800.png").write_bytes(whole[:-20])
    (run_dir / "samples" / "step-00000900.png").write_bytes(b"")
    (run_dir / "samples" / "step-00000100.png").write_bytes(whole[:50] + bytes(200) + whole[250:])
    (run_dir / "samples" / "step-00000001.png.tmp").write_bytes(whole)
    page = write(run_dir)
    assert re.findall(r'data-step="(\d+)"', page) == ["200", "400", "600"]
    assert re.findall(r'data-step="(\d+)">', page) == ["600"]  # The others are hidden.


@pytest.mark.slow
def test_grids_are_spread_over_the_run_and_take_bounded_space(tmp_path, monkeypatch):
    run_dir = make_run(tmp_path, numbers=False)
    noise = np.random.default_rng(0).integers(0, 256, (700, 700, 3), dtype=np.uint8)
    for step in range(100, 1000, 100):
        Image.fromarray(noise).save(run_dir / "samples" / f"step-{step:08}.png", compress_level=1)
    page = write(run_dir, max_grids=3)
    assert re.findall(r'data-step="(\d+)"', page) == ["100", "500", "900"]
    assert 'width="700" height="700" alt="Samples' in page
    width = 'width="{0}" height="{0}" alt="Samples'
    size = max(map(len, re.findall(r'base64,([^"]*)"', page))) * 3 // 4
    monkeypatch.setattr(report_pictures, "GRID_BYTES", 2 * size)
    smaller = write(run_dir, max_grids=3)
    assert width.format(640) in smaller or width.format(480) in smaller
    # Where the smallest of three are too large, there are fewer.
    monkeypatch.setattr(report_pictures, "GRID_BYTES", size // 3)
    assert re.findall(r'data-step="(\d+)"', write(run_dir, max_grids=3)) == ["900"]


def test_attention_that_is_not_used_is_said_to_be(tmp_path, monkeypatch):
    run_dir = make_run(tmp_path, numbers=False)
    monkeypatch.setattr(trained, "open_model", open_stub(sigma_ratio=0.0))
    assert "exactly 0: attention is not used yet" in words(write(run_dir))
    monkeypatch.setattr(trained, "open_model", open_stub(share=0.002))
    assert "attention hardly acts on these images: it adds 0.2 % to the" in words(write(run_dir))
    monkeypatch.setattr(trained, "open_model", open_stub())
    assert "hardly acts" not in words(write(run_dir))
    plain = open_stub(sigma_ratio=None, attends=False, model_config=PLAIN_MODEL)
    monkeypatch.setattr(trained, "open_model", plain)
    text = words(write(run_dir))
    assert "has no attention block" in text
    assert "not used yet" not in text


def test_residual_block_has_no_attention_to_draw(tmp_path, monkeypatch):
    run_dir = make_run(tmp_path, numbers=False)
    residual = dataclasses.replace(MODEL, block="residual")
    stub = open_stub(sigma_ratio=0.0, attends=False, model_config=residual)
    monkeypatch.setattr(trained, "open_model", stub)
    write_lines(run_dir / "metrics.jsonl", [{"step": 1, "model/g_residual/sigma_ratio": 0.125}])
    text = words(write(run_dir))
    assert "a residual block in the place of attention: there is no attention to draw" in text
    assert "not used yet" not in text
    assert "residual block of the generator 0.125" in text


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, config.Sampling()),
        ({"ema_decay": 0.9}, config.Sampling()),
        ({"ema_decay": 0.9, "use_ema": True, "seed": 7}, config.Sampling(0.0, 4, 16, seed=7)),
    ],
)
def test_class_sheet_has_the_statistics_of_the_run_s_grids(
    tmp_path, monkeypatch, settings, expected
):
    """A grid of the average takes 4 batches of its tower's size, drawn by the run's seed."""
    train = config.TrainConfig(max_steps=1000, batch_size=16, num_towers=1, **settings)
    run_dir = make_run(tmp_path, numbers=False)
    runs_directory.write_config(
        str(run_dir), model=MODEL, data=config.DataConfig(data_dir=HOSTILE), train=train
    )
    asked = []

    def open_model(run_dir, **options):
        asked.append((options["use_ema"], options["sampling"]))
        return Stub(run_dir, 600)

    monkeypatch.setattr(trained, "open_model", open_model)
    text = words(write(run_dir))
    assert asked == [(train.use_ema, expected)]
    assert previews.sampling_of_pictures(train) == expected
    assert "a seed (one z) a column; moving statistics." in text  # Those of the stub.


@pytest.fixture(name="fresh_run", scope="module")
def fixture_fresh_run(tmp_path_factory):
    """The directory of a run that has just begun, whose checkpoint has no moving average."""
    run_dir = tmp_path_factory.mktemp("fresh") / "imagenet_2"
    gan = model.SAGAN(TINY_MODEL, FRESH)
    runs_directory.write_config(
        str(run_dir), model=TINY_MODEL, data=config.DataConfig(), train=FRESH
    )
    checkpoints.Checkpoints(str(run_dir), gan.state()).save(0)
    return run_dir


FRESH = config.TrainConfig(batch_size=2, num_towers=1)


@pytest.mark.slow
def test_pictures_of_a_real_checkpoint(fresh_run, tmp_path):
    page = write(fresh_run, out=str(tmp_path / "report.html"))
    assert page.count("Checkpoint of step 0:") == 2
    assert page.count("data:image/jpeg") == 2
    assert "exactly 0: attention is not used yet" in page  # as it begins


def test_average_that_is_not_there_is_said_to_be(fresh_run, tmp_path):
    run_dir = tmp_path / "imagenet_2"
    shutil.copytree(fresh_run, run_dir)
    runs_directory.write_config(
        str(run_dir),
        model=TINY_MODEL,
        data=config.DataConfig(),
        train=dataclasses.replace(FRESH, ema_decay=0.9, use_ema=True),
    )
    assert "holds no moving average" in words(write(run_dir))


def test_no_run_is_one_line_and_writes_nothing(tmp_path):
    with pytest.raises(errors.UserError, match=r"^--run=.*no run there") as error:
        viewing_report.write(config.ReportConfig(run=str(tmp_path)))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_place_that_cannot_be_written_is_one_line_before_the_work(tmp_path, monkeypatch):
    run_dir = make_run(tmp_path, numbers=False)

    def never(*_, **__):
        raise AssertionError("the model was opened")

    monkeypatch.setattr(trained, "open_model", never)
    for out in (tmp_path / "none" / "report.html", run_dir / "config.json" / "report.html"):
        with pytest.raises(errors.UserError, match=r"^--out=.*cannot be written to") as error:
            viewing_report.write(config.ReportConfig(run=str(run_dir), out=str(out)))
        assert "\n" not in str(error.value)
        assert str(out) in str(error.value)


def test_report_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    run_dir = make_run(tmp_path, numbers=False)
    (run_dir / "report.html").write_text("before")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(trained, "open_model", stop)
    with pytest.raises(KeyboardInterrupt):
        viewing_report.write(config.ReportConfig(run=str(run_dir)))
    assert (run_dir / "report.html").read_text() == "before"
    assert not [name for name in os.listdir(run_dir) if name.endswith(".tmp")]


def test_names_that_are_not_utf8_do_not_stop_it(tmp_path):
    run_dir = make_run(tmp_path, numbers=False)
    write_lines(
        run_dir / "history.jsonl",
        [
            {
                "event": "warning",
                "time": float("inf"),
                "text": os.fsdecode(b"records-\xff.tfrecords"),
            }
        ],
    )
    page = write(run_dir)
    assert r"records-\udcff.tfrecords" in page
    assert "at an unknown time" in page


def test_exported_model_has_no_report(tmp_path):
    """What tells an exported model from a run is its file."""
    (tmp_path / "generator.keras").write_bytes(b"")
    with pytest.raises(errors.UserError, match="is an exported model, which has no history"):
        viewing_report.write(config.ReportConfig(run=str(tmp_path)))


def test_scores_of_truncated_z_do_not_stand_for_the_run(tmp_path, monkeypatch):
    """The head has the untruncated score with its protocol, though a truncated one is newer."""
    monkeypatch.setattr(trained, "open_model", open_stub())
    run_dir = make_run(tmp_path, numbers=False)
    own = {"run": runs_directory.run_id(str(run_dir))}
    cut = {**PROTOCOL, "departures": {"truncation": 0.5}, "sampling": {"truncation": 0.5}}
    whole = {**PROTOCOL, "departures": {}, "sampling": {"truncation": 0.0}}
    write_lines(
        run_dir.parent / "eval" / "imagenet_16" / "metrics.jsonl",
        [
            {"step": 600, "time": 1, "eval/fid5k": 31.25, **own, "protocol": whole},
            {"step": 600, "time": 2, "eval/fid5k": 112.5, **own, "protocol": cut},
        ],
    )
    text = words(write(run_dir))
    assert "Newest scores FID5k 31.25 at step 600, by x; protocol reference" in text
    first, second = text.index("protocol reference All"), text.index("truncation 0.5")
    assert first < second
