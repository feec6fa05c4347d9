"""Numbers, times and durations in words."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly, the first and the last among them; of one the last."""
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[-1]]
    return [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


def is_number(value: Any) -> bool:
    """Whether something that JSON held is a number; NaN and infinity are."""
    # JSON knows whole numbers that are too large for any other type.
    return isinstance(value, float) or (
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1e300
    )


def is_finite(value: Any) -> bool:
    """Whether it is a number, and not one of those."""
    return is_number(value) and bool(np.isfinite(value))


def moment(seconds: Any) -> str:
    """A time in seconds since 1970 for people."""
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (ValueError, TypeError, OverflowError, OSError):
        return "at an unknown time"


def number(value: float) -> str:
    """A number in four digits, or all of a larger one that are before the point."""
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{round(seconds)} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes // 1440} d {minutes // 60 % 24} h"
