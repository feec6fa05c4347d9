"""Makes explore.gif of a run: python -m docs.explore.make_animation [RUN]

RUN is the digits of `make demo` by default. It needs playwright and Chromium.
"""

import io
import pathlib
import shutil
import sys
import threading
from collections.abc import Iterator

import numpy as np
from PIL import Image, ImageDraw
from playwright import sync_api

from sagan_tf import config
from sagan_tf.images import grids
from sagan_tf.viewing import explore, explore_answers, explore_web

OUT = pathlib.Path(__file__).parent / "explore.gif"
VIEW = {"width": 760, "height": 640}
SECONDS = 1.1
_ARROW = ((0, 0), (0, 17), (4, 13), (7, 20), (10, 19), (7, 12), (13, 12))
# Where the mouse clicks on the image, as shares of its side.
_CLICKS = ((0.3, 0.2), (0.62, 0.3), (0.7, 0.55), (0.5, 0.8), (0.3, 0.6))


def make(run: str) -> None:
    """Writes the animation."""
    started = config.ExploreConfig(run=run, port=0, use_ema=True, standing_statistics=True)
    answers = explore_answers.Answers(explore.Explorer(run), started)
    with explore_web.listening(answers, started.host, port=started.port) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        frames = list(_frames(f"http://127.0.0.1:{server.port}/"))
        server.shutdown()
    OUT.write_bytes(grids.animation_gif(frames, SECONDS))
    print(f"{OUT}: {len(frames)} frames, {OUT.stat().st_size / 1e6:.2f} MB")


def _frames(address: str) -> Iterator[np.ndarray]:
    """The pictures of the page, one after the other."""
    with sync_api.sync_playwright() as playwright:
        path = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport=VIEW)

        # One z through all classes, of which one is chosen.
        page.goto(address)
        page.locator("#attention .keep code span").first.wait_for()
        page.locator("#all").click()
        page.locator("#grid button").nth(8).wait_for()
        yield _picture(page, "#all")
        page.locator("#grid button").nth(8).click()
        _settle(page)
        yield _picture(page, "#grid button:nth-child(9)")

        # The places of its image, in both networks.
        page.locator("#attention").evaluate("section => section.scrollIntoView()")
        for network in ("generator", "discriminator"):
            page.locator(f"[value={network}]").check()
            _settle(page)
            for x, y in _CLICKS:
                box = page.locator("#image").bounding_box()
                place = {"x": x * box["width"], "y": y * box["height"]}
                page.locator("#image").click(position=place)
                _settle(page)
                yield _picture(page, "#image", **place)

        # The way from one class to another.
        page.locator("#class-a").fill("3")
        page.locator("#class-b").fill("8")
        page.locator("#seed-b").fill("4")
        page.locator("#ends button").click()
        slider = page.locator("#between input[type=range]")
        slider.wait_for(timeout=120_000)
        page.locator("#between").evaluate("section => section.scrollIntoView()")
        width = slider.bounding_box()["width"]
        for frame in (0, 4, 7, 9, 12, 15):
            slider.fill(str(frame))
            x = 8 + (width - 16) * frame / 15
            yield _picture(page, "#between input[type=range]", x=x, y=8)
        browser.close()


def _settle(page: sync_api.Page) -> None:
    """Waits for the answer about attention."""
    page.wait_for_timeout(100)
    page.locator("#attention:not(.busy)").wait_for()
    page.mouse.move(0, 0)


def _picture(page: sync_api.Page, pointed_at: str, x: float = 30, y: float = 18) -> np.ndarray:
    """What the window shows, with a mouse at a place of an element: uint8 [height, width, 3]."""
    shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    box = page.locator(pointed_at).bounding_box()
    corners = [(box["x"] + x + right, box["y"] + y + down) for right, down in _ARROW]
    ImageDraw.Draw(shot).polygon(corners, fill="black", outline="white")
    return np.asarray(shot)


if __name__ == "__main__":
    make(*sys.argv[1:] or ["checkpoint/digits"])
