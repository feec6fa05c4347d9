"""The largest batch that fits a device, by bisection over compilations."""

from collections.abc import Callable
from typing import Optional


def largest(fits: Callable[[int], bool], *, most: int) -> tuple[Optional[int], Optional[int]]:
    """The largest number that fits, if one less always fits too.

    It doubles from 1 until a number does not fit, then halves the gap until it is an eighth of what
    fits, so that few compilations are needed.

    Args:
      fits: whether a number does.
      most: the last number to try.
    Returns:
      The largest that fits (None: not even 1), and the smallest tried that does not (None: `most`
      fits).
    """
    # Double.
    good, tried = None, 1
    while fits(tried):
        good = tried
        if tried == most:
            return good, None
        tried = min(2 * tried, most)
    if good is None:
        return None, tried

    # Halve the gap.
    bad = tried
    while bad - good > max(1, good // 8):
        middle = (good + bad) // 2
        if fits(middle):
            good = middle
        else:
            bad = middle
    return good, bad
