"""What is known of a run as one HTML file, which needs no network and can be sent to somebody.

It is made of what a run leaves: config.json, metrics.jsonl, history.jsonl, sample grids, the newest
checkpoint, and the scores beside it. What is not there yet, or was not recorded by an older
release, is said in words. Nothing of the run is written to or locked, so it can be at work.
"""

import dataclasses
import functools
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Optional, TextIO

import numpy as np
import tensorflow as tf
from PIL import Image

from sagan_tf import errors
from sagan_tf.config import ReportConfig
from sagan_tf.data import class_names
from sagan_tf.evaluation import protocol
from sagan_tf.gan import noise
from sagan_tf.images import attention_figure
from sagan_tf.images import grids as images_grids
from sagan_tf.images import pixels as images_pixels
from sagan_tf.runs import directory, history
from sagan_tf.runtime import files
from sagan_tf.viewing import html, report_charts, run_summary, trained, words

FILENAME = "report.html"
_SHEET_CLASSES, _SHEET_SEEDS = 10, 8
_ATTENTION_IMAGES, _ATTENTION_QUERIES = 3, 4
_SHEET_SIZE = (1400, 90)  # pixels in a row, at most, and JPEG quality
_PROTOCOLS = 4  # newest ones that have curves
# Width in pixels and JPEG quality of the sample grids: the first with which they take less.
_GRID_SIZES, _GRID_BYTES = ((1000, 85), (800, 85), (640, 80), (480, 75)), 5_500_000


def write(config: ReportConfig, stream: Optional[TextIO] = None) -> str:
    """Writes the report of a run, whole or not at all.

    Args:
      config: which run, and where to.
      stream: where to say so; standard output by default.
    Returns:
      The path of the report.
    Raises:
      config.UserError: there is no run, its config.json is damaged, or the report cannot be
        written.
    """
    say = functools.partial(print, file=stream, flush=True)
    run_dir = directory.find_run(config.run)
    path = config.out or os.path.join(run_dir, FILENAME)
    with files.writing(f"--out={path}"):  # Said before the work is done, and not after.
        with tf.io.gfile.GFile(path + ".tmp", "w") as file:
            file.write("")
        tf.io.gfile.remove(path + ".tmp")

    say(f"reading {run_dir}")
    run = run_summary.read(run_dir, config.eval_dir)
    content = _page(run, config.max_grids, say)
    content = content.encode("utf-8", "backslashreplace").decode()  # Names need not be UTF-8.
    with files.writing(f"--out={path}"):
        files.write_whole(path, content)
    say(f"report: {path} ({len(content) / 1e6:.1f} MB)")
    return path


def _page(run: run_summary.Run, max_grids: int, note: Callable[[str], None]) -> str:
    sections = [
        ("scores", "Scores", _scores(run)),
        ("samples", "Samples", _samples(run, max_grids)),
        ("curves", "Curves", report_charts.charts_of_run(run)),
        *_pictures_of_model(run, note),
        ("events", "Faults and restarts", _events(run)),
        ("settings", "Settings", _settings(run)),
        ("environment", "Environment", _environment(run)),
    ]
    return html.document(
        run.name,
        f"{run.name}: {run.state.name}, step {run.step:,}",
        summary=_summary(run),
        sections=sections,
        footer=f"Written {words.moment(run.written)}.",
    )


def _summary(run: run_summary.Run) -> str:
    """How the run is, at a glance."""
    share = min(run.step / run.train.max_steps, 1)
    tiles = "".join(
        f"<div><dt>{html.text(name)}</dt><dd>{html.text(value)}</dd></div>"
        for name, value in _facts(run, share)
    )
    name = html.text(run.state.name)
    return (
        f'<p class="state {name.split()[0]}"><strong>{name}</strong> '
        f"{html.text(run.state.text)}</p>"
        f'<progress max="1" value="{share:.4f}" aria-label="share of the steps"></progress>'
        f'<dl class="tiles">{tiles}</dl>'
    )


def _facts(run: run_summary.Run, share: float) -> Iterator[tuple[str, str]]:
    """Names and values."""
    model, train, running = run.model, run.train, run.state.name == run_summary.RUNNING
    yield "Step", f"{run.step:,} of {train.max_steps:,} ({100 * share:.3g} %)"
    if run.rate:
        yield "Speed" if running else "Last speed", f"{words.number(run.rate)} images/s"
        if running:
            yield "Time left", words.span(run.seconds_left())
    last = run.rows[-1].get("time") if run.rows else None
    if words.is_finite(last):
        age = f", {words.span(max(run.written - last, 0))} ago" if running else ""
        yield "Last row of losses", words.moment(last) + age
    yield "Newest scores", _newest_scores(run)
    yield (
        "Images",
        (
            f"{model.image_size} px, {model.number_classes:,} classes, "
            f"{train.batch_size} x {train.num_towers} of them a step"
        ),
    )


def _newest_scores(run: run_summary.Run) -> str:
    if not run.scores:
        return "none yet"
    row = run.scores[-1]
    found = [run_summary.score(row, name) for name in ("fid", "incscore")]
    return ", ".join(f"{report_charts.score_title(name)} {value:.2f}" for name, value in found) + (
        f" at step {row['step']:,}"
    )


def _scores(run: run_summary.Run) -> list[str]:
    parts = []
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in run.scores:
        groups.setdefault(protocol.protocol_name(row["protocol"]), []).append(row)
    newest = sorted(groups.values(), key=lambda rows: -max(row.get("time") or 0 for row in rows))
    for number, rows in enumerate(newest[:_PROTOCOLS]):
        parts += _scores_of_protocol(run, rows, number)
    if len(newest) > _PROTOCOLS:
        parts.append(
            html.paragraph(f"Scores by {len(newest) - _PROTOCOLS} older protocols are not shown.")
        )
    if not parts:
        parts.append(
            html.paragraph(
                f"None of this run in {run.eval_dir}. eval_imagenet.py --watch "
                "scores every checkpoint as it comes."
            )
        )
    if run.foreign_scores:
        parts.append(
            html.paragraph(
                f"Rows in {run.eval_dir} that are not shown, because they are of another run or of an "
                f"older release: {run.foreign_scores}.",
                "fine",
            )
        )
    return parts


def _scores_of_protocol(run: run_summary.Run, rows: list[dict[str, Any]], number: int) -> list[str]:
    """Curves, citations and a table of the rows of one protocol, steps ascending."""
    title = html.text(protocol.protocol_title(rows[0]["protocol"]))
    charts = [
        report_charts.score_chart(run, rows, *one, number)
        for one in (
            ("fid", "fid", "Frechet distance of features to the real images'; lower is better."),
            ("incscore", "inception_score", "Inception Score, of one split; higher is better."),
        )
    ]
    best = min(rows, key=lambda row: np.nan_to_num(run_summary.score(row, "fid")[1], nan=np.inf))
    cited = {"Newest": rows[-1], **({} if best is rows[-1] else {"Best FID": best})}
    return [
        f"<h3>{title}</h3>",
        '<div class="charts">',
        *charts,
        "</div>",
        *(
            html.paragraph(f"{what}: {row.get('citation', 'no citation')}", "fine")
            for what, row in cited.items()
        ),
        _score_table(rows[: -report_charts.SCORES - 1 : -1]),
    ]


def _score_table(rows: Sequence[dict[str, Any]]) -> str:
    names = dict.fromkeys(
        name
        for row in rows
        for name, value in row.items()
        if name.startswith("eval/") and words.is_number(value)
    )
    cells = [
        [
            f"{row['step']:,}",
            *(f"{row[name]:.5g}" if words.is_number(row.get(name)) else "" for name in names),
        ]
        for row in rows
    ]
    return html.table(
        ["step", *(name[len("eval/") :] for name in names)], cells, label="all scores"
    )


def _samples(run: run_summary.Run, max_grids: int) -> list[str]:
    """The grids of fixed z with a slider, and the real images."""
    grids = words.spread(run_summary.grids_of(run.directory), max_grids)
    pictures = _read_grids([path for _, path in grids])
    shown = [(step, picture) for (step, _), picture in zip(grids, pictures) if picture]
    parts = (
        html.slider(shown, "Samples")
        if shown
        else [html.paragraph("No grid of samples has been written yet.")]
    )
    rows = _row_names(run)
    if shown and rows:
        parts.append(html.paragraph(f"The same z at all steps, a class a row: {', '.join(rows)}."))
    real = _read_grid(os.path.join(run.directory, "samples", "real.png"), *_GRID_SIZES[0])
    if real:
        parts.append(
            "<details><summary>Real images, as training reads them</summary>"
            + html.picture(real, "real images", kind="grid")
            + "</details>"
        )
    return parts


def _read_grids(paths: Sequence[str]) -> list[Optional[html.Picture]]:
    """The grids, not too large together; None for a damaged one."""
    found = []
    for width, quality in _GRID_SIZES:
        found = [_read_grid(path, width, quality) for path in paths]
        if sum(len(one.jpeg) for one in found if one) <= _GRID_BYTES:
            break
    return found


def _read_grid(path: str, width: int, quality: int) -> Optional[html.Picture]:
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            pixels = images_pixels.decode_png(file.read())
    except (OSError, ValueError, SyntaxError, EOFError, tf.errors.OpError):
        return None  # not there, being written, or damaged
    return _encode(pixels, width, quality)


def _encode(pixels: np.ndarray, width: int, quality: int) -> html.Picture:
    """uint8 [height, width, 3] as a picture of at most `width` pixels in a row."""
    height, before = pixels.shape[:2]
    if before > width:
        size = (width, max(round(height * width / before), 1))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return html.Picture(images_pixels.encode(pixels, "jpeg", quality=quality), *pixels.shape[1::-1])


def _row_names(run: run_summary.Run) -> list[str]:
    """Names of the classes of the grids' rows; [] where they cannot be read."""
    count = run.model.number_classes
    try:
        names = class_names.read(run.directory, count)
    except errors.UserError:
        return []
    _, labels = noise.draw_grid(
        run.train.seed, min(10, count), columns=1, z_dim=run.model.z_dim, number_classes=count
    )
    return [names.text(label) for label in np.asarray(labels).tolist()]


def _pictures_of_model(
    run: run_summary.Run, note: Callable[[str], None]
) -> list[tuple[str, str, list[str]]]:
    """The sections that take a model: class sheet and attention figure of the newest checkpoint."""
    titles = (("classes", "Classes"), ("attention", "Attention"))
    try:
        model = trained.open_model(run.directory, use_ema=run.train.use_ema, note=note)
    except errors.UserError as error:
        return [(*title, [html.paragraph(f"No picture: {error}")]) for title in titles]
    return [(*titles[0], _class_sheet(model)), (*titles[1], _attention(model))]


def _class_sheet(model: trained.Trained) -> list[str]:
    labels = words.spread(range(model.model_config.number_classes), _SHEET_CLASSES)
    seeds = range(_SHEET_SEEDS)
    z, _ = model.draw(seeds)
    pixels = images_pixels.to_uint8(
        model.generate(
            np.tile(z, (len(labels), 1)), np.repeat(np.array(labels, np.int32), len(seeds))
        )
    )
    sheet = images_grids.labelled_sheet(
        pixels,
        [model.classes.text(label) for label in labels],
        column_names=[f"seed {seed}" for seed in seeds],
    )
    picture = html.picture(_encode(sheet, *_SHEET_SIZE), "samples by class and seed", kind="wide")
    return [
        html.paragraph(
            f"Checkpoint of step {model.step:,}: a class a row, a seed (one z) a column."
        ),
        html.box(picture, "class sheet"),
    ]


def _attention(model: trained.Trained) -> list[str]:
    """Where places of a few images look, and how much it counts."""
    classes = range(model.model_config.number_classes)
    labels = np.array(words.spread(classes, _ATTENTION_IMAGES), np.int32)
    z, _ = model.draw(range(len(labels)))
    images, maps = model.attention(z, labels)
    if maps is None:
        return [html.paragraph("The generator of this run has no attention block.")]
    captions = [
        f"{model.classes.text(label)}\nseed {seed}" for seed, label in enumerate(labels.tolist())
    ]
    panels = [
        attention_figure.panel(image, caption, attention=one, count=_ATTENTION_QUERIES)
        for image, caption, one in zip(images_pixels.to_uint8(images), captions, maps)
    ]
    ratio = model.sigma_ratio
    drawn = attention_figure.draw(panels, f"generator, step {model.step}, sigma_ratio {ratio:.4g}")
    picture = html.picture(
        _encode(images_pixels.decode_png(drawn), *_SHEET_SIZE), "attention maps", kind="wide"
    )
    return [
        html.paragraph(
            f"Checkpoint of step {model.step:,}: sigma_ratio {ratio:.4g}. "
            + (
                "It is exactly 0: attention is not used yet, and the maps say nothing."
                if ratio == 0
                else "Each dot is a place, and its map says where it looks."
            )
        ),
        html.box(picture, "attention figure"),
    ]


def _events(run: run_summary.Run) -> list[str]:
    if not run.events:
        return [
            html.paragraph(
                "Not recorded: the run has no history (it is of an older release, "
                "or has not begun)."
            )
        ]
    events = run_summary.told(run.events, run.state)
    counts = [
        f"{sum(event.kind == kind for event in events)} x {kind}"
        for kind in (history.START, run_summary.FAULT, run_summary.KILLED, history.WARNING)
    ]
    more = (
        f"; the newest {report_charts.EVENTS} of {len(events)}"
        if len(events) > report_charts.EVENTS
        else ""
    )
    return [
        html.paragraph(", ".join(counts) + f"{more}. Newest first."),
        html.table(
            ["time", "event", "step", "what"],
            events[: -report_charts.EVENTS - 1 : -1],
            label="events",
        ),
    ]


def _settings(run: run_summary.Run) -> list[str]:
    rows = [
        (
            section,
            field.name,
            getattr(config, field.name),
            field.default,
            field.metadata.get("help", ""),
        )
        for section, config in (("model", run.model), ("data", run.data), ("train", run.train))
        for field in dataclasses.fields(config)
    ]
    changed = [row[:4] for row in rows if row[2] != row[3]]
    every = html.table(
        ["of", "name", "value", "meaning"],
        [(*row[:3], row[4]) for row in rows],
        label="all settings",
    )
    parts = [html.paragraph("All are the defaults.")]
    if changed:
        parts = [
            html.paragraph("What differs from the defaults:"),
            html.table(["of", "name", "value", "default"], changed, label="settings that differ"),
        ]
    return [
        *parts,
        f"<details><summary>All settings</summary>{every}</details>",
        html.paragraph(
            f"Directory: {run.directory}; the run's own name: "
            f"{directory.run_id(run.directory) or 'none'}",
            "fine",
        ),
    ]


def _environment(run: run_summary.Run) -> list[str]:
    """Machine and versions of the last start, and what they were before where they differ."""
    starts = [
        event
        for event in run.events
        if event["event"] == history.START and isinstance(event.get("environment"), dict)
    ]
    if not starts:
        return [html.paragraph("Not recorded: the run has no history.")]
    changes = []
    for before, after in itertools.pairwise(starts):
        one, other = before["environment"], after["environment"]
        changes += [
            (words.moment(after["time"]), name, one.get(name, "none"), other.get(name, "none"))
            for name in dict.fromkeys((*one, *other))
            if one.get(name) != other.get(name)
        ]
    last = starts[-1]
    parts = [
        html.table(
            ["what", f"since {words.moment(last['time'])}"],
            last["environment"].items(),
            label="environment",
        )
    ]
    if changes:
        parts += [
            html.paragraph("What restarts have changed:"),
            html.table(
                ["time", "what", "before", "after"],
                changes[-report_charts.EVENTS :],
                label="changes",
            ),
        ]
    return parts
