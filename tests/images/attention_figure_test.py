import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf.gan import non_local
from sagan_tf.images import attention_figure

# A map of 4 x 4 places over an image of 32 pixels: places of 8 pixels, keys of 16.
SIDE, SIZE = 4, 32


def planted(row: int, column: int) -> np.ndarray:
    """Attention of every place to one key, [16, 4]."""
    found = np.zeros((SIDE * SIDE, 4), np.float32)
    found[:, 2 * row + column] = 1
    return found


@pytest.mark.parametrize(
    ("x", "y", "query"), [(0, 0, 0), (7.9, 7.9, 0), (8, 0, 1), (0, 8, 4), (31, 31, 15), (20, 9, 6)]
)
def test_query_is_the_place_under_the_pixel(x, y, query):
    assert attention_figure.query_at(x, y, image_size=SIZE, side=SIDE) == query


def test_centre_of_a_place():
    assert attention_figure.centre_of(6, SIZE, side=SIDE) == (20, 12)
    assert (
        attention_figure.query_at(
            *attention_figure.centre_of(6, SIZE, side=SIDE), image_size=SIZE, side=SIDE
        )
        == 6
    )


@pytest.mark.parametrize("smooth", [True, False])
@pytest.mark.parametrize(("row", "column"), [(0, 0), (0, 1), (1, 0), (1, 1)])
def test_planted_attention_lands_on_the_pixels_of_its_key(row, column, smooth):
    (weights,) = attention_figure.maps_of(planted(row, column), [5])
    pixels = attention_figure.upsample(weights, SIZE, smooth=smooth)
    assert pixels.shape == (SIZE, SIZE)
    inside = np.zeros((SIZE, SIZE), bool)
    inside[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = True
    np.testing.assert_allclose(pixels[16 * row + 8, 16 * column + 8], 1, atol=0.1)
    assert pixels[~inside].max() <= (0.47 if smooth else 0)  # half a pixel beyond half the way
    assert smooth or pixels[inside].min() == 1


def test_strong_feature_in_the_layer_lands_on_its_pixels():
    """A map of 8 x 8 places over 64 pixels; the feature at row 5, column 2 answers all queries."""
    block = non_local.NonLocalBlock()
    block.build((1, 8, 8, 8))
    one_channel = np.zeros((1, 1, 8, 1), np.float32)
    one_channel[0, 0, 0, 0] = 1
    for conv in (block.theta, block.phi):
        conv.weight.assign(one_channel)
        conv.settle()
    x = np.ones((1, 8, 8, 8), np.float32)
    x[0, 5, 2, 0] = 20
    _, found = block(tf.constant(x), return_attention=True)
    (weights,) = attention_figure.maps_of(found[0].numpy(), [0])
    assert weights.sum() == pytest.approx(1)
    bright = attention_figure.upsample(weights, 64, smooth=False) > 0.99
    expected = np.zeros((64, 64), bool)
    expected[32:48, 16:32] = True  # rows 4 and 5, columns 2 and 3 of the map, pooled to one key
    np.testing.assert_array_equal(bright, expected)
    assert attention_figure.strongest(weights, 3) == [(2, 1)]


def test_most_spread_are_those_of_the_largest_entropy_apart_from_each_other():
    found = planted(0, 0)
    found[[0, 1, 15]] = 0.25  # uniform: the largest entropy
    found[3] = [0.4, 0.3, 0.2, 0.1]  # less
    found[12] = [0.7, 0.1, 0.1, 0.1]  # still less
    assert attention_figure.most_spread(found, 3) == [0, 1, 15]
    # On a larger map neighbours of a place that was chosen are passed over.
    wide = np.zeros((64, 16), np.float32)
    wide[:, 0] = 1
    wide[[0, 1, 8, 9]] = 1 / 16
    wide[63] = [0.9] + [0.1 / 15] * 15
    assert attention_figure.most_spread(wide, 2) == [0, 63]


def test_strongest_leaves_out_neighbours_and_weak_places():
    weights = np.zeros((4, 4))
    weights[0, 0], weights[0, 1], weights[3, 3], weights[0, 3] = 0.5, 0.3, 0.26, 0.1
    assert attention_figure.strongest(weights, 3) == [(0, 0), (3, 3)]
    assert attention_figure.strongest(weights, 1) == [(0, 0)]


def test_queries_in_a_grid_are_even():
    assert attention_figure.queries_in_grid(4, 8) == [2 * 8 + 2, 2 * 8 + 6, 6 * 8 + 2, 6 * 8 + 6]
    assert attention_figure.queries_in_grid(1, 8) == [4 * 8 + 4]


def test_figure_shows_the_image_and_the_map():
    """Blue image; a sharp map in its lower right quarter: that quarter of the second picture is the
    brightest."""
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[..., 2] = 200
    panel = attention_figure.Panel(image, "a\nb", [0], attention_figure.maps_of(planted(1, 1), [0]))
    figure = attention_figure.draw([panel] * 2, "title", arrows=0, smooth=False)
    with Image.open(io.BytesIO(figure)) as png:
        pixels = np.asarray(png.convert("RGB")).astype(int)
    blue = (pixels == [0, 0, 200]).all(axis=2)
    rows, columns = np.nonzero(blue)
    side = columns.max() - columns.min()
    assert side > 100
    assert rows.max() - rows.min() > 2 * side  # two panels, one below the other
    # The map stands right of the image, as large as it; its lower right quarter glows.
    yellow = (pixels[..., 0] > 200) & (pixels[..., 1] > 200) & (pixels[..., 2] < 170)
    ys, xs = np.nonzero(yellow[:, columns.max() + 5 :])
    assert len(ys) > 0.2 * side**2
    upper = ys[ys < rows.min() + side + 5]
    assert upper.min() == pytest.approx(rows.min() + side / 2, abs=6)
    assert xs.max() - xs.min() == pytest.approx(side / 2, abs=6)
