"""Curves of scores, and what the paper published beside them."""

import numpy as np
import pytest

from sagan_tf.evaluation import curves
from sagan_tf.images import pixels as images_pixels


def test_published_points_belong_to_the_papers_size_and_classes():
    assert curves.are_published_of(128, 1000)
    assert not curves.are_published_of(128, 10)
    assert not curves.are_published_of(64, 1000)


def test_values_over_decades_are_told():
    assert curves.spans_decades([700.0, 30.0, 2.0])
    assert not curves.spans_decades([70.0, 30.0, 2.0])
    assert not curves.spans_decades([0.0, float("nan"), 1.0, 40.0, 2.0])
    assert not curves.spans_decades([700.0, 2.0])


@pytest.mark.parametrize("published", [False, True])
def test_curves_show_the_run_in_blue(published):
    points = [curves.Point(1000 * i, 10.0 * i, 100.0 / i) for i in (3, 1, 2)]
    picture = images_pixels.decode_png(curves.draw(points, "a run", published=published)).astype(
        int
    )
    assert picture.shape == (450, 1100, 3)

    def pixels(colour):
        return (np.abs(picture - colour).max(-1) < 40).sum()

    assert pixels((31, 119, 180)) > 500  # matplotlib's tab:blue
    assert (pixels((255, 127, 14)) > 50) == published  # tab:orange: the paper's star
