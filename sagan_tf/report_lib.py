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
from typing import Any, NamedTuple, Optional, TextIO

import numpy as np
import tensorflow as tf
from PIL import Image

from sagan_tf import (
    attention,
    checkpoints,
    curves,
    files,
    health,
    history,
    noise,
    page,
    run_record,
    trained,
)
from sagan_tf import classes as classes_lib
from sagan_tf import config as config_lib
from sagan_tf import images as images_lib
from sagan_tf import scores as scores_lib

FILENAME = "report.html"
_SHEET_CLASSES, _SHEET_SEEDS = 10, 8
_ATTENTION_IMAGES, _ATTENTION_QUERIES = 3, 4
_LAYER_POINTS, _NAMED_LAYERS = 150, 4
_SHEET_SIZE = (1400, 90)  # pixels in a row, at most, and JPEG quality
_GREY = "#888888"
_EVENTS, _SCORES = 200, 50  # newest ones that are listed
_PROTOCOLS = 4  # newest ones that have curves
# Width in pixels and JPEG quality of the sample grids: the first with which they take less.
_GRID_SIZES, _GRID_BYTES = ((1000, 85), (800, 85), (640, 80), (480, 75)), 5_500_000


def write(config: config_lib.ReportConfig, stream: Optional[TextIO] = None) -> str:
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
    run_dir = trained.find_run(config.run)
    path = config.out or os.path.join(run_dir, FILENAME)
    with files.writing(f"--out={path}"):  # Said before the work is done, and not after.
        with tf.io.gfile.GFile(path + ".tmp", "w") as file:
            file.write("")
        tf.io.gfile.remove(path + ".tmp")

    say(f"reading {run_dir}")
    run = run_record.read(run_dir, config.eval_dir)
    content = _page(run, config.max_grids, say)
    content = content.encode("utf-8", "backslashreplace").decode()  # Names need not be UTF-8.
    with files.writing(f"--out={path}"):
        files.write_whole(path, content)
    say(f"report: {path} ({len(content) / 1e6:.1f} MB)")
    return path


def _page(run: run_record.Run, max_grids: int, note: Callable[[str], None]) -> str:
    sections = [
        ("scores", "Scores", _scores(run)), ("samples", "Samples", _samples(run, max_grids)),
        ("curves", "Curves", _charts(run)), *_pictures_of_model(run, note),
        ("events", "Faults and restarts", _events(run)),
        ("settings", "Settings", _settings(run)),
        ("environment", "Environment", _environment(run))]
    return page.document(
        run.name, f"{run.name}: {run.state.name}, step {run.step:,}", _summary(run), sections,
        f"Written {run_record.moment(run.written)}.")


def _summary(run: run_record.Run) -> str:
    """How the run is, at a glance."""
    share = min(run.step / run.train.max_steps, 1)
    tiles = "".join(f"<div><dt>{page.text(name)}</dt><dd>{page.text(value)}</dd></div>"
                    for name, value in _facts(run, share))
    name = page.text(run.state.name)
    return (f'<p class="state {name.split()[0]}"><strong>{name}</strong> '
            f"{page.text(run.state.text)}</p>"
            f'<progress max="1" value="{share:.4f}" aria-label="share of the steps"></progress>'
            f'<dl class="tiles">{tiles}</dl>')


def _facts(run: run_record.Run, share: float) -> Iterator[tuple[str, str]]:
    """Names and values."""
    model, train, running = run.model, run.train, run.state.name == run_record.RUNNING
    yield "Step", f"{run.step:,} of {train.max_steps:,} ({100 * share:.3g} %)"
    if run.rate:
        yield "Speed" if running else "Last speed", f"{run_record.number(run.rate)} images/s"
        if running:
            yield "Time left", run_record.span(run.seconds_left())
    last = run.rows[-1].get("time") if run.rows else None
    if run_record.is_finite(last):
        age = f", {run_record.span(max(run.written - last, 0))} ago" if running else ""
        yield "Last row of losses", run_record.moment(last) + age
    yield "Newest scores", _newest_scores(run)
    yield "Images", (f"{model.image_size} px, {model.number_classes:,} classes, "
                     f"{train.batch_size} x {train.num_towers} of them a step")


def _newest_scores(run: run_record.Run) -> str:
    if not run.scores:
        return "none yet"
    row = run.scores[-1]
    found = [run_record.score(row, name) for name in ("fid", "incscore")]
    return ", ".join(f"{_score_title(name)} {value:.2f}" for name, value in found) + (
        f" at step {row['step']:,}")


def _score_title(name: str) -> str:
    """As people write it: "FID5k" for "fid5k", "IS" for "incscore"."""
    return name.replace("fid", "FID").replace("incscore", "IS")


# Curves.


class _Chart(NamedTuple):
    """Some quantities of the rows in one panel.

    Attributes:
      title: of the panel.
      lines: name in the rows -> name in the legend.
      note: what the quantity is.
      log: logarithmic axis.
      scale: values are multiplied by it.
      mark: a value to draw a line at, and what it is.
      from_zero: whether the values' axis begins at 0.
    """

    title: str
    lines: dict[str, str]
    note: str
    log: bool = False
    scale: float = 1.0
    mark: Optional[tuple[float, str]] = None
    from_zero: bool = False


_LOSSES = {
    "hinge_loss": "D's loss is mean max(0, 1 - D(real)) + mean max(0, 1 + D(generated))",
    "kl_loss": "D's loss is mean softplus(-D(real)) + mean softplus(D(generated))"}


def _chart_list(run: run_record.Run) -> list[_Chart]:
    loss = _LOSSES[run.train.loss_type]
    return [
        _Chart("Losses", {"g_loss": "generator", "d_loss": "discriminator"},
               f"G's loss is -mean D(generated); {loss}."),
        _Chart("Parts of the discriminator's loss",
               {"d_loss_real": "real images", "d_loss_fake": "generated images"},
               "The two terms of the sum."),
        _Chart("Logits", {"logit_real": "D(real)", "logit_fake": "D(generated)"},
               "Mean output of D over the batch; it tells them apart as far as they lie apart."),
        _Chart("Gradient norms", {"g_gradient_norm": "generator",
                                  "d_gradient_norm": "discriminator"},
               "L2 norm of all gradients of a network that Adam took.", log=True),
        _Chart("sigma_ratio", {"model/g_non_local/sigma_ratio": "generator",
                               "model/d_non_local/sigma_ratio": "discriminator"},
               "The learned factor of attention: output = input + sigma_ratio * attention. It "
               "begins at 0."),
        _Chart("Largest singular value of normalised weights",
               {"health/generator_largest_norm": "generator",
                "health/discriminator_largest_norm": "discriminator"},
               "Of any W / sigma of the network; 1 where the estimate of sigma is exact.",
               mark=(health.HIGH_NORM, "warning above")),
        _Chart("Variety of samples", {"health/variety_within_class": "generated images"},
               "Variance of pixels within a class as a share of real images' variance over the "
               "whole set, in %.", scale=100.0,
               mark=(100 * health.LOW_VARIETY, "warning below"), from_zero=True),
        _Chart("Speed", {"images_per_second": "images/s"},
               "Real images trained on per second since the row before.", from_zero=True),
        _Chart("Input stall", {"input_stall": "% of the time"},
               "Share of the training time in which the loop waited for images.",
               scale=100.0, from_zero=True),
        _Chart("Memory", {"memory_mb": "now", "peak_memory_mb": "at most so far"},
               "Main memory of the training process in MB, without that of devices.",
               from_zero=True)]


def _charts(run: run_record.Run) -> list[str]:
    if not run.rows:
        return [page.paragraph("No row of losses has been recorded yet.")]
    charts = [(chart, _lines(run.rows, chart)) for chart in _chart_list(run)]
    for letter, network in (("d", "discriminator"), ("g", "generator")):  # each goes before it
        chart = _Chart(f"sigma of the layers of the {network}", {},
                       "What a weight is divided by: the estimate of its largest singular value.")
        charts.insert(6, (chart, _layer_lines(run.rows, f"sigma/{letter}_")))
    found = [_figure(f"chart{number}", chart.title, lines, chart.note, log=chart.log,
                     from_zero=chart.from_zero)
             for number, (chart, lines) in enumerate(charts) if lines]
    missing = [chart.title for chart, lines in charts if not lines]
    return [
        page.paragraph(
            f"{len(run.rows):,} rows up to step {run.rows[-1]['step']:,}, each of the values at "
            f"its step; numbers are the newest values. More than {curves.MAX_POINTS} rows are "
            "drawn as means of neighbours, with the range of these behind them."),
        '<div class="charts">' + "\n".join(found) + "</div>",
        page.paragraph(f"Not recorded: {', '.join(missing)}.") if missing else ""]


def _lines(rows: Sequence[dict[str, Any]], chart: _Chart) -> list[curves.Curve]:
    """The curves of a panel; [] where none was recorded."""
    lines = []
    for (name, label), colour in zip(chart.lines.items(), curves.COLOURS):
        steps, values = run_record.column(rows, name)
        if len(steps):
            lines.append(curves.thin(label, steps, chart.scale * values)._replace(colour=colour))
    if lines and chart.mark:
        value, label = chart.mark
        ends = np.array([lines[0].steps[0], lines[0].steps[-1]])
        lines.append(curves.Curve(label, ends, np.full(2, value), last=value, colour=_GREY,
                                  style="--"))
    return lines


def _layer_lines(rows: Sequence[dict[str, Any]], beginning: str) -> list[curves.Curve]:
    """sigma of every layer, the largest first; these have names, the others are thin and grey."""
    names = dict.fromkeys(name for row in run_record.spread(rows, 50) for name in row
                          if name.startswith(beginning))
    lines = [curves.thin(name[len("sigma/"):], *run_record.column(rows, name), _LAYER_POINTS)
             for name in names]
    lines.sort(key=lambda line: -np.nan_to_num(line.last, nan=-np.inf))
    named = [line._replace(low=None, high=None, colour=colour)
             for line, colour in zip(lines[:_NAMED_LAYERS], curves.COLOURS)]
    others = [line._replace(low=None, high=None, label="", colour=_GREY, width=0.6)
              for line in lines[_NAMED_LAYERS:]]
    if others:
        others[0] = others[0]._replace(label=f"the other {len(others)}", last=np.nan)
    return named + others


def _figure(name: str, title: str, lines: Sequence[curves.Curve], note: str, **options) -> str:
    """A panel with its legend, which gives the newest values."""
    legend = "".join(_legend_entry(line) for line in lines if line.label)
    svg = curves.draw_svg(lines, name, **options)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{page.text(title)}"', 1)
    return (f'<figure class="chart"><h3>{page.text(title)}</h3>'
            f'<ul class="legend">{legend}</ul>{svg}'
            f"<figcaption>{page.text(note)}</figcaption></figure>")


def _legend_entry(line: curves.Curve) -> str:
    last = f" <b>{run_record.number(line.last)}</b>" if np.isfinite(line.last) else ""
    return f'<li><i style="background:{line.colour}"></i>{page.text(line.label)}{last}</li>'


# Scores.


def _scores(run: run_record.Run) -> list[str]:
    parts = []
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in run.scores:
        groups.setdefault(scores_lib.protocol_name(row["protocol"]), []).append(row)
    newest = sorted(groups.values(), key=lambda rows: -max(row.get("time") or 0 for row in rows))
    for number, rows in enumerate(newest[:_PROTOCOLS]):
        parts += _scores_of_protocol(run, rows, number)
    if len(newest) > _PROTOCOLS:
        parts.append(page.paragraph(f"Scores by {len(newest) - _PROTOCOLS} older protocols are not "
                                    "shown."))
    if not parts:
        parts.append(page.paragraph(f"None of this run in {run.eval_dir}. eval_imagenet.py --watch "
                                    "scores every checkpoint as it comes."))
    if run.foreign_scores:
        parts.append(page.paragraph(
            f"Rows in {run.eval_dir} that are not shown, because they are of another run or of an "
            f"older release: {run.foreign_scores}.", "fine"))
    return parts


def _scores_of_protocol(run: run_record.Run, rows: list[dict[str, Any]], number: int) -> list[str]:
    """Curves, citations and a table of the rows of one protocol, steps ascending."""
    title = page.text(scores_lib.protocol_title(rows[0]["protocol"]))
    charts = [_score_chart(run, rows, *one, number) for one in (
        ("fid", "fid", "Frechet distance of features to the real images'; lower is better."),
        ("incscore", "inception_score", "Inception Score, of one split; higher is better."))]
    best = min(rows, key=lambda row: np.nan_to_num(run_record.score(row, "fid")[1], nan=np.inf))
    cited = {"Newest": rows[-1], **({} if best is rows[-1] else {"Best FID": best})}
    return [f"<h3>{title}</h3>", '<div class="charts">', *charts, "</div>",
            *(page.paragraph(f"{what}: {row.get('citation', 'no citation')}", "fine")
              for what, row in cited.items()),
            _score_table(rows[:-_SCORES - 1:-1])]


def _score_chart(run: run_record.Run, rows: list[dict[str, Any]], name: str, field: str, note: str,
                 number: int) -> str:
    points = [(row["step"], run_record.score(row, name)[1]) for row in rows]
    steps, values = np.array(points, np.float64).T
    lines = [curves.Curve("this run", steps, values, last=values[-1], style="o-")]
    if curves.are_published_of(run.model.image_size, run.model.number_classes):
        lines += curves.published(field)
        note += " The others are as published, of 50,000 images."
    log = curves.spans_decades(values.tolist())
    return _figure(f"{name}{number}", _score_title(run_record.score(rows[-1], name)[0]), lines,
                   note, log=log, from_zero=not log)


def _score_table(rows: Sequence[dict[str, Any]]) -> str:
    names = dict.fromkeys(name for row in rows for name, value in row.items()
                          if name.startswith("eval/") and run_record.is_number(value))
    cells = [[f"{row['step']:,}", *(f"{row[name]:.5g}" if run_record.is_number(row.get(name))
                                    else "" for name in names)] for row in rows]
    return page.table(["step", *(name[len("eval/"):] for name in names)], cells, "all scores")


# Pictures.


def _samples(run: run_record.Run, max_grids: int) -> list[str]:
    """The grids of fixed z with a slider, and the real images."""
    grids = run_record.spread(run_record.grids_of(run.directory), max_grids)
    pictures = _read_grids([path for _, path in grids])
    shown = [(step, picture) for (step, _), picture in zip(grids, pictures) if picture]
    parts = (page.slider(shown, "Samples") if shown
             else [page.paragraph("No grid of samples has been written yet.")])
    rows = _row_names(run)
    if shown and rows:
        parts.append(page.paragraph(f"The same z at all steps, a class a row: {', '.join(rows)}."))
    real = _read_grid(os.path.join(run.directory, "samples", "real.png"), *_GRID_SIZES[0])
    if real:
        parts.append("<details><summary>Real images, as training reads them</summary>"
                     + page.picture(real, "real images", "grid") + "</details>")
    return parts


def _read_grids(paths: Sequence[str]) -> list[Optional[page.Picture]]:
    """The grids, not too large together; None for a damaged one."""
    found = []
    for width, quality in _GRID_SIZES:
        found = [_read_grid(path, width, quality) for path in paths]
        if sum(len(one.jpeg) for one in found if one) <= _GRID_BYTES:
            break
    return found


def _read_grid(path: str, width: int, quality: int) -> Optional[page.Picture]:
    try:
        with tf.io.gfile.GFile(path, "rb") as file:
            pixels = images_lib.decode_png(file.read())
    except (OSError, ValueError, SyntaxError, EOFError, tf.errors.OpError):
        return None  # not there, being written, or damaged
    return _encode(pixels, width, quality)


def _encode(pixels: np.ndarray, width: int, quality: int) -> page.Picture:
    """uint8 [height, width, 3] as a picture of at most `width` pixels in a row."""
    height, before = pixels.shape[:2]
    if before > width:
        size = (width, max(round(height * width / before), 1))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return page.Picture(images_lib.encode(pixels, "jpeg", quality), *pixels.shape[1::-1])


def _row_names(run: run_record.Run) -> list[str]:
    """Names of the classes of the grids' rows; [] where they cannot be read."""
    count = run.model.number_classes
    try:
        names = classes_lib.read(run.directory, count)
    except config_lib.UserError:
        return []
    _, labels = noise.draw_grid(run.train.seed, min(10, count), 1, run.model.z_dim, count)
    return [names.text(label) for label in np.asarray(labels).tolist()]


def _pictures_of_model(run: run_record.Run,
                       note: Callable[[str], None]) -> list[tuple[str, str, list[str]]]:
    """The sections that take a model: class sheet and attention figure of the newest checkpoint."""
    titles = (("classes", "Classes"), ("attention", "Attention"))
    try:
        model = trained.open_model(run.directory, use_ema=run.train.use_ema, note=note)
    except config_lib.UserError as error:
        return [(*title, [page.paragraph(f"No picture: {error}")]) for title in titles]
    return [(*titles[0], _class_sheet(model)), (*titles[1], _attention(model))]


def _class_sheet(model: trained.Trained) -> list[str]:
    labels = run_record.spread(range(model.model_config.number_classes), _SHEET_CLASSES)
    seeds = range(_SHEET_SEEDS)
    z, _ = model.draw(seeds)
    pixels = images_lib.to_uint8(model.generate(
        np.tile(z, (len(labels), 1)), np.repeat(np.array(labels, np.int32), len(seeds))))
    sheet = images_lib.labelled_sheet(pixels, [model.classes.text(label) for label in labels],
                                      [f"seed {seed}" for seed in seeds])
    picture = page.picture(_encode(sheet, *_SHEET_SIZE), "samples by class and seed", "wide")
    return [page.paragraph(f"Checkpoint of step {model.step:,}: a class a row, a seed (one z) a "
                           "column."),
            page.box(picture, "class sheet")]


def _attention(model: trained.Trained) -> list[str]:
    """Where places of a few images look, and how much it counts."""
    classes = range(model.model_config.number_classes)
    labels = np.array(run_record.spread(classes, _ATTENTION_IMAGES), np.int32)
    z, _ = model.draw(range(len(labels)))
    images, maps = model.attention(z, labels)
    if maps is None:
        return [page.paragraph("The generator of this run has no attention block.")]
    captions = [f"{model.classes.text(label)}\nseed {seed}"
                for seed, label in enumerate(labels.tolist())]
    panels = [attention.panel(image, caption, one, _ATTENTION_QUERIES)
              for image, caption, one in zip(images_lib.to_uint8(images), captions, maps)]
    ratio = model.sigma_ratio
    drawn = attention.draw(panels, f"generator, step {model.step}, sigma_ratio {ratio:.4g}")
    picture = page.picture(_encode(images_lib.decode_png(drawn), *_SHEET_SIZE), "attention maps",
                           "wide")
    return [page.paragraph(
        f"Checkpoint of step {model.step:,}: sigma_ratio {ratio:.4g}. " + (
            "It is exactly 0: attention is not used yet, and the maps say nothing." if ratio == 0
            else "Each dot is a place, and its map says where it looks.")),
        page.box(picture, "attention figure")]


# What happened, and with what.


def _events(run: run_record.Run) -> list[str]:
    if not run.events:
        return [page.paragraph("Not recorded: the run has no history (it is of an older release, "
                               "or has not begun).")]
    events = run_record.told(run.events, run.state)
    counts = [f"{sum(event.kind == kind for event in events)} x {kind}"
              for kind in (history.START, run_record.FAULT, run_record.KILLED, history.WARNING)]
    more = f"; the newest {_EVENTS} of {len(events)}" if len(events) > _EVENTS else ""
    return [page.paragraph(", ".join(counts) + f"{more}. Newest first."),
            page.table(["time", "event", "step", "what"], events[:-_EVENTS - 1:-1], "events")]


def _settings(run: run_record.Run) -> list[str]:
    rows = [(section, field.name, getattr(config, field.name), field.default,
             field.metadata.get("help", ""))
            for section, config in (("model", run.model), ("data", run.data), ("train", run.train))
            for field in dataclasses.fields(config)]
    changed = [row[:4] for row in rows if row[2] != row[3]]
    every = page.table(["of", "name", "value", "meaning"], [(*row[:3], row[4]) for row in rows],
                       "all settings")
    parts = [page.paragraph("All are the defaults.")]
    if changed:
        parts = [page.paragraph("What differs from the defaults:"),
                 page.table(["of", "name", "value", "default"], changed, "settings that differ")]
    return [
        *parts, f"<details><summary>All settings</summary>{every}</details>",
        page.paragraph(f"Directory: {run.directory}; the run's own name: "
                       f"{checkpoints.run_id(run.directory) or 'none'}", "fine")]


def _environment(run: run_record.Run) -> list[str]:
    """Machine and versions of the last start, and what they were before where they differ."""
    starts = [event for event in run.events if event["event"] == history.START
              and isinstance(event.get("environment"), dict)]
    if not starts:
        return [page.paragraph("Not recorded: the run has no history.")]
    changes = []
    for before, after in itertools.pairwise(starts):
        one, other = before["environment"], after["environment"]
        changes += [(run_record.moment(after["time"]), name, one.get(name, "none"),
                     other.get(name, "none"))
                    for name in dict.fromkeys((*one, *other)) if one.get(name) != other.get(name)]
    last = starts[-1]
    parts = [page.table(["what", f"since {run_record.moment(last['time'])}"],
                        last["environment"].items(), "environment")]
    if changes:
        parts += [page.paragraph("What restarts have changed:"),
                  page.table(["time", "what", "before", "after"], changes[-_EVENTS:], "changes")]
    return parts
