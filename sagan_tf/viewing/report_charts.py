"""Charts of the report: their quantities, their order, and their captions."""

import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf import plurals
from sagan_tf.evaluation import curves
from sagan_tf.runs import health
from sagan_tf.viewing import charts, html, run_summary, words
from sagan_tf.viewing.charts import COLOURS, Curve

_LAYER_POINTS = 150
_NAMED_LAYERS = 4
_SEARCHED_ROWS = 50  # rows that are searched for names of layers
_GREY = "#888888"
_SIGMA = (
    "What a weight is divided by: the estimate of its largest singular value. With "
    "--spectral_norm=at_most_one, weights outside attention are divided by it only above 1."
)
EVENTS = 200  # newest ones that are listed
SCORES = 50  # likewise


def score_title(name: str) -> str:
    """As people write it: "FID5k" for "fid5k", "IS" for "incscore"."""
    return name.replace("fid", "FID").replace("incscore", "IS")


class _Chart(NamedTuple):
    """Some quantities of the rows in one panel.

    Attributes:
      title: of the panel.
      note: what the quantity is.
      lines: name in the rows -> name in the legend.
      layers: what the names of all layers' sigma begin with, in place of `lines`.
      log: logarithmic axis.
      scale: values are multiplied by it.
      mark: a value to draw a line at, and what it is.
      from_zero: whether the values' axis begins at 0.
    """

    title: str
    note: str
    lines: Mapping[str, str] = types.MappingProxyType({})
    layers: str = ""
    log: bool = False
    scale: float = 1.0
    mark: Optional[tuple[float, str]] = None
    from_zero: bool = False


_LOSSES = {
    "hinge_loss": "D's loss is mean max(0, 1 - D(real)) + mean max(0, 1 + D(generated))",
    "kl_loss": "D's loss is mean softplus(-D(real)) + mean softplus(D(generated))",
}


_CHARTS_OF_LOSSES = [
    _Chart(
        "Parts of the discriminator's loss",
        "The two terms of the sum.",
        lines={"d_loss_real": "real images", "d_loss_fake": "generated images"},
    ),
    _Chart(
        "Logits",
        "Mean output of D over the batch; it tells them apart as far as they lie apart.",
        lines={"logit_real": "D(real)", "logit_fake": "D(generated)"},
    ),
    _Chart(
        "Gradient norms",
        "L2 norm of all gradients of a network that Adam took.",
        lines={"g_gradient_norm": "generator", "d_gradient_norm": "discriminator"},
        log=True,
    ),
]

_CHARTS_OF_NETWORKS = [
    _Chart(
        "sigma_ratio",
        "The learned factor of attention, or of the residual block in its place: output = input + "
        "sigma_ratio * attention. It begins at 0.",
        lines={
            "model/g_non_local/sigma_ratio": "generator",
            "model/d_non_local/sigma_ratio": "discriminator",
            "model/g_residual/sigma_ratio": "residual block of the generator",
            "model/d_residual/sigma_ratio": "residual block of the discriminator",
        },
    ),
    _Chart(
        "Largest singular value of normalised weights",
        "Of any W / sigma of the network; 1 where the estimate of sigma is exact. With "
        "--spectral_norm=at_most_one it may be less.",
        lines={
            "health/generator_largest_norm": "generator",
            "health/discriminator_largest_norm": "discriminator",
        },
        mark=(health.HIGH_NORM, "warning above"),
    ),
    _Chart(
        "Adaptive augmentation",
        "p, the probability of each transformation of what D sees; r, the mean sign of D(real) "
        "over four steps, by which p is moved.",
        lines={"ada/p": "p", "ada/r": "r"},
    ),
    _Chart("sigma of the layers of the generator", _SIGMA, layers="sigma/g_"),
    _Chart("sigma of the layers of the discriminator", _SIGMA, layers="sigma/d_"),
    _Chart(
        "Variety within a class",
        "Variance of pixels of samples of a class as a share of that of real images of a class, "
        "in %. 100 % is as varied as the real ones.",
        lines={"health/variety_ratio": "generated images"},
        scale=100.0,
        mark=(100 * health.LOW_VARIETY_RATIO, "warning below"),
        from_zero=True,
    ),
    _Chart(
        "Variety of samples",
        "Variance of pixels within a class as a share of real images' variance over the "
        "whole set, in %.",
        lines={"health/variety_within_class": "generated images"},
        scale=100.0,
        mark=(100 * health.LOW_VARIETY, "older releases warned below"),
        from_zero=True,
    ),
]

_CHARTS_OF_THE_MACHINE = [
    _Chart(
        "Speed",
        "Real images trained on per second since the row before.",
        lines={"images_per_second": "images/s"},
        from_zero=True,
    ),
    _Chart(
        "Input stall",
        "Share of the training time in which the loop waited for images.",
        lines={"input_stall": "% of the time"},
        scale=100.0,
        from_zero=True,
    ),
    _Chart(
        "Memory",
        "Main memory of the training process in MB, without that of devices.",
        lines={"memory_mb": "now", "peak_memory_mb": "at most so far"},
        from_zero=True,
    ),
]


def charts_of_run(run: run_summary.Run) -> list[str]:
    """All that the rows of losses have recorded, a chart each; HTML."""
    if not run.rows:
        return [html.paragraph("No row of losses has been recorded yet.")]

    # Draw what was recorded.
    losses = _Chart(
        "Losses",
        f"G's loss is -mean D(generated); {_LOSSES[run.train.loss_type]}.",
        lines={"g_loss": "generator", "d_loss": "discriminator"},
    )
    panels = [losses, *_CHARTS_OF_LOSSES, *_CHARTS_OF_NETWORKS, *_CHARTS_OF_THE_MACHINE]
    figures = []
    missing = []
    for number, chart in enumerate(panels):
        lines = _layer_lines(run.rows, chart.layers) if chart.layers else _lines(run.rows, chart)
        if not lines:
            missing.append(chart.title)
            continue
        figures.append(
            _figure(
                f"chart{number}",
                chart.title,
                lines=lines,
                note=chart.note,
                log=chart.log,
                from_zero=chart.from_zero,
            )
        )

    # Say what is shown, and what is not.
    return [
        html.paragraph(
            f"{plurals.counted(len(run.rows), 'row', form=',')} up to step "
            f"{run.rows[-1]['step']:,}, each of the values at its step; numbers are the newest "
            f"values. More than {charts.MAX_POINTS} rows are drawn as means of neighbours, "
            "with the range of these behind them."
        ),
        '<div class="charts">' + "\n".join(figures) + "</div>",
        html.paragraph(f"Not recorded: {', '.join(missing)}.") if missing else "",
    ]


def _lines(rows: Sequence[dict[str, Any]], chart: _Chart) -> list[Curve]:
    """The curves of a panel; [] where none was recorded."""
    # Draw the quantities that were recorded.
    lines = []
    for (name, label), colour in zip(chart.lines.items(), COLOURS):
        steps, values = run_summary.column(rows, name)
        if len(steps):
            curve = charts.thin(label, steps, values=chart.scale * values)
            lines.append(curve._replace(colour=colour))

    # Draw the mark as long as the first of them.
    if lines and chart.mark:
        value, label = chart.mark
        ends = np.array([lines[0].steps[0], lines[0].steps[-1]])
        values = np.full(2, value)
        lines.append(Curve(label, ends, values, last=value, colour=_GREY, style="--"))
    return lines


def _layer_lines(rows: Sequence[dict[str, Any]], beginning: str) -> list[Curve]:
    """sigma of every layer, the largest first; these have names, the others are thin and grey."""
    # Find the layers.
    names: dict[str, None] = {}
    for row in words.spread(rows, _SEARCHED_ROWS):
        names.update(dict.fromkeys(name for name in row if name.startswith(beginning)))

    # Draw each without its range.
    lines = []
    for name in names:
        steps, values = run_summary.column(rows, name)
        label = name.removeprefix("sigma/")
        curve = charts.thin(label, steps, values=values, most=_LAYER_POINTS)
        lines.append(curve._replace(low=None, high=None))
    lines.sort(key=lambda line: -np.nan_to_num(line.last, nan=-np.inf))

    # Name the largest.
    named = []
    for line, colour in zip(lines[:_NAMED_LAYERS], COLOURS):
        named.append(line._replace(colour=colour))
    others = []
    for line in lines[_NAMED_LAYERS:]:
        others.append(line._replace(label="", colour=_GREY, width=0.6))
    if others:
        others[0] = others[0]._replace(label=f"the other {len(others)}", last=np.nan)
    return named + others


def _figure(name: str, title: str, *, lines: Sequence[Curve], note: str, **options) -> str:
    """A panel with its legend, which gives the newest values; HTML."""
    legend = "".join(_legend_entry(line) for line in lines if line.label)
    svg = charts.draw_svg(lines, name, **options)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{html.text(title)}"', 1)
    return (
        f'<figure class="chart"><h3>{html.text(title)}</h3>'
        f'<ul class="legend">{legend}</ul>{svg}'
        f"<figcaption>{html.text(note)}</figcaption></figure>"
    )


def _legend_entry(line: Curve) -> str:
    last = f" <b>{words.number(line.last)}</b>" if np.isfinite(line.last) else ""
    return f'<li><i style="background:{line.colour}"></i>{html.text(line.label)}{last}</li>'


def score_chart(
    run: run_summary.Run,
    rows: list[dict[str, Any]],
    name: str,
    *,
    field: str,
    note: str,
    number: int,
) -> str:
    """A chart of one score against the step; HTML.

    Args:
      run: which the rows are of.
      rows: of one protocol, steps ascending.
      name: of the score in the rows, "fid" or "incscore".
      field: of the score among the published points.
      note: what the score is.
      number: of the protocol on the page.
    """
    # Draw the run's own scores.
    steps = np.array([row["step"] for row in rows], np.float64)
    values = np.array([run_summary.score(row, name)[1] for row in rows], np.float64)
    lines = [Curve("this run", steps, values, last=values[-1], style="o-")]

    # Draw the published ones beside them, if they are of the same images.
    if curves.are_published_of(run.model.image_size, run.model.number_classes):
        lines += charts.published(field)
        note += " The others are as published, of 50,000 images."

    newest_name, _ = run_summary.score(rows[-1], name)
    log = curves.spans_decades(values.tolist())
    return _figure(
        f"{name}{number}",
        score_title(newest_name),
        lines=lines,
        note=note,
        log=log,
        from_zero=not log,
    )
