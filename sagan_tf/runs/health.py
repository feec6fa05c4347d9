"""Is the run well? Numbers to watch, and when to say so."""

import collections
from collections.abc import Callable, Mapping

import keras
import numpy as np

from sagan_tf.gan import ops

# D's loss below this for so many rows in a row: it tells real from generated without effort, and G
# learns nothing from it any more.
LOW_D_LOSS, LOW_D_LOSS_ROWS = 0.05, 20
# A gradient so many times the median of the rows before it.
GRADIENT_JUMP, GRADIENT_ROWS = 100.0, 100
# sigma_ratio beyond this: attention drowns what it is added to.
LARGE_SIGMA_RATIO = 20.0
# Variance of samples of one class, as a share of the variance of real images.
LOW_VARIETY = 0.02
# A generator that has shown no variety by this step is not going to.
_STEPS_TO_LEARN = 10_000
# The largest singular value that a normalised weight may have.
HIGH_NORM = 1.5


def spectral_norms(network: keras.layers.Layer) -> tuple[float, str]:
    """The largest singular value of any W_bar of a network, converged, and the layer's path.

    1 where the running estimate of sigma is exact.
    """
    return max((norm, path) for path, norm in ops.remaining_norms(network).items())


def variety(samples: np.ndarray) -> float:
    """Variance of the pixels within a class, mean over pixels and classes.

    Args:
      samples: float [classes, images of each, ...] in [-1, 1].
    """
    return float(np.var(samples, axis=1).mean())


class Watch:
    """Warns, once each time, when a number says that a run collapses.

    Args:
      warn: told a line.
      real_variety: variance of real images over the whole set, as of `variety`.
    """

    def __init__(self, warn: Callable[[str], None], real_variety: float):
        self._warn = warn
        self._real_variety = real_variety
        self._low_rows = 0
        self._norms = collections.defaultdict(lambda: collections.deque(maxlen=GRADIENT_ROWS))
        self._had_variety = False
        self._raised: set[str] = set()

    def see_row(self, step: int, row: Mapping[str, float]) -> None:
        """A row of losses, gradient norms and sigma_ratio."""
        self._low_rows = self._low_rows + 1 if row["d_loss"] < LOW_D_LOSS else 0
        self._report(
            "d_loss",
            self._low_rows >= LOW_D_LOSS_ROWS,
            step,
            f"d_loss has been below {LOW_D_LOSS} for {LOW_D_LOSS_ROWS} rows: D has won, "
            "and G learns nothing more",
        )
        for name, value in row.items():
            if name.endswith("gradient_norm"):
                before = self._norms[name]
                usual = float(np.median(before)) if len(before) >= 10 else np.inf
                self._report(
                    name,
                    value > GRADIENT_JUMP * usual,
                    step,
                    f"{name} is {value:.3g}, and {usual:.3g} is usual",
                )
                if value:  # 0: a step that float16 left out.
                    before.append(value)
            elif name.endswith("sigma_ratio"):
                self._report(
                    name,
                    abs(value) > LARGE_SIGMA_RATIO,
                    step,
                    f"{name} is {value:.3g}: attention outweighs the features",
                )

    def see_samples(self, step: int, samples: np.ndarray) -> dict[str, float]:
        """Samples, one class a row, as of `variety`; returns numbers to write."""
        share = variety(samples) / max(self._real_variety, 1e-12)
        low = share < LOW_VARIETY
        self._report(
            "variety",
            low and (self._had_variety or step >= _STEPS_TO_LEARN),
            step,
            f"samples of one class vary by {share:.2%} of what real images do: all look the same",
        )
        self._had_variety |= not low
        return {"health/variety_within_class": share}

    def see_networks(self, step: int, **networks: keras.layers.Layer) -> dict[str, float]:
        """Networks by name; returns numbers to write."""
        numbers = {}
        for name, network in networks.items():
            norm, layer = spectral_norms(network)
            self._report(
                f"{name} norm",
                norm > HIGH_NORM,
                step,
                f"the normalised weight of {layer} has a singular value of {norm:.2f}: "
                "one power iteration a step does not keep up",
            )
            numbers[f"health/{name}_largest_norm"] = norm
        return numbers

    def _report(self, what: str, bad: bool, step: int, words: str) -> None:
        if bad and what not in self._raised:
            self._warn(f"warning: step {step}: {words}")
        (self._raised.add if bad else self._raised.discard)(what)
