"""Parts of a page in one file: escaped text, tables, embedded pictures, a slider.

Every argument is text and is escaped here, unless its description says that it is HTML.
"""

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

_STYLE = """
:root { color-scheme: light dark; --back: #fff; --ink: #1c2024; --soft: #5b6470; --line: #d8dde3;
  --card: #f6f8fa; --accent: #1f6fb2; }
@media (prefers-color-scheme: dark) {
  :root { --back: #14171a; --ink: #e4e8ec; --soft: #a3adb8; --line: #343b43; --card: #1c2126;
    --accent: #6fb3ea; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; padding: 0 14px 40px; max-width: 1400px; background: var(--back);
  color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 24px; margin: 18px 0 8px; line-height: 1.2; }
h2 { font-size: 19px; margin: 34px 0 8px; padding-top: 10px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 12px 0 4px; }
p { margin: 8px 0; max-width: 85ch; }
.fine { color: var(--soft); font-size: 13px; line-height: 1.4; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 12px 0; }
.state strong { padding: 2px 10px; margin-right: 4px; border-radius: 10px; color: #fff;
  background: #5b6470; }
.state.running strong { background: #1f6fb2; }
.state.done strong { background: #1a7a4c; }
.state.killed strong { background: #b3261e; }
.state.stopped strong { background: #8a5a00; }
progress { width: 100%; height: 10px; accent-color: var(--accent); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 8px;
  margin: 10px 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 6px 10px; }
dt { color: var(--soft); font-size: 13px; }
dd { margin: 0; font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(320px, 100%), 1fr));
  gap: 14px; }
.chart { margin: 0; padding: 8px 10px; background: var(--card); border: 1px solid var(--line);
  border-radius: 6px; display: flex; flex-direction: column; }
.chart h3 { margin-top: 0; }
.chart svg { width: 100%; height: auto; margin-top: auto; overflow: visible; }
.chart svg * { stroke-linejoin: round; stroke-linecap: butt; }
figcaption { color: var(--soft); font-size: 13px; line-height: 1.4; }
.legend { list-style: none; margin: 0 0 4px; padding: 0; display: flex; flex-wrap: wrap;
  gap: 0 14px; font-size: 13px; }
.legend i { display: inline-block; width: 14px; height: 4px; border-radius: 2px; margin-right: 5px;
  vertical-align: middle; }
.box { overflow: auto; border: 1px solid var(--line); border-radius: 6px; margin: 8px 0;
  width: fit-content; max-width: 100%; }
.box:has(table) { max-height: 640px; }
table { border-collapse: collapse; font-size: 13px; width: max-content; overflow-wrap: normal; }
th, td { text-align: left; vertical-align: top; padding: 4px 10px;
  border-bottom: 1px solid var(--line); }
td { max-width: 52ch; overflow-wrap: break-word; font-variant-numeric: tabular-nums; }
th { position: sticky; top: 0; background: var(--card); white-space: nowrap; }
.sheets { grid-template-columns: repeat(auto-fill, minmax(min(380px, 100%), 1fr)); }
img { display: block; max-width: 100%; height: auto; }
img.wide { max-width: none; background: #fff; }
img.grid { width: 800px; }
img.small { image-rendering: pixelated; width: 640px; }
.slider { margin: 8px 0; max-width: 640px; }
.slider label { font-weight: 600; }
.slider input { display: block; width: 100%; height: 32px; accent-color: var(--accent); }
summary { cursor: pointer; padding: 6px 0; color: var(--accent); }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
"""


# For the slider.
_SCRIPT = """
(() => {
  const slider = document.getElementById("when");
  if (!slider) return;
  const frames = document.querySelectorAll("#frames > .frame");
  const show = () => {
    const chosen = Number(slider.value);
    frames.forEach((frame, number) => { frame.hidden = number !== chosen; });
    const text = "step " + frames[chosen].dataset.step;
    document.getElementById("at").textContent = text;
    slider.setAttribute("aria-valuetext", text);
  };
  slider.addEventListener("input", show);
  slider.hidden = frames.length < 2;
  slider.closest(".slider").hidden = false;
  show();
})();
"""


class Picture(NamedTuple):
    """A JPEG file and its size in pixels."""

    jpeg: bytes
    width: int
    height: int


def text(value: Any) -> str:
    """Anything as text between tags or in an attribute."""
    return html.escape(str(value))


def section(anchor: str, title: str, *parts: str) -> str:
    """A part of the page with a heading; `parts` are HTML."""
    return f'<section id="{anchor}"><h2>{text(title)}</h2>\n' + "\n".join(parts) + "</section>\n"


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph; kind is its class in the style."""
    return f'<p class="{kind}">{text(words)}</p>'


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], *, label: str) -> str:
    """A table in a box of its own, so that a wide one does not widen the page."""
    titles = "".join(f'<th scope="col">{text(cell)}</th>' for cell in head)
    lines = [f"<tr>{titles}</tr>"]
    for row in rows:
        cells = "".join(f"<td>{text(cell)}</td>" for cell in row)
        lines.append(f"<tr>{cells}</tr>")
    return box("<table>" + "\n".join(lines) + "</table>", label)


def box(inner: str, label: str) -> str:
    """A box for HTML that may be wider than the page; the keyboard scrolls it too."""
    return f'<div class="box" tabindex="0" role="region" aria-label="{text(label)}">{inner}</div>'


def picture(one: Picture, alt: str, *, kind: str = "") -> str:
    """An `<img>` that holds the picture; a small "grid" is enlarged pixel by pixel."""
    kind += " small" if kind == "grid" and one.width < 600 else ""
    encoded = base64.b64encode(one.jpeg).decode()

    return (
        f'<img class="{kind}" width="{one.width}" height="{one.height}" alt="{text(alt)}" '
        f'src="data:image/jpeg;base64,{encoded}">'
    )


def document(
    name: str,
    title: str,
    *,
    summary: str,
    sections: Sequence[tuple[str, str, Sequence[str]]],
    footer: str,
) -> str:
    """The whole page; it may load nothing, and run no script but the slider's.

    Args:
      name: the heading.
      title: of the window.
      summary: HTML, below the heading.
      sections: anchor, title, and parts as HTML.
      footer: the last line.
    """
    # Make the parts; the hash of the script is what allows it to run.
    links = " ".join(f'<a href="#{anchor}">{text(words)}</a>' for anchor, words, _ in sections)
    body = "".join(section(anchor, words, *parts) for anchor, words, parts in sections)
    script = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()

    # Put them into the page.
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'; script-src 'sha256-{script}'">
<link rel="icon" href="data:,">
<title>{text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header><h1>{text(name)}</h1>
{summary}
<nav>{links}</nav></header>
<main>
{body}</main>
<footer>{text(footer)}</footer>
<script>{_SCRIPT}</script>
</body>
</html>
"""


def slider(pictures: Sequence[tuple[int, Picture]], what: str) -> list[str]:
    """Pictures of some steps, of which the last is seen, and a slider where scripts run; HTML.

    Args:
      pictures: step and picture, at least one. One slider a page.
      what: is seen.
    """
    # Make a frame of each picture; all but the last are hidden.
    last = len(pictures) - 1
    frames = []
    for number, (step, one) in enumerate(pictures):
        hidden = "" if number == last else " hidden"
        shown = picture(one, f"{what} at step {step}", kind="grid")
        frames.append(f'<div class="frame" data-step="{step}"{hidden}>{shown}</div>')

    # Put the slider before them.
    step = pictures[last][0]
    return [
        f'<div class="slider" hidden><label for="when">{text(what)} at <output id="at" for="when">'
        f'step {step}</output></label><input type="range" id="when" min="0" max="{last}" '
        f'value="{last}" step="1" aria-valuetext="step {step}"></div>',
        f"<noscript><p>{text(what)} at step {step}; a slider over all steps needs JavaScript.</p>"
        "</noscript>",
        '<div id="frames">' + "\n".join(frames) + "</div>",
    ]
