import numpy as np
import pytest

from sagan_tf.images import attention_places

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
    assert attention_places.query_at(x, y, image_size=SIZE, side=SIDE) == query


def test_centre_of_a_place():
    assert attention_places.centre_of(6, SIZE, side=SIDE) == (20, 12)
    assert (
        attention_places.query_at(
            *attention_places.centre_of(6, SIZE, side=SIDE), image_size=SIZE, side=SIDE
        )
        == 6
    )


def test_most_spread_are_those_of_the_largest_entropy_apart_from_each_other():
    found = planted(0, 0)
    found[[0, 1, 15]] = 0.25  # uniform: the largest entropy
    found[3] = [0.4, 0.3, 0.2, 0.1]  # less
    found[12] = [0.7, 0.1, 0.1, 0.1]  # still less
    assert attention_places.most_spread(found, 3) == [0, 1, 15]
    # On a larger map neighbours of a place that was chosen are passed over.
    wide = np.zeros((64, 16), np.float32)
    wide[:, 0] = 1
    wide[[0, 1, 8, 9]] = 1 / 16
    wide[63] = [0.9] + [0.1 / 15] * 15
    assert attention_places.most_spread(wide, 2) == [0, 63]


def test_times_even_is_one_for_even_and_the_number_of_keys_for_one_key():
    np.testing.assert_allclose(attention_places.times_even(np.full((3, 16), 1 / 16)), [1, 1, 1])
    np.testing.assert_allclose(attention_places.times_even(planted(0, 1)), [4] * 16)


def test_most_concentrated_have_the_strongest_keys_apart_from_each_other():
    """On a map of 8 x 8 places; places within a third of its side are passed over."""
    found = np.full((64, 16), 1 / 16)
    for place, share in ((0, 0.9), (1, 0.8), (9, 0.7), (7, 0.6), (36, 0.5), (63, 0.2)):
        found[place] = (1 - share) / 15
        found[place, 3] = share
    assert attention_places.most_concentrated(found, 4) == [0, 7, 36, 63]


def test_queries_of_even_attention_are_a_grid():
    noise = np.random.default_rng(0).uniform(0.8, 1.2, (64, 16))
    noise /= noise.sum(axis=1, keepdims=True)
    for attention in (np.full((64, 16), 1 / 16), noise):
        found = attention_places.most_concentrated(attention, 4)
        assert found == attention_places.queries_in_grid(4, 8)


def test_strongest_leaves_out_what_is_nearly_even():
    """Of 16 keys: 2 times even, then 1.6 and 1.4."""
    weights = np.full((4, 4), 11 / 13 / 16)
    weights[0, 0], weights[3, 3], weights[0, 3] = 2 / 16, 1.6 / 16, 1.4 / 16
    assert attention_places.strongest(weights, 3) == [(0, 0), (3, 3)]


def test_strongest_leaves_out_neighbours_and_weak_places():
    weights = np.zeros((4, 4))
    weights[0, 0], weights[0, 1], weights[3, 3], weights[0, 3] = 0.5, 0.3, 0.26, 0.1
    assert attention_places.strongest(weights, 3) == [(0, 0), (3, 3)]
    assert attention_places.strongest(weights, 1) == [(0, 0)]


def test_queries_in_a_grid_are_even():
    assert attention_places.queries_in_grid(4, 8) == [2 * 8 + 2, 2 * 8 + 6, 6 * 8 + 2, 6 * 8 + 6]
    assert attention_places.queries_in_grid(1, 8) == [4 * 8 + 4]
