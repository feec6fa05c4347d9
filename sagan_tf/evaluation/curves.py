"""Curves of scores against the step, beside the published points, as a PNG."""

import io
from collections.abc import Sequence
from typing import NamedTuple

LARGEST = 1e30  # Beyond it axes overflow; no number of a run that is well is near it.


class Point(NamedTuple):
    """Scores of one checkpoint."""

    step: int
    inception_score: float
    fid: float


# ImageNet at 128 px. The paper's are after about a million iterations (tables 1 and 2: attention on
# the 32x32 and on the 64x64 map); TF-GAN's are those of its example, read off its published curve.
PAPER = {
    "paper, attention at 32": Point(1_000_000, 51.43, 18.28),
    "paper, attention at 64": Point(1_000_000, 52.52, 18.65),
}
TFGAN = (
    Point(100_000, 22, 40),
    Point(200_000, 28, 33),
    Point(450_000, 37, 25),
    Point(1_000_000, 49, 19),
    Point(1_800_000, 54, 17),
)


def draw(points: Sequence[Point], title: str, *, published: bool) -> bytes:
    """A PNG of two panels, FID and IS against the step.

    Args:
      points: of the run, in any order.
      title: above the panels; what the scores are of.
      published: whether to show the paper's points and TF-GAN's, which are of ImageNet at 128 px.
    """
    from matplotlib import figure  # slow to import, and needed here only

    # Make two panels.
    points = sorted(points)
    canvas = figure.Figure(figsize=(11, 4.5), layout="constrained")
    canvas.suptitle(title, fontsize=10)
    fid_axes, inception_score_axes = canvas.subplots(1, 2)

    # Draw the scores.
    _draw_panel(fid_axes, points, "fid", published=published)
    _draw_panel(inception_score_axes, points, "inception_score", published=published)
    fid_axes.set_ylabel("FID (lower is better)")
    inception_score_axes.set_ylabel("Inception Score (higher is better)")

    # Make a PNG of them.
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _draw_panel(axes, points: Sequence[Point], field: str, *, published: bool) -> None:
    """One score of the points against the step."""
    # Draw the run, and what was published.
    _draw_points(axes, points, field, "o-", color="tab:blue", markersize=4, label="this run")
    if published:
        _draw_points(
            axes, TFGAN, field, "s--", color="tab:gray", markersize=4, label="TF-GAN's example"
        )
        for (label, point), colour in zip(PAPER.items(), ("tab:orange", "tab:red")):
            _draw_points(axes, [point], field, "*", color=colour, markersize=11, label=label)

    # Choose the axes.
    axes.set_xlabel("step")
    if spans_decades([getattr(point, field) for point in points]):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)


def _draw_points(axes, points: Sequence[Point], field: str, style: str, **options) -> None:
    steps = [point.step for point in points]
    values = [getattr(point, field) for point in points]
    axes.plot(steps, values, style, **options)


def spans_decades(values: Sequence[float]) -> bool:
    """Whether the later of some values would lie on the axis, did it begin at 0."""
    good = [value for value in values if 0 < value < LARGEST]
    return len(good) > 2 and max(good) > 50 * min(good)


def are_published_of(image_size: int, number_classes: int) -> bool:
    """Whether the paper's points and TF-GAN's are of such images: ImageNet at 128 px."""
    return image_size == 128 and number_classes == 1000
