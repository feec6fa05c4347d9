import io

import numpy as np
import pytest
from PIL import Image

from sagan_tf.images import grids


def test_grid_places_images_row_by_row():
    tiles = np.stack([np.full((2, 3, 3), i, np.uint8) for i in range(6)])
    picture = grids.grid(tiles, 2, columns=3)
    assert picture.shape == (4, 9, 3)
    np.testing.assert_array_equal(picture[::2, ::3, 0], [[0, 1, 2], [3, 4, 5]])


def test_grid_of_wrong_count_is_refused():
    with pytest.raises(ValueError, match="5 images do not fill a grid of 2 x 3"):
        grids.grid(np.zeros((5, 2, 2, 3), np.uint8), 2, columns=3)


@pytest.mark.parametrize(
    ("count", "expected"), [(64, (8, 8)), (12, (4, 3)), (7, (7, 1)), (1, (1, 1))]
)
def test_squarest_grid(count, expected):
    assert grids.squarest_grid(count) == expected


def test_sheet_has_names_left_and_above():
    """Two rows of three images of one grey each: 64 pixels and a gap of 2."""
    tiles = np.stack([np.full((32, 32, 3), 40 * i, np.uint8) for i in range(6)])
    sheet = grids.labelled_sheet(
        tiles,
        ["one", "a very long name, far longer than the margin is"],
        column_names=["a", "b", "c"],
    )
    height, width = sheet.shape[:2]
    left, top = width - 3 * 66, height - 2 * 66
    assert left == 120
    np.testing.assert_array_equal(
        sheet[top + 32 :: 66, left + 32 :: 66, 0], [[0, 40, 80], [120, 160, 200]]
    )
    assert (sheet[top:, :left] < 100).any()  # names
    assert (sheet[:top, left:] < 100).any()
    assert (sheet[:top, :left] == 255).all()
    assert (sheet[top:, left + 64 : left + 66] == 255).all()


def test_gif_shows_every_frame():
    frames = [np.full((16, 16, 3), value, np.uint8) for value in (0, 128, 255)]
    with Image.open(io.BytesIO(grids.animation_gif(frames, 0.1))) as gif:
        assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (3, 100, 0)
        for number, value in enumerate((0, 128, 255)):
            gif.seek(number)
            assert np.asarray(gif.convert("RGB"))[8, 8, 0] == value


def test_title_is_broken_where_the_picture_ends():
    """Lines of 16 pixels, a margin of 2 above and below, on white; the picture stays as it was."""
    picture = np.full((20, 120, 3), 9, np.uint8)
    one = grids.titled(picture, ["short"])
    assert one.shape == (20 + 16 + 4, 120, 3)
    np.testing.assert_array_equal(one[-20:], picture)
    assert one[:20].min() < 100 < one[:20, -2:].min()
    many = grids.titled(picture, ["short", "far too long for one line of this picture"])
    assert (many.shape[0] - 20 - 4) % 16 == 0
    assert many.shape[0] >= 20 + 4 + 3 * 16


def test_tiles_lie_in_rows_on_white():
    black = np.zeros((2, 3, 3), np.uint8)
    tall = np.full((4, 1, 3), 7, np.uint8)
    found = grids.tiled([[black, tall], [black]], gap=2)
    assert found.shape == (4 + 2 + 2, 3 + 2 + 1, 3)
    assert not found[:2, :3].any()
    assert not found[6:, :3].any()
    assert (found[:4, 5:] == 7).all()
    assert (found[2:6, :5] == 255).all()


def test_sheet_writes_a_name_of_two_lines_on_one():
    """A folder's name may have a line end, on which Pillow's layout fails."""
    tiles = np.zeros((1, 32, 32, 3), np.uint8)
    sheets = [grids.labelled_sheet(tiles, [name], column_names=[""]) for name in ("a\nb", "a b")]
    np.testing.assert_array_equal(*sheets)
