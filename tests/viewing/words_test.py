"""Numbers and durations as people read them."""

import pytest

from sagan_tf.viewing import words


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, [9]),
        (2, [0, 9]),
        (3, [0, 4, 9]),
        (4, [0, 3, 6, 9]),
        (10, list(range(10))),
        (99, list(range(10))),
    ],
)
def test_spread_has_the_first_and_the_last(count, expected):
    assert words.spread(list(range(10)), count) == expected


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (4.4, "4 s"),
        (90, "2 min"),
        (3540, "59 min"),
        (3600, "1 h 0 min"),
        (86_399, "1 d 0 h"),
        (90_000, "1 d 1 h"),
        (1_209_600, "14 d 0 h"),
    ],
)
def test_span_is_told_in_two_units(seconds, text):
    assert words.span(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (-9999.4, "-9999"),
        (12_345.6, "12,346"),
        (1e-7, "1e-07"),
        (1e12, "1e+12"),
    ],
)
def test_large_numbers_keep_their_digits(value, text):
    assert words.number(value) == text
