"""Words for people: numbers, times and durations as text, and lines on a stream."""

import functools
import time
from collections.abc import Callable, Sequence
from typing import Any, Optional, TextIO

import numpy as np


def printer(stream: Optional[TextIO] = None) -> Callable[[str], None]:
    """A function that writes a line at once; without a stream, to standard output."""
    return functools.partial(print, file=stream, flush=True)


def spread(items: Sequence[Any], count: int) -> list[Any]:
    """At most `count` of the items, evenly, the first and the last among them; of one the last."""
    if len(items) <= count:
        return list(items)
    if count == 1:
        return [items[-1]]
    last = len(items) - 1
    return [items[i * last // (count - 1)] for i in range(count)]


def is_number(value: Any) -> bool:
    """Whether something that JSON held is a number; NaN and infinity are."""
    if isinstance(value, float):
        return True

    # JSON knows whole numbers that are too large for any other type.
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    return is_integer and abs(value) < 1e300


def is_finite(value: Any) -> bool:
    """Whether something that JSON held is a number, and neither NaN nor infinity."""
    return is_number(value) and bool(np.isfinite(value))


def moment(seconds: Any) -> str:
    """A time in seconds since 1970 for people."""
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (ValueError, TypeError, OverflowError, OSError):
        return "at an unknown time"


def number(value: float) -> str:
    """A number in four digits, or all of a larger one that are before the point."""
    if 1e4 <= abs(value) < 1e9:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def span(seconds: float) -> str:
    """A length of time in its two largest units."""
    minutes = round(seconds / 60)
    hours = minutes // 60
    if minutes < 1:
        return f"{round(seconds)} s"
    if hours < 1:
        return f"{minutes} min"
    if hours < 24:
        return f"{hours} h {minutes % 60} min"
    return f"{hours // 24} d {hours % 24} h"
