"""The optimizations in force: which rewritten operations layers take, and from which size on."""

from collections.abc import Iterator, Mapping
from typing import Optional


class Optimizations(Mapping):
    """An immutable mapping of names of `config.OPTIMIZATIONS` to the smallest side of a map.

    Args:
      smallest_sides: name -> smallest side, of `config.optimizations`; None: none is in force.
    """

    def __init__(self, smallest_sides: Optional[Mapping[str, int]] = None):
        self._smallest_sides = dict(smallest_sides or {})

    def applies(self, name: str, side: int) -> bool:
        """Whether an optimization is in force for maps of this side."""
        return name in self and side >= self[name]

    def __getitem__(self, name: str) -> int:
        return self._smallest_sides[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._smallest_sides)

    def __len__(self) -> int:
        return len(self._smallest_sides)

    def __repr__(self) -> str:
        return f"Optimizations({self._smallest_sides})"
