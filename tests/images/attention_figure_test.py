import io

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import text
from matplotlib.backends import backend_agg
from PIL import Image

from sagan_tf.gan import non_local
from sagan_tf.images import attention_figure, attention_places

# A map of 4 x 4 places over an image of 32 pixels: places of 8 pixels, keys of 16.
SIDE, SIZE = 4, 32


def planted(row: int, column: int) -> np.ndarray:
    """Attention of every place to one key, [16, 4]."""
    found = np.zeros((SIDE * SIDE, 4), np.float32)
    found[:, 2 * row + column] = 1
    return found


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
    assert attention_places.strongest(weights, 3) == [(2, 1)]


def test_panel_has_the_most_concentrated_places():
    found = np.full((64, 16), 1 / 16)
    for place, share in ((0, 0.9), (7, 0.6), (36, 0.5)):
        found[place] = (1 - share) / 15
        found[place, 3] = share
    panel = attention_figure.panel(np.zeros((32, 32, 3)), "", attention=found, count=3)
    assert panel.queries == [0, 7, 36]
    np.testing.assert_allclose(panel.maps.max(axis=(1, 2)), [0.9, 0.6, 0.5])


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


def shown(weights, **options):
    """A map of 4 x 4 keys over a bright red image: pixels, arrows, other texts, what is below it.

    Its query is the place (1, 1) of 8 x 8.
    """
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    image[..., 0] = 250
    panel = attention_figure.Panel(image, "red", [9], weights.reshape(1, 4, 4))
    canvas = attention_figure.lay_out([panel], "title", smooth=False, **options)
    axes = canvas.axes[1]
    arrows = [one for one in axes.texts if isinstance(one, text.Annotation)]
    words = [one.get_text() for one in axes.texts if one not in arrows]
    return axes.images[0].get_array(), arrows, words, axes.get_xlabel()


def coloured(pixels) -> np.ndarray:
    """Where a picture is not grey."""
    return np.ptp(pixels.astype(int), axis=-1) > 0


def with_strongest(times: float) -> np.ndarray:
    """A map of 16 keys, of which one has so many times the even share."""
    weights = np.full(16, (16 - times) / 15 / 16)
    weights[6] = times / 16
    return weights


NOISE = np.random.default_rng(0).permutation(np.linspace(0.8, 1.2, 16)) / 16


@pytest.mark.parametrize(
    ("weights", "below"),
    [
        (np.full(16, 1 / 16), "1.00 times even (6.2 %)"),
        (NOISE, "1.20 times even (7.5 %)"),
        (with_strongest(1.49), "1.49 times even (9.3 %)"),
    ],
    ids=["exactly even", "noisy", "nearly 1.5"],
)
def test_even_attention_is_grey_without_arrows_and_says_so(weights, below):
    pixels, arrows, words, label = shown(weights)
    assert not coloured(pixels).any()
    assert (arrows, words, label) == ([], ["even"], below)


@pytest.mark.parametrize(
    ("times", "below"),
    [
        (1.52, "1.52 times even (9.5 %)"),
        (8, "8 times even (50 %)"),
        (15.2, "15 times even (95 %)"),
        (16, "16 times even (100 %)"),
    ],
)
def test_peaked_attention_is_coloured_where_it_is_above_even(times, below):
    pixels, arrows, words, label = shown(with_strongest(times))
    expected = np.zeros((256, 256), bool)
    expected[64:128, 128:192] = True  # Key 6 of 4 x 4: row 1, column 2.
    np.testing.assert_array_equal(coloured(pixels), expected)
    assert (words, label) == ([], below)

    # From the middle of the place (1, 1) to that of the key.
    (arrow,) = arrows
    assert arrow.xyann == (48, 48)
    assert arrow.xy == (160, 96)


def test_keys_at_the_even_share_have_no_colour():
    """A quarter for one key, a little more than even for another, and even for the third."""
    weights = np.full(16, (1 - 0.25 - 0.07 - 1 / 16) / 13)
    weights[[0, 5, 15]] = 0.25, 0.07, 1 / 16
    pixels, *_ = shown(weights)
    keys = coloured(pixels).reshape(4, 64, 4, 64).mean(axis=(1, 3)).reshape(-1)
    np.testing.assert_array_equal(keys, [1, 0, 0, 0, 0, 1, *[0] * 10])


def test_arrows_can_be_left_out():
    assert not shown(with_strongest(8), arrows=0)[1]


LONG_TITLE = attention_figure.title_of("discriminator", 1000000, sigma_ratio=-0.47, share=0.005)


def even_panel(caption, queries) -> attention_figure.Panel:
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    maps = np.full((queries, 4, 4), 1 / 16)
    return attention_figure.Panel(image, caption, list(range(queries)), maps)


def test_card_has_larger_letters_and_no_legend():
    page = attention_figure.lay_out([even_panel("", 2)], "title")
    card = attention_figure.lay_out([even_panel("", 2)], "title", layout=attention_figure.CARD)
    assert "each of the 16 keys 6.25" in page.get_supxlabel()
    assert card.get_supxlabel() == ""
    assert card.axes[1].get_xlabel() == "1.00 times even\n(6.2 %)"

    # On TensorBoard's cards, 360 pixels wide and 215 high; 72 points are an inch.
    scale = min(360 / card.get_figwidth(), 215 / card.get_figheight())
    assert card.axes[1].xaxis.label.get_fontsize() / 72 * scale > 11


@pytest.mark.parametrize("caption", ["7", "soft-coated wheaten terrier\nseed 12"])
@pytest.mark.parametrize(
    ("layout", "queries"),
    [(attention_figure.PAGE, 1), (attention_figure.PAGE, 4), (attention_figure.CARD, 2)],
    ids=["one query", "four", "card"],
)
def test_all_text_is_within_the_figure(layout, queries, caption):
    panels = [even_panel(caption, queries)] * (3 - layout.lines)
    canvas = attention_figure.lay_out(panels, LONG_TITLE, layout=layout)
    assert " ".join(canvas.get_suptitle().split()) == LONG_TITLE
    backend_agg.FigureCanvasAgg(canvas).draw()
    for one in canvas.findobj(text.Text):
        if one.get_text():
            box = one.get_window_extent()
            assert min(box.x0, box.y0) > -1, one
            assert box.x1 < canvas.bbox.x1 + 1, one
            assert box.y1 < canvas.bbox.y1 + 1, one


def test_title_says_how_strongly_attention_acts():
    title = attention_figure.title_of("generator", 5, sigma_ratio=0.123456, share=0.1234)
    assert title == (
        "attention of the generator, step 5, sigma_ratio 0.1235, adds 12 % to the features"
    )
    title = attention_figure.title_of("discriminator", 5, sigma_ratio=0.1, share=0.0099)
    assert title.endswith(", adds 0.99 % to the features, hardly acts")
    # What rounds to the limit is not written as the limit.
    title = attention_figure.title_of("generator", 7, sigma_ratio=0.1, share=0.00999)
    assert title.endswith(", adds 0.99 % to the features, hardly acts")
    assert "it adds 0.99 % to" in attention_figure.remark_on(0.00999)
    title = attention_figure.title_of("generator", 0, sigma_ratio=0, share=0)
    assert title == "attention of the generator, step 0, sigma_ratio 0, not used yet"


def test_remark_is_for_less_than_one_percent():
    assert attention_figure.remark_on(0.01) == ""
    assert "it adds 0.99 % to the features" in attention_figure.remark_on(0.0099)
