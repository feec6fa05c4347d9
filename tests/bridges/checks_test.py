import numpy as np
import pytest

from sagan_tf.bridges import checks


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (7, 7),
        (7.0, 7),
        (np.int64(7), 7),
        (np.array([7]), 7),
        (0, 0),
        (None, None),
        (True, None),
        (-5, None),
        (7.5, None),
        (2**100, None),
        (float("nan"), None),
        ("7", None),
        (np.arange(2), None),
    ],
)
def test_steps(value, expected):
    assert checks.step_of(value) == expected
