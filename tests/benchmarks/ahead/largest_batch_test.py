"""The search for the largest batch."""

import pytest

from sagan_tf.benchmarks.ahead import largest_batch


@pytest.mark.parametrize(
    ("limit", "most", "found"),
    [
        (0, 64, (None, 1)),
        (1, 64, (1, 2)),
        (5, 64, (5, 6)),
        (64, 64, (64, None)),
        (1000, 64, (64, None)),
        # Within an eighth.
        (47, 64, (44, 48)),
    ],
)
def test_largest(limit, most, found):
    tried = []

    def fits(number):
        tried.append(number)
        return number <= limit

    assert largest_batch.largest(fits, most=most) == found
    assert len(tried) == len(set(tried)) <= 11
