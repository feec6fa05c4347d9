"""Health checks of a run while it trains, and the thresholds of their warnings."""

import collections
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Optional

import keras
import numpy as np

from sagan_tf.config import TrainConfig
from sagan_tf.gan import ops

# D's loss below this for so many rows in a row: it tells real from generated without effort, and G
# learns nothing from it any more.
LOW_D_LOSS = 0.05
LOW_D_LOSS_ROWS = 20
# A gradient so many times the median of so many rows before it, once there are a few.
GRADIENT_JUMP = 100.0
GRADIENT_ROWS = 100
_FEWEST_GRADIENT_ROWS = 10
# sigma_ratio beyond this: attention, or the block in its place, drowns what it is added to.
LARGE_SIGMA_RATIO = 20.0
# Variance of samples of one class, as a share of that of real images of one class. Of 30 runs on
# the embedded digits (docs/ablation.md) the three that lost their variety for good fell below this,
# one fell to 0.38 and came back to 0.50, and the others stayed above 0.41.
LOW_VARIETY_RATIO = 0.4
# Older releases warned below this share of the variance of real images over the whole set.
LOW_VARIETY = 0.02
# Noise of an untrained generator varies as much as images do. By this step it is gone: in 25 runs
# on the embedded digits the ratio was 0.10 to 0.54 at step 100, and 0.67 to 1.81 at step 300.
_STEPS_OF_NOISE = 300
# A generator that has shown no variety by this step is not going to. Where the moving average of a
# short run makes it wait longer than `_STEPS_OF_NOISE`, so many times that wait is enough.
_STEPS_TO_LEARN = 10_000
_WAITS_TO_LEARN = 3
# The largest singular value that a normalised weight may have.
HIGH_NORM = 1.5
# Checks up to the first one that `health_every` names, at most.
CHECKS_AT_FIRST = 10
RATIO = "health/variety_ratio"


class VarietyCourse(NamedTuple):
    """How the variety of a run's samples went, in shares of that of real images of one class.

    Attributes:
      lost: first step at which it was below `LOW_VARIETY_RATIO` after it had been above, or had had
        time to learn; None if it never was.
      was_there: whether it ever was above.
      lowest, lowest_step: its smallest value, and the step.
      last: its newest value.
    """

    lost: Optional[int]
    was_there: bool
    lowest: float
    lowest_step: int
    last: float


def course_of_variety(
    rows: Iterable[Mapping[str, Any]], noise_until: int
) -> Optional[VarietyCourse]:
    """How variety went, as `HealthCheck` judges it; None where no row says it.

    Args:
      rows: of metrics.jsonl, steps ascending.
      noise_until: rows before this step do not count, as of `steps_of_noise`.
    """
    # Find the rows that count.
    found: list[tuple[int, float]] = []
    for row in rows:
        ratio = row.get(RATIO)
        if isinstance(ratio, (int, float)) and row["step"] >= noise_until:
            found.append((int(row["step"]), float(ratio)))
    if not found:
        return None

    # Follow it.
    lost = None
    was_there = False
    for step, ratio in found:
        was_there |= ratio >= LOW_VARIETY_RATIO
        had_time = was_there or step >= _steps_to_learn(noise_until)
        if lost is None and had_time and ratio < LOW_VARIETY_RATIO:
            lost = step
    lowest_step, lowest = min(found, key=lambda pair: pair[1])
    return VarietyCourse(lost, was_there, lowest, lowest_step, found[-1][1])


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
    often = -(-every // CHECKS_AT_FIRST)
    return min(until_next, often - step % often)


def steps_of_noise(config: TrainConfig) -> int:
    """Steps of a run after which variety of its samples is learnt, and not that of noise.

    The moving average of the generator needs 1 / (1 - ema_decay) steps in any case: by then
    1 - 1/e of its weights come from training.
    """
    if not config.use_ema:
        return _STEPS_OF_NOISE
    return max(_STEPS_OF_NOISE, round(1 / (1 - config.ema_decay)))


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
      classes: labels of the classes that count.
    """

    def __init__(self, classes: Iterable[int]):
        self._classes = frozenset(int(label) for label in classes)
        self._sums: dict[int, np.ndarray] = {}
        self._squares = collections.Counter()
        self._counts = collections.Counter()

    def add(self, images: np.ndarray, labels: np.ndarray) -> None:
        """Adds images, float [n, ...], and their labels, int [n]."""
        for image, label in zip(images.astype(np.float64), labels.tolist()):
            if label in self._classes:
                self._sums[label] = self._sums.get(label, 0.0) + image
                self._squares[label] += float(np.square(image).sum())
                self._counts[label] += 1

    def within(self) -> Optional[float]:
        """The variance within a class, without bias, mean over pixels and over classes.

        Every class counts equally, as in `variety`. One with fewer than two images does not count.
        None where no class has two.
        """
        variances = []
        for label, total in self._sums.items():
            count = self._counts[label]
            if count >= 2:
                deviations = self._squares[label] - float(np.square(total).sum()) / count
                variances.append(deviations / ((count - 1) * total.size))
        return float(np.mean(variances)) if variances else None


def _steps_to_learn(noise_until: int) -> int:
    """The step by which a generator has had time to learn variety; as of `steps_of_noise`."""
    if noise_until <= _STEPS_OF_NOISE:
        return _STEPS_TO_LEARN
    return min(_WAITS_TO_LEARN * noise_until, _STEPS_TO_LEARN)


class HealthCheck:
    """Warns, once each time, when a number says that a run collapses.

    Args:
      warn: gets a line.
      real_variety: variance of real images over the whole set, as of `variety`.
      real_within_class: variance of real images within a class, as of `Variances.within`; None:
        not known, and variety is not checked.
      noise_until: variety counts from this step on, as of `steps_of_noise`.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        real_variety: float,
        *,
        real_within_class: Optional[float] = None,
        noise_until: int = 0,
    ):
        self._warn = warn
        self._real_variety = real_variety
        self._real_within_class = real_within_class
        self._noise_until = noise_until
        self._rows_of_low_loss = 0
        # The newest values of each gradient norm, by name.
        self._norms = collections.defaultdict(lambda: collections.deque(maxlen=GRADIENT_ROWS))
        self._had_variety = False
        # Checks that fail now, and were warned of.
        self._failing: set[str] = set()

    def take_up(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Learns from the rows of a run that continues whether it has shown variety before."""
        for row in rows:
            self._notice_variety(row["step"], row.get(RATIO, 0.0))

    def check_row(self, step: int, row: Mapping[str, float]) -> None:
        """Checks a row of losses, gradient norms and sigma_ratio."""
        self._check_loss(step, row)
        for name, value in row.items():
            if name.endswith("gradient_norm"):
                self._check_gradient(step, name, value)
            elif name.endswith("sigma_ratio"):
                block = "the residual block" if "_residual/" in name else "attention"
                self._report(
                    name,
                    abs(value) > LARGE_SIGMA_RATIO,
                    step=step,
                    text=f"{name} is {value:.3g}: {block} outweighs the features",
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
        numbers[RATIO] = ratio

        # Warn of low variety, if it was there before or there has been time to learn it.
        had_time = self._had_variety or step >= _steps_to_learn(self._noise_until)
        self._report(
            "variety",
            had_time and ratio < LOW_VARIETY_RATIO,
            step=step,
            text=f"samples of one class vary by {ratio:.1%} of what real images of one class do: "
            "they look too much alike",
        )
        self._notice_variety(step, ratio)
        return numbers

    def check_networks(self, step: int, **networks: keras.layers.Layer) -> dict[str, float]:
        """Checks networks, given by name; returns numbers to write.

        A network without spectral normalisation has no number.
        """
        numbers = {}
        for name, network in networks.items():
            if not network.spectral_norm_layers():
                continue

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

    def _notice_variety(self, step: int, ratio: float) -> None:
        """Remembers that samples vary, unless they may be noise still."""
        self._had_variety |= step >= self._noise_until and ratio >= LOW_VARIETY_RATIO

    def _check_loss(self, step: int, row: Mapping[str, float]) -> None:
        # An AC-GAN's d_loss has the cross-entropies of the classes in it.
        name = "d_loss"
        loss = row[name]
        if "d_class_loss_real" in row:
            name = "d_loss_real + d_loss_fake"
            loss = row["d_loss_real"] + row["d_loss_fake"]

        # Count the rows.
        self._rows_of_low_loss = self._rows_of_low_loss + 1 if loss < LOW_D_LOSS else 0
        self._report(
            "d_loss",
            self._rows_of_low_loss >= LOW_D_LOSS_ROWS,
            step=step,
            text=f"{name} has been below {LOW_D_LOSS} for {LOW_D_LOSS_ROWS} rows: D has won, "
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
