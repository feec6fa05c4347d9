"""Limit of damaged pictures in a preparation, applied as soon as it is clear that it will not hold.

Of few pictures a share would allow none, so a small number may be damaged in any case.
"""

import math
from collections.abc import Iterable

from sagan_tf import errors

# A twentieth of few pictures may be damaged, up to ten, and at least one.
_FEW = 10
_FEW_SHARE = 0.05
# So many standard deviations above the share are no chance.
_CERTAIN = 4

# A picture's name, and why it could not be used.
Damaged = tuple[str, str]


class DamageLimit:
    """Counts the damaged pictures of a preparation.

    Args:
      pictures: number of all pictures.
      share: of them, that may be damaged, 0 .. 1.
      is_shuffled: whether the pictures come in random order, so that the first ones speak for all.

    Attributes:
      damaged: those that were met, oldest first.
      allowed: so many may be damaged.
    """

    def __init__(self, pictures: int, share: float, *, is_shuffled: bool):
        # Compute how many may be damaged.
        few = max(min(_FEW, int(_FEW_SHARE * pictures)), 1) if share else 0

        self.allowed = max(int(share * pictures), few)
        self.damaged: list[Damaged] = []
        self._pictures = pictures
        self._is_shuffled = is_shuffled
        self._seen = 0

    def add(self, damaged: Iterable[Damaged], seen: int = 1) -> None:
        """Notes pictures that were looked at, and those of them that are damaged."""
        self.damaged += damaged
        self._seen += seen

    @property
    def is_broken(self) -> bool:
        """Whether more are damaged than are allowed, or will be."""
        count = len(self.damaged)
        if count > self.allowed:
            return True

        # Judge all pictures by the first ones.
        expected = self.allowed * self._seen / max(self._pictures, 1)
        is_certain = count - _CERTAIN * math.sqrt(count) > expected
        return self._is_shuffled and count > _FEW and is_certain

    def error(self, share: float, report: str) -> errors.UserError:
        """What to say when the limit is broken.

        Args:
          share: as --max_bad gives it.
          report: path of the file that lists the damaged pictures.
        """
        count = len(self.damaged)
        key, why = self.damaged[-1]
        of = f"{count} of {self._pictures} pictures"
        if count <= self.allowed:
            of = f"{count} of the first {self._seen} pictures, which are a random sample,"

        return errors.UserError(
            f"--max_bad={share:g}: {of} are damaged, and {self.allowed} of {self._pictures} may be "
            f"(the last: {key}: {why}); {report} lists them. Allow more, and the same command goes "
            "on; or remove them, and give another --out"
        )
