"""Charts of the report."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf.evaluation import curves
from sagan_tf.runs import health
from sagan_tf.viewing import charts as viewing_charts
from sagan_tf.viewing import html, run_summary, words

_LAYER_POINTS, _NAMED_LAYERS = 150, 4
_GREY = "#888888"
EVENTS, SCORES = 200, 50  # newest ones that are listed


def score_title(name: str) -> str:
    """As people write it: "FID5k" for "fid5k", "IS" for "incscore"."""
    return name.replace("fid", "FID").replace("incscore", "IS")


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
    "kl_loss": "D's loss is mean softplus(-D(real)) + mean softplus(D(generated))",
}


def _chart_list(run: run_summary.Run) -> list[_Chart]:
    loss = _LOSSES[run.train.loss_type]
    return [
        _Chart(
            "Losses",
            {"g_loss": "generator", "d_loss": "discriminator"},
            f"G's loss is -mean D(generated); {loss}.",
        ),
        _Chart(
            "Parts of the discriminator's loss",
            {"d_loss_real": "real images", "d_loss_fake": "generated images"},
            "The two terms of the sum.",
        ),
        _Chart(
            "Logits",
            {"logit_real": "D(real)", "logit_fake": "D(generated)"},
            "Mean output of D over the batch; it tells them apart as far as they lie apart.",
        ),
        _Chart(
            "Gradient norms",
            {"g_gradient_norm": "generator", "d_gradient_norm": "discriminator"},
            "L2 norm of all gradients of a network that Adam took.",
            log=True,
        ),
        _Chart(
            "sigma_ratio",
            {
                "model/g_non_local/sigma_ratio": "generator",
                "model/d_non_local/sigma_ratio": "discriminator",
            },
            "The learned factor of attention: output = input + sigma_ratio * attention. It "
            "begins at 0.",
        ),
        _Chart(
            "Largest singular value of normalised weights",
            {
                "health/generator_largest_norm": "generator",
                "health/discriminator_largest_norm": "discriminator",
            },
            "Of any W / sigma of the network; 1 where the estimate of sigma is exact.",
            mark=(health.HIGH_NORM, "warning above"),
        ),
        _Chart(
            "Variety of samples",
            {"health/variety_within_class": "generated images"},
            "Variance of pixels within a class as a share of real images' variance over the "
            "whole set, in %.",
            scale=100.0,
            mark=(100 * health.LOW_VARIETY, "warning below"),
            from_zero=True,
        ),
        _Chart(
            "Speed",
            {"images_per_second": "images/s"},
            "Real images trained on per second since the row before.",
            from_zero=True,
        ),
        _Chart(
            "Input stall",
            {"input_stall": "% of the time"},
            "Share of the training time in which the loop waited for images.",
            scale=100.0,
            from_zero=True,
        ),
        _Chart(
            "Memory",
            {"memory_mb": "now", "peak_memory_mb": "at most so far"},
            "Main memory of the training process in MB, without that of devices.",
            from_zero=True,
        ),
    ]


def charts_of_run(run: run_summary.Run) -> list[str]:
    if not run.rows:
        return [html.paragraph("No row of losses has been recorded yet.")]
    charts = [(chart, _lines(run.rows, chart)) for chart in _chart_list(run)]
    for letter, network in (("d", "discriminator"), ("g", "generator")):  # each goes before it
        chart = _Chart(
            f"sigma of the layers of the {network}",
            {},
            "What a weight is divided by: the estimate of its largest singular value.",
        )
        charts.insert(6, (chart, _layer_lines(run.rows, f"sigma/{letter}_")))
    found = [
        _figure(
            f"chart{number}",
            chart.title,
            lines,
            chart.note,
            log=chart.log,
            from_zero=chart.from_zero,
        )
        for number, (chart, lines) in enumerate(charts)
        if lines
    ]
    missing = [chart.title for chart, lines in charts if not lines]
    return [
        html.paragraph(
            f"{len(run.rows):,} rows up to step {run.rows[-1]['step']:,}, each of the values at "
            f"its step; numbers are the newest values. More than {viewing_charts.MAX_POINTS} rows are "
            "drawn as means of neighbours, with the range of these behind them."
        ),
        '<div class="charts">' + "\n".join(found) + "</div>",
        html.paragraph(f"Not recorded: {', '.join(missing)}.") if missing else "",
    ]


def _lines(rows: Sequence[dict[str, Any]], chart: _Chart) -> list[viewing_charts.Curve]:
    """The curves of a panel; [] where none was recorded."""
    lines = []
    for (name, label), colour in zip(chart.lines.items(), viewing_charts.COLOURS):
        steps, values = run_summary.column(rows, name)
        if len(steps):
            lines.append(
                viewing_charts.thin(label, steps, chart.scale * values)._replace(colour=colour)
            )
    if lines and chart.mark:
        value, label = chart.mark
        ends = np.array([lines[0].steps[0], lines[0].steps[-1]])
        lines.append(
            viewing_charts.Curve(
                label, ends, np.full(2, value), last=value, colour=_GREY, style="--"
            )
        )
    return lines


def _layer_lines(rows: Sequence[dict[str, Any]], beginning: str) -> list[viewing_charts.Curve]:
    """sigma of every layer, the largest first; these have names, the others are thin and grey."""
    names = dict.fromkeys(
        name for row in words.spread(rows, 50) for name in row if name.startswith(beginning)
    )
    lines = [
        viewing_charts.thin(name[len("sigma/") :], *run_summary.column(rows, name), _LAYER_POINTS)
        for name in names
    ]
    lines.sort(key=lambda line: -np.nan_to_num(line.last, nan=-np.inf))
    named = [
        line._replace(low=None, high=None, colour=colour)
        for line, colour in zip(lines[:_NAMED_LAYERS], viewing_charts.COLOURS)
    ]
    others = [
        line._replace(low=None, high=None, label="", colour=_GREY, width=0.6)
        for line in lines[_NAMED_LAYERS:]
    ]
    if others:
        others[0] = others[0]._replace(label=f"the other {len(others)}", last=np.nan)
    return named + others


def _figure(
    name: str, title: str, lines: Sequence[viewing_charts.Curve], note: str, **options
) -> str:
    """A panel with its legend, which gives the newest values."""
    legend = "".join(_legend_entry(line) for line in lines if line.label)
    svg = viewing_charts.draw_svg(lines, name, **options)
    svg = svg.replace("<svg", f'<svg role="img" aria-label="{html.text(title)}"', 1)
    return (
        f'<figure class="chart"><h3>{html.text(title)}</h3>'
        f'<ul class="legend">{legend}</ul>{svg}'
        f"<figcaption>{html.text(note)}</figcaption></figure>"
    )


def _legend_entry(line: viewing_charts.Curve) -> str:
    last = f" <b>{words.number(line.last)}</b>" if np.isfinite(line.last) else ""
    return f'<li><i style="background:{line.colour}"></i>{html.text(line.label)}{last}</li>'


def score_chart(
    run: run_summary.Run, rows: list[dict[str, Any]], name: str, field: str, note: str, number: int
) -> str:
    points = [(row["step"], run_summary.score(row, name)[1]) for row in rows]
    steps, values = np.array(points, np.float64).T
    lines = [viewing_charts.Curve("this run", steps, values, last=values[-1], style="o-")]
    if curves.are_published_of(run.model.image_size, run.model.number_classes):
        lines += viewing_charts.published(field)
        note += " The others are as published, of 50,000 images."
    log = curves.spans_decades(values.tolist())
    return _figure(
        f"{name}{number}",
        score_title(run_summary.score(rows[-1], name)[0]),
        lines,
        note,
        log=log,
        from_zero=not log,
    )
