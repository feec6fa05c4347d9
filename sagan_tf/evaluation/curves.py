"""Scores against the step, beside the published points, as a PNG."""

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

    points = sorted(points)
    canvas = figure.Figure(figsize=(11, 4.5), layout="constrained")
    canvas.suptitle(title, fontsize=10)
    for axes, name, field in zip(
        canvas.subplots(1, 2),
        ("FID (lower is better)", "Inception Score (higher is better)"),
        ("fid", "inception_score"),
    ):
        axes.plot(
            [p.step for p in points],
            [getattr(p, field) for p in points],
            "o-",
            color="tab:blue",
            markersize=4,
            label="this run",
        )
        if published:
            axes.plot(
                [p.step for p in TFGAN],
                [getattr(p, field) for p in TFGAN],
                "s--",
                color="tab:gray",
                markersize=4,
                label="TF-GAN's example",
            )
            for (label, point), colour in zip(PAPER.items(), ("tab:orange", "tab:red")):
                axes.plot(
                    point.step, getattr(point, field), "*", color=colour, markersize=11, label=label
                )
        axes.set_xlabel("step")
        axes.set_ylabel(name)
        if spans_decades([getattr(p, field) for p in points]):
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    buffer = io.BytesIO()
    canvas.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def spans_decades(values: Sequence[float]) -> bool:
    """Whether the later of some values would lie on the axis, did it begin at 0."""
    good = [value for value in values if 0 < value < LARGEST]
    return len(good) > 2 and max(good) > 50 * min(good)


def are_published_of(image_size: int, number_classes: int) -> bool:
    """Whether the paper's points and TF-GAN's are of such images: ImageNet at 128 px."""
    return image_size == 128 and number_classes == 1000
