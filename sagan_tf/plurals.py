"""Numbers with a noun, as in "1 shard" and "2 shards"."""


def counted(number: int, noun: str, plural: str = "", *, form: str = "") -> str:
    """A number and what it counts.

    Args:
      number: how many.
      noun: of one.
      plural: of several, where it is more than the noun with an s.
      form: of the number, as in a format string: "," puts commas between thousands.
    """
    word = noun if number == 1 else plural or f"{noun}s"
    return f"{number:{form}} {word}"
