"""Charts of the report, with their order and notes, and the scores that they are of."""

import dataclasses
import types
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from sagan_tf.config import augmentation_names
from sagan_tf.evaluation import curves, protocol, tables
from sagan_tf.evaluation import rows as score_rows
from sagan_tf.runs import health
from sagan_tf.viewing import charts, run_summary, words
from sagan_tf.viewing.charts import COLOURS, GREY, Chart, Curve

_LAYER_POINTS = 150
_NAMED_LAYERS = 4
_LISTED = 50  # newest scores
_SEARCHED_ROWS = 50  # rows that are searched for names of layers
_SIGMA = (
    "What a weight is divided by: the estimate of its largest singular value. With "
    "--spectral_norm=at_most_one, weights outside attention are divided by it only above 1."
)
# A score, its field among the published points, what it is.
_SCORES = (
    ("fid", "fid", "Frechet distance of features to the real images'; lower is better."),
    ("incscore", "inception_score", "Inception Score, of one split; higher is better."),
)


class _Panel(NamedTuple):
    """Some quantities of the rows in one chart: title, note, log and from_zero are the chart's.

    Attributes:
      lines: name in the rows -> name in the legend.
      layers: what the names of all layers' sigma begin with, in place of `lines`.
      scale: values are multiplied by it.
      mark: a value to draw a line at, and what it is.
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
_G_LOSS = "G's loss is -mean D(generated)"
_CLASS_LOSSES = (
    "D's loss has the cross-entropy of the class of real and of generated images added, G's that "
    "of generated ones"
)

_PANELS_OF_LOSSES = [
    _Panel(
        "Parts of the discriminator's loss",
        "The two adversarial terms of the sum.",
        lines={"d_loss_real": "real images", "d_loss_fake": "generated images"},
    ),
    _Panel(
        "Logits",
        "Mean output of D over the batch; it tells them apart as far as they lie apart.",
        lines={"logit_real": "D(real)", "logit_fake": "D(generated)"},
    ),
    _Panel(
        "Gradient norms",
        "L2 norm of all gradients of a network that Adam took.",
        lines={"g_gradient_norm": "generator", "d_gradient_norm": "discriminator"},
        log=True,
    ),
]

_PANELS_OF_CLASSES = [
    _Panel(
        "Losses of the class",
        "Cross-entropy of the discriminator's classifier in nats, as D and G have it in their "
        "losses.",
        lines={
            "d_class_loss_real": "D, real images",
            "d_class_loss_fake": "D, generated images",
            "g_class_loss": "G, generated images",
        },
    ),
    _Panel(
        "Accuracy of the discriminator's classifier",
        "Images of the batch whose class it tells, in %. Of generated images, the class is the "
        "one that they were asked for.",
        lines={"class_accuracy_real": "real images", "class_accuracy_fake": "generated images"},
        scale=100.0,
        from_zero=True,
    ),
]

# Runs that augment otherwise do not lack it.
_ADAPTIVE = _Panel(
    "Adaptive augmentation",
    "p, the probability of each transformation of what D sees; r, the mean sign of D(real) "
    "over four steps, by which p is moved.",
    lines={"ada/p": "p", "ada/r": "r"},
)

_PANELS_OF_NETWORKS = [
    _Panel(
        "sigma_ratio",
        "The learned factor of attention, or of the residual block in its place: output = input + "
        "sigma_ratio * what the block computes. It begins at 0.",
        lines={
            "model/g_non_local/sigma_ratio": "generator",
            "model/d_non_local/sigma_ratio": "discriminator",
            "model/g_residual/sigma_ratio": "residual block of the generator",
            "model/d_residual/sigma_ratio": "residual block of the discriminator",
        },
    ),
    _Panel(
        "Largest singular value of normalised weights",
        "Of any W / sigma of the network; 1 where the estimate of sigma is exact. With "
        "--spectral_norm=at_most_one it may be less.",
        lines={
            "health/generator_largest_norm": "generator",
            "health/discriminator_largest_norm": "discriminator",
        },
        mark=(health.HIGH_NORM, "warning above"),
    ),
    _ADAPTIVE,
    _Panel("sigma of the layers of the generator", _SIGMA, layers="sigma/g_"),
    _Panel("sigma of the layers of the discriminator", _SIGMA, layers="sigma/d_"),
    _Panel(
        "Variety within a class",
        "Variance of pixels of samples of a class as a share of that of real images of a class, "
        "in %. 100 % is as varied as the real ones.",
        lines={health.RATIO: "generated images"},
        scale=100.0,
        mark=(100 * health.LOW_VARIETY_RATIO, "warning below"),
        from_zero=True,
    ),
    _Panel(
        "Variety of samples",
        "Variance of pixels within a class as a share of real images' variance over the "
        "whole set, in %.",
        lines={"health/variety_within_class": "generated images"},
        scale=100.0,
        mark=(100 * health.LOW_VARIETY, "older releases warned below"),
        from_zero=True,
    ),
]

_PANELS_OF_THE_MACHINE = [
    _Panel(
        "Speed",
        "Real images trained on per second since the row before.",
        lines={"images_per_second": "images/s"},
        from_zero=True,
    ),
    _Panel(
        "Input stall",
        "Share of the training time in which the loop waited for images.",
        lines={"input_stall": "% of the time"},
        scale=100.0,
        from_zero=True,
    ),
    _Panel(
        "Memory",
        "Main memory of the training process in MB, without that of devices.",
        lines={"memory_mb": "now", "peak_memory_mb": "at most so far"},
        from_zero=True,
    ),
]


def charts_of_run(run: run_summary.Run) -> tuple[list[Chart], list[str]]:
    """All that the rows of losses have recorded, a chart each.

    Returns:
      The charts, and the titles of those that nothing was recorded of.
    """
    # Say what the losses are; those of an AC-GAN have more parts.
    parts = [_G_LOSS, _LOSSES[run.train.loss_type]]
    of_losses = _PANELS_OF_LOSSES
    if run.model.has_classifier:
        parts.append(_CLASS_LOSSES)
        of_losses = [*_PANELS_OF_LOSSES, *_PANELS_OF_CLASSES]
    note = "; ".join(parts) + "."
    losses = _Panel("Losses", note, lines={"g_loss": "generator", "d_loss": "discriminator"})

    # Draw what was recorded.
    found = []
    missing = []
    for panel in [losses, *of_losses, *_PANELS_OF_NETWORKS, *_PANELS_OF_THE_MACHINE]:
        lines = _layer_lines(run.rows, panel.layers) if panel.layers else _lines(run.rows, panel)
        if lines:
            found.append(Chart(panel.title, panel.note, lines, panel.log, panel.from_zero))
        elif panel is not _ADAPTIVE or run.train.augment == augmentation_names.ADA:
            missing.append(panel.title)
    return found, missing


def _lines(rows: Sequence[dict[str, Any]], panel: _Panel) -> list[Curve]:
    """The curves of a panel; [] where none was recorded."""
    # Draw the quantities that were recorded.
    lines = []
    for (name, label), colour in zip(panel.lines.items(), COLOURS):
        steps, values = run_summary.column(rows, name)
        if len(steps):
            curve = charts.thin(label, steps, values=panel.scale * values)
            lines.append(curve._replace(colour=colour))

    # Draw the mark as long as the first of them.
    if lines and panel.mark:
        value, label = panel.mark
        ends = np.array([lines[0].steps[0], lines[0].steps[-1]])
        values = np.full(2, value)
        lines.append(Curve(label, ends, values, last=value, colour=GREY, style="--"))
    return lines


def _layer_lines(rows: Sequence[dict[str, Any]], beginning: str) -> list[Curve]:
    """sigma of every layer, the largest first; the legend names these, the others are thin."""
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

    # Tell the largest apart, and show and hide the others together.
    named = []
    for line, colour in zip(lines, COLOURS[:_NAMED_LAYERS]):
        named.append(line._replace(colour=colour))
    others = lines[_NAMED_LAYERS:]
    looks = {"colour": GREY, "width": 0.6, "group": f"the other {len(others)}"}
    return [*named, *(line._replace(**looks) for line in others)]


def scores_of(run: run_summary.Run, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page shows of the scores of one protocol; rows have steps ascending."""
    # Cite the newest checkpoint, and the best one if it is another.
    fids = [score_rows.value_of(row, score_rows.FID) for row in rows]
    best = rows[int(np.argmin(np.nan_to_num(fids, nan=np.inf)))]
    cited = {"Newest": rows[-1]}
    if best is not rows[-1]:
        cited["Best FID"] = best

    # Draw the curves, unless they are of a single step, and list the newest scores.
    record = rows[-1]["protocol"]
    by = record["classifier"].get("handle", "")
    return {
        "title": protocol.protocol_title(record),
        "classifier": protocol.classifier_title(record),
        "charts": _score_charts(run, rows, by) if len(rows) > 1 else [],
        "cited": {what: row.get("citation", "no citation") for what, row in cited.items()},
        "table": _score_table(rows[: -_LISTED - 1 : -1]),
    }


def _score_charts(run: run_summary.Run, rows: Sequence[dict[str, Any]], by: str) -> list[Chart]:
    """FID and IS against the step.

    Args:
      run: which the rows are of.
      rows: of one protocol, steps ascending.
      by: the classifier.
    """
    found = []
    for name, field, note in _SCORES:
        # Draw the run's own scores.
        steps = np.array([row["step"] for row in rows], np.float64)
        values = np.array([score_rows.value_of(row, name) for row in rows])
        lines = [Curve("this run", steps, values, last=values[-1], style="o-")]

        # Draw the published ones beside them, if they are of the same images.
        if curves.are_published_of(run.model.image_size, run.model.number_classes):
            lines += charts.published(field)
            note += " The others are as published, of 50,000 images."

        # Name it, and choose the axis.
        newest = score_rows.read_scores(rows[-1]).get(name) or score_rows.Score(name, np.nan)
        title = f"{tables.heading(newest)} by {by}"
        log = curves.spans_decades(values.tolist())
        found.append(Chart(title, note, lines, log, not log))
    return found


def _score_table(rows: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Heading and rows of all scores; "" where a row has none."""
    # Write each score, with its deviation or error.
    lines = []
    titles = {"step": "step"}
    for row in rows:
        texts = {"step": f"{row['step']:,}"}
        for name, score in score_rows.read_scores(row).items():
            spread = score.error if score.deviation is None else score.deviation
            texts[name] = f"{score.value:.5g}"
            if spread is not None:
                texts[name] += f" ± {spread:.2g}"
            # The number of images of intra-FID is that of the smallest class, another in each row.
            images = None if name == score_rows.INTRA_FID else score.images
            titles.setdefault(name, tables.column_title(dataclasses.replace(score, images=images)))
        lines.append(texts)

    # Lay them out.
    body = [[texts.get(name, "") for name in titles] for texts in lines]
    return [list(titles.values()), *body]
