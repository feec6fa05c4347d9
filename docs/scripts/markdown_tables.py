"""Parts of Markdown tables of results. It needs nothing but Python."""

import statistics


def cell(values, *, digits):
    """Mean, and in brackets the least and the largest of several."""
    mean, least, largest = (
        f"{value:.{digits}f}" for value in (statistics.mean(values), min(values), max(values))
    )
    return mean if len(values) == 1 else f"{mean} ({least} to {largest})"


def grouped(rows, names):
    """Rows with the same values of some names, in a dictionary by these values."""
    found = {}
    for row in rows:
        found.setdefault(tuple(row[name] for name in names), []).append(row)
    return found


def line_of(cells):
    """One line of a Markdown table."""
    return f"| {' | '.join(cells)} |"
