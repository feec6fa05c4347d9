"""The rows: what each changes in a recipe, and what the paper has published.

Zhang, Goodfellow, Metaxas and Odena (ICML 2019), table 1, table 2 and the figure of section 5.1.
configs/paper has the rows at the paper's size. This module needs nothing but Python.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the paper.

    Attributes:
      flags: of training, after those of the recipe's flagfile.
      d_steps: D steps of an iteration.
    """

    flags: tuple[str, ...]
    d_steps: int = 1


def _block(kind, side):
    """The recipe with a block of this kind on the map of this side, in both networks."""
    types = ("--generator_type=test", "--discriminator_type=test")
    return Row((*types, f"--block={kind}", f"--attention_resolution={side}"))


_NONE = ("--generator_type=baseline", "--discriminator_type=baseline", "--attention_resolution=0")
_D_ALONE = (*_NONE, "--nogenerator_sn")
_BOTH = (*_NONE, "--generator_sn")
_EQUAL = ("--generator_learning_rate=2e-4", "--discriminator_learning_rate=2e-4")
_TTUR = ("--generator_learning_rate=1e-4", "--discriminator_learning_rate=4e-4")
_OTHERS = (*_D_ALONE, *_EQUAL, "--d_step=5")
_BLOCKS = {
    f"{kind}{side}": _block(kind, side)
    for kind in ("attention", "residual")
    for side in (8, 16, 32)
}

ROWS = {
    "none": Row(_NONE),
    **_BLOCKS,
    "acgan": Row((*_OTHERS, "--conditioning=auxiliary_classifier"), d_steps=5),
    "sngan_projection": Row((*_OTHERS, "--conditioning=projection"), d_steps=5),
    "sn_d": Row((*_D_ALONE, *_EQUAL)),
    "sn_both": Row((*_BOTH, *_EQUAL)),
    "sn_both_ttur": Row((*_BOTH, *_TTUR)),
}
# Images of 32 px have no map of 32 in D.
ROWS_OF = {
    "digits": tuple(name for name in ROWS if not name.endswith("32")),
    "emoji": tuple(ROWS),
}
# How long the rows of a recipe are trained, in D steps, and what all of them add to its flagfile.
# The 36 runs of the emoji take hours: they are shorter than the recipe's own, and in bfloat16.
STEPS = {"digits": 6000, "emoji": 3000}
FLAGS = {"digits": (), "emoji": ("--mixed_precision=bfloat16",)}
# The row that is the recipe itself: SAGAN in table 2.
SAGAN = {"digits": "attention8", "emoji": "attention32"}

# The paper's figures as text, as docs/paper.md has them; "?": quoted from others, not checked in
# the PDF. "sagan" is the paper's best row, with attention on the 64x64 map.
PUBLISHED = {
    "none": {"IS": "42.87?", "FID": "22.96?"},
    "attention8": {"IS": "43.15?", "FID": "22.98"},
    "attention16": {"IS": "45.94?", "FID": "22.14?"},
    "attention32": {"IS": "51.43", "FID": "18.28"},
    "residual8": {"IS": "23.17?", "FID": "42.13"},
    "residual16": {"IS": "44.49?", "FID": "22.40?"},
    "residual32": {"IS": "38.50?", "FID": "27.33"},
    "acgan": {"IS": "28.5", "FID": "not given", "intra-FID": "260.0"},
    "sngan_projection": {"IS": "36.8", "FID": "27.62", "intra-FID": "92.4"},
    "sagan": {"IS": "52.52", "FID": "18.65", "intra-FID": "83.7?"},
    "sn_d": {"curve": "the modes collapse early"},
    "sn_both": {"curve": "IS falls from about iteration 260,000 on"},
    "sn_both_ttur": {"curve": "no decline in 1,000,000 iterations"},
}


def flags_of(name, ema_decay):
    """The flags of a row, of a recipe with this decay of the moving average.

    An iteration with several D steps is as many times fewer iterations of a run. There the average
    forgets as many times faster: it spans the same part of every run.
    """
    row = ROWS[name]
    if row.d_steps == 1:
        return list(row.flags)
    decay = 1 - row.d_steps * (1 - ema_decay)
    return [*row.flags, f"--ema_decay={decay:.6g}"]
