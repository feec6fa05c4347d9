"""A click means the place under the pixel; where it looks is read off the attention."""

import numpy as np
import pytest

from sagan_tf import errors
from sagan_tf.viewing import explore_places


def attention(**rows):
    """Attention of a 4 x 4 map over its 2 x 2 keys: even, but for the rows that are given."""
    found = np.full((16, 4), 0.25, np.float32)
    for query, row in rows.items():
        found[int(query[1:])] = row
    return found


@pytest.mark.parametrize(
    ("x", "y", "query", "corners"),
    [
        (0, 0, 0, (0, 0, 8, 8)),
        (7.99, 8, 4, (0, 8, 8, 16)),
        (31, 0, 3, (24, 0, 32, 8)),
        (20.5, 31.9, 14, (16, 24, 24, 32)),
    ],
)
def test_pixel_is_of_the_place_that_covers_it(x, y, query, corners):
    """32 pixels over 4 places: 8 pixels each."""
    look = explore_places.look(attention(), x, y, image_size=32)
    assert (look.query, look.side, look.corners) == (query, 4, corners)
    assert explore_places.middle_of(look) == f"{corners[0] + 4},{corners[1] + 4}"


def test_weights_are_those_of_the_place_and_keys_are_in_falling_order():
    shares = [0.1, 0.6, 0.05, 0.25]
    look = explore_places.look(attention(q6=shares), 17, 9, image_size=32)
    np.testing.assert_allclose(look.weights, [[0.1, 0.6], [0.05, 0.25]])
    assert [key[:2] for key in look.strongest] == [(0, 1), (1, 1), (0, 0), (1, 0)]
    np.testing.assert_allclose([key[2] for key in look.strongest], [0.6, 0.25, 0.1, 0.05])
    assert look.times_even == pytest.approx(2.4)
    assert not look.is_even
    # 0.25 is even, 0.6 the strongest.
    np.testing.assert_allclose(look.heat, [[0, 1], [0, 0]], atol=1e-6)


def test_even_place_has_no_heat():
    look = explore_places.look(attention(q0=[0.3, 0.25, 0.25, 0.2]), 0, 0, image_size=32)
    assert look.is_even
    assert look.times_even == pytest.approx(1.2)
    np.testing.assert_array_equal(look.heat, np.zeros((2, 2)))


def test_first_place_is_the_most_concentrated():
    found = attention(q3=[0.5, 0.5, 0, 0], q9=[0, 0.9, 0.1, 0])
    assert explore_places.first_query(found) == 9


@pytest.mark.parametrize("pixel", [(-0.1, 0), (0, 32), (float("nan"), 1)])
def test_pixel_outside_is_refused(pixel):
    with pytest.raises(errors.UserError, match=r"is not in the image; .* from 0,0 to 31,31"):
        explore_places.look(attention(), *pixel, image_size=32)
