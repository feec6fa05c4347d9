"""Health checks of a run while it trains, and the thresholds of their warnings."""

import collections
from collections.abc import Callable, Mapping
from typing import Optional

import keras
import numpy as np

from sagan_tf.gan import ops

# D's loss below this for so many rows in a row: it tells real from generated without effort, and G
# learns nothing from it any more.
LOW_D_LOSS = 0.05
LOW_D_LOSS_ROWS = 20
# A gradient so many times the median of so many rows before it, once there are a few.
GRADIENT_JUMP = 100.0
GRADIENT_ROWS = 100
_FEWEST_GRADIENT_ROWS = 10
# sigma_ratio beyond this: attention drowns what it is added to.
LARGE_SIGMA_RATIO = 20.0
# Variance of samples of one class, as a share of that of real images of one class. On the embedded
# digits runs that lose their variety fall below this by step 900, and others stay above it.
LOW_VARIETY_RATIO = 0.4
# Older releases warned below this share of the variance of real images over the whole set.
LOW_VARIETY = 0.02
# A generator that has shown no variety by this step is not going to.
_STEPS_TO_LEARN = 10_000
# The largest singular value that a normalised weight may have.
HIGH_NORM = 1.5
# Checks up to the first one that `health_every` names.
CHECKS_AT_FIRST = 10


def is_due(step: int, every: int) -> bool:
    """Whether a check is due after a step.

    That is at every `every` steps, 0: never, and ten times as often before the first of them: a
    small run collapses early.
    """
    return every > 0 and steps_until_due(step - 1, every) == 1


def steps_until_due(step: int, every: int) -> int:
    """Steps from one after which a run stands to that of the next check; `every` is above 0."""
    until_next = every - step % every
    if step >= every:
        return until_next
    often = max(every // CHECKS_AT_FIRST, 1)
    return min(until_next, often - step % often)


def spectral_norms(network: keras.layers.Layer) -> tuple[float, str]:
    """The largest singular value of any W_bar of a network, converged, and the layer's path.

    1 where the running estimate of sigma is exact. With `spectral_norm` "at_most_one" it is at most
    1 there; above 1 the estimate lags, as ever.
    """
    return max((norm, path) for path, norm in ops.remaining_norms(network).items())


def variety(samples: np.ndarray) -> float:
    """Variance of the pixels within a class, mean over pixels and classes.

    Args:
      samples: float [classes, images of each, ...] in [-1, 1].
    """
    return float(np.var(samples, axis=1).mean())


class Variances:
    """Variance of the pixels of images within their classes, added up batch by batch.

    Args:
      most_classes: only the first so many classes that are met count, so that memory has a limit.
    """

    def __init__(self, most_classes: int):
        self._most_classes = most_classes
        self._sums: dict[int, np.ndarray] = {}
        self._squares = collections.Counter()
        self._counts = collections.Counter()

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Adds images, float [n, ...], and their labels, int [n]."""
        for image, label in zip(images.astype(np.float64), labels.tolist()):
            if label not in self._sums:
                if len(self._sums) == self._most_classes:
                    continue
                self._sums[label] = np.zeros(image.shape)
            self._sums[label] += image
            self._squares[label] += float(np.square(image).sum())
            self._counts[label] += 1

    def within(self) -> Optional[float]:
        """The variance within a class, without bias, mean over pixels and, by size, over classes.

        None where no class has two images.
        """
        deviations = 0.0
        degrees = 0
        for label, total in self._sums.items():
            count = self._counts[label]
            deviations += self._squares[label] - float(np.square(total).sum()) / count
            degrees += (count - 1) * total.size
        return deviations / degrees if degrees else None


class HealthCheck:
    """Warns, once each time, when a number says that a run collapses.

    Args:
      warn: gets a line.
      real_variety: variance of real images over the whole set, as of `variety`.
      real_within_class: variance of real images within a class, as of `Variances.within`; None:
        not known, and variety is not checked.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        real_variety: float,
        *,
        real_within_class: Optional[float] = None,
    ):
        self._warn = warn
        self._real_variety = real_variety
        self._real_within_class = real_within_class
        self._rows_of_low_loss = 0
        # The newest values of each gradient norm, by name.
        self._norms = collections.defaultdict(lambda: collections.deque(maxlen=GRADIENT_ROWS))
        self._had_variety = False
        # Checks that fail now, and were warned of.
        self._failing: set[str] = set()

    def check_row(self, step: int, row: Mapping[str, float]) -> None:
        """Checks a row of losses, gradient norms and sigma_ratio."""
        self._check_loss(step, row["d_loss"])
        for name, value in row.items():
            if name.endswith("gradient_norm"):
                self._check_gradient(step, name, value)
            elif name.endswith("sigma_ratio"):
                self._report(
                    name,
                    abs(value) > LARGE_SIGMA_RATIO,
                    step=step,
                    text=f"{name} is {value:.3g}: attention outweighs the features",
                )

    def check_samples(self, step: int, samples: np.ndarray) -> dict[str, float]:
        """Checks samples, one class a row, as of `variety`; returns numbers to write."""
        # Compare the samples with real images of the whole set.
        found = variety(samples)
        numbers = {"health/variety_within_class": found / max(self._real_variety, 1e-12)}
        if not self._real_within_class:
            return numbers

        # Compare them with real images of one class; both variances without bias.
        count = samples.shape[1]
        ratio = found * count / max(count - 1, 1) / self._real_within_class
        numbers["health/variety_ratio"] = ratio
        is_low = ratio < LOW_VARIETY_RATIO
        has_learned = self._had_variety or step >= _STEPS_TO_LEARN

        # Warn of low variety, once there has been time to learn.
        self._report(
            "variety",
            is_low and has_learned,
            step=step,
            text=f"samples of one class vary by {ratio:.1%} of what real images of one class do: "
            "they look too much alike",
        )
        self._had_variety |= not is_low
        return numbers

    def check_networks(self, step: int, **networks: keras.layers.Layer) -> dict[str, float]:
        """Checks networks, given by name; returns numbers to write."""
        numbers = {}
        for name, network in networks.items():
            # Find the largest norm.
            norm, layer = spectral_norms(network)
            numbers[f"health/{name}_largest_norm"] = norm

            # Warn where the normalisation lags behind.
            self._report(
                f"{name} norm",
                norm > HIGH_NORM,
                step=step,
                text=f"the normalised weight of {layer} has a singular value of {norm:.2f}: "
                "one power iteration a step does not keep up",
            )
        return numbers

    def _check_loss(self, step: int, d_loss: float) -> None:
        self._rows_of_low_loss = self._rows_of_low_loss + 1 if d_loss < LOW_D_LOSS else 0
        self._report(
            "d_loss",
            self._rows_of_low_loss >= LOW_D_LOSS_ROWS,
            step=step,
            text=f"d_loss has been below {LOW_D_LOSS} for {LOW_D_LOSS_ROWS} rows: D has won, "
            "and G learns nothing more",
        )

    def _check_gradient(self, step: int, name: str, norm: float) -> None:
        # Compare with the rows before.
        norms = self._norms[name]
        usual = np.inf
        if len(norms) >= _FEWEST_GRADIENT_ROWS:
            usual = float(np.median(norms))
        self._report(
            name,
            norm > GRADIENT_JUMP * usual,
            step=step,
            text=f"{name} is {norm:.3g}, and {usual:.3g} is usual",
        )

        # Remember it, unless it is 0: then float16 left the step out.
        if norm:
            norms.append(norm)

    def _report(self, check: str, fails: bool, *, step: int, text: str) -> None:
        """Warns when a check begins to fail."""
        if not fails:
            self._failing.discard(check)
        elif check not in self._failing:
            self._failing.add(check)
            self._warn(f"warning: step {step}: {text}")
