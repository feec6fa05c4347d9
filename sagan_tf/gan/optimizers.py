"""Adam as the reference runs it, and loss scaling for float16."""

from collections.abc import Callable, Sequence
from typing import Optional, Union

import keras
import tensorflow as tf

from sagan_tf.gan import updates

# Where the scales of float16 losses are, in the names of the model's state.
LOSS_SCALE = "loss_scale/"
# Adam's epsilon in TensorFlow 1 (Keras's default is 1e-7).
ADAM_EPSILON = 1e-8


class Adam:
    """Adam for gradients that are the same on all replicas already.

    lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t); m <- beta1 m + (1 - beta1) g;
    v <- beta2 v + (1 - beta2) g^2; w <- w - lr_t m / (sqrt(v) + epsilon).

    Make it in the scope of the strategy that the weights were made in.

    Args:
      weights: what to train.
      learning_rate: lr.
      beta1, beta2, epsilon: as above.
      rate_share: says the share of lr that a step takes, as `linear_decay`; None: all of it.
      one_kernel: whether to take TensorFlow's own kernel, which the reference calls, in the place
        of a sequence of operations.

    Attributes:
      iterations: int64 variable, steps taken.

    Source: Kingma and Ba, 2015, section 2, last paragraph.
    """

    def __init__(
        self,
        weights: Sequence[keras.Variable],
        learning_rate: float,
        *,
        beta1: float,
        beta2: float,
        epsilon: float = ADAM_EPSILON,
        rate_share: Optional[Callable[[], tf.Tensor]] = None,
        one_kernel: bool = True,
    ):
        self.learning_rate = float(learning_rate)
        self.beta1 = float(beta1)
        self.beta2 = float(beta2)
        self.epsilon = epsilon
        self.one_kernel = one_kernel
        self._rate_share = rate_share
        self._weights = list(weights)

        # Make the moments of each weight, and the counter.
        self._m = [_zeros_like(weight, "m") for weight in self._weights]
        self._v = [_zeros_like(weight, "v") for weight in self._weights]
        self.iterations = updates.scalar(0, tf.int64, "iterations")

    def rate(self) -> Union[float, tf.Tensor]:
        """The learning rate of the next step; a float32 scalar where it changes."""
        if self._rate_share is None:
            return self.learning_rate
        return self.learning_rate * self._rate_share()

    def state(self) -> dict[str, tf.Variable]:
        """Its variables: `iterations`, and `m/<path>` and `v/<path>` of each weight."""
        state = {"iterations": self.iterations}
        for weight, m, v in zip(self._weights, self._m, self._v):
            state[f"m/{weight.path}"] = m
            state[f"v/{weight.path}"] = v
        return state

    def apply(
        self,
        gradients: Sequence[tf.Tensor],
        *,
        finite: Optional[tf.Tensor] = None,
    ) -> None:
        """One step.

        Args:
          gradients: of the weights, in their order.
          finite: where it is False nothing changes, whatever the gradients. If it is given, which
            float16 does, the one kernel is taken in any case.
        """
        # Choose between operations and the one kernel.
        step = tf.cast(tf.convert_to_tensor(self.iterations), tf.float32) + 1
        if finite is None and not self.one_kernel:
            change = _adam_in_operations
            settings = self._settings_of_operations(step)
            counted = tf.constant(1, tf.int64)
        else:
            going = tf.constant(1.0) if finite is None else tf.cast(finite, tf.float32)
            if finite is not None:
                gradients = [tf.where(finite, gradient, 0.0) for gradient in gradients]
            change = _adam_in_one_kernel
            settings = self._settings_of_kernel(step, going)
            counted = tf.cast(going, tf.int64)

        # Change each weight with its moments, then the counter.
        changes = [
            (weight.value, change, (m, v, gradient, *settings))
            for weight, m, v, gradient in zip(self._weights, self._m, self._v, gradients)
        ]
        changes.append((self.iterations, _count, (counted,)))
        updates.on_every_device(changes)

    def _settings_of_kernel(self, step: tf.Tensor, going: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Arguments of the kernel; with `going` 0 instead of 1 it changes nothing."""
        return (
            tf.pow(tf.constant(self.beta1), step),
            tf.pow(tf.constant(self.beta2), step),
            going * self.rate(),
            1 - going * (1 - self.beta1),
            1 - going * (1 - self.beta2),
            tf.constant(self.epsilon),
        )

    def _settings_of_operations(self, step: tf.Tensor) -> tuple:
        """lr_t, 1 - beta1, 1 - beta2 and epsilon."""
        beta1_power = tf.pow(tf.constant(self.beta1), step)
        beta2_power = tf.pow(tf.constant(self.beta2), step)
        rate = self.rate() * tf.sqrt(1 - beta2_power) / (1 - beta1_power)
        return rate, 1 - self.beta1, 1 - self.beta2, self.epsilon


def linear_decay(
    step: tf.Variable, *, decay_steps: int, max_steps: int
) -> Optional[Callable[[], tf.Tensor]]:
    """A function that says the share of a learning rate which the next iteration takes.

    (max_steps - step) / decay_steps, in [0, 1]: a line from 1 to 0 over the last iterations.

    Args:
      step: int64, iterations done.
      decay_steps: length of the line; 0: there is none.
      max_steps: iteration at which it ends.
    Returns:
      A function without arguments; None where the share is always 1.

    Source: Miyato and Koyama, 2018; their code, pfnet-research/sngan_projection, `train.py`.
    """
    if not decay_steps:
        return None

    def share() -> tf.Tensor:
        left = tf.cast(max_steps - tf.convert_to_tensor(step), tf.float32)
        return tf.clip_by_value(left / decay_steps, 0.0, 1.0)

    return share


def _zeros_like(weight: keras.Variable, name: str) -> tf.Variable:
    return tf.Variable(tf.zeros(weight.shape), trainable=False, name=f"{weight.name}_{name}")


def _adam_in_one_kernel(
    weight, m, v, gradient, beta1_power, beta2_power, rate, beta1, beta2, epsilon
) -> None:
    # Its arguments are the formula's; the powers are beta^t.
    tf.raw_ops.ResourceApplyAdam(
        var=weight.handle,
        m=m.handle,
        v=v.handle,
        beta1_power=beta1_power,
        beta2_power=beta2_power,
        lr=rate,
        beta1=beta1,
        beta2=beta2,
        epsilon=epsilon,
        grad=gradient,
        use_locking=False,
    )


def _adam_in_operations(weight, m, v, gradient, rate, one_minus_beta1, one_minus_beta2, epsilon):
    m.assign_add((gradient - m) * one_minus_beta1)
    v.assign_add((tf.square(gradient) - v) * one_minus_beta2)
    weight.assign_sub(m * rate / (tf.sqrt(v) + epsilon))


def _count(variable, steps) -> None:
    variable.assign_add(steps)


class LossScale:
    """What a float16 loss is multiplied by, so that small gradients do not vanish.

    It halves, and the step is left out, where a gradient is not finite; it doubles after 2,000
    steps without that, up to 2^24.

    Args:
      name: of the network.

    Source: Micikevicius et al., 2018, section 3.2; the numbers are those of
    `keras.optimizers.LossScaleOptimizer`.
    """

    initial = 2.0**15
    most = 2.0**24
    growth_steps = 2000

    def __init__(self, name: str):
        self.name = name
        self._scale = updates.scalar(self.initial, tf.float32, "loss_scale")
        self._good_steps = updates.scalar(0, tf.int64, "good_steps")

    def value(self) -> tf.Tensor:
        """The scale, a float32 scalar."""
        return tf.convert_to_tensor(self._scale)

    def state(self) -> dict[str, tf.Variable]:
        """Its variables, by name."""
        return {
            f"{LOSS_SCALE}{self.name}": self._scale,
            f"{LOSS_SCALE}{self.name}_good_steps": self._good_steps,
        }

    def scaled(self, loss: tf.Tensor) -> tf.Tensor:
        """The loss whose gradients `unscaled` takes."""
        return loss * self.value()

    def unscaled(self, gradients: list) -> tuple[list, tf.Tensor, tf.Tensor]:
        """Gradients of the loss itself, their norm, and whether they are finite.

        The norm is 0 where they are not, but for a scale of 1: then the loss itself is at fault.
        """
        gradients = [gradient / self.value() for gradient in gradients]
        norm = tf.linalg.global_norm(gradients)
        finite = tf.math.is_finite(norm)
        return gradients, tf.where(finite | (self.value() <= 1), norm, 0.0), finite

    def updates(self, finite: tf.Tensor) -> list[updates.Update]:
        """What follows from a step whose gradients were finite, or not."""
        good = tf.where(finite, self._good_steps + 1, 0)
        grow = good >= self.growth_steps
        grown = tf.minimum(self.value() * tf.where(grow, 2.0, 1.0), self.most)
        scale = tf.where(finite, grown, tf.maximum(self.value() / 2, 1.0))
        good = tf.where(grow, tf.zeros_like(good), good)
        return [
            updates.Update(self._scale, scale),
            updates.Update(self._good_steps, good),
        ]


def take_step(
    optimizer: Adam, gradients: list[tf.Tensor], *, scale: Optional[LossScale] = None
) -> tf.Tensor:
    """One step of Adam, and what follows from it for the loss scale.

    Args:
      optimizer: of the weights of these gradients.
      gradients: the same on all replicas; of a loss times `scale` where that is given.
    Returns:
      The norm of the gradients that Adam took, a float32 scalar.
    """
    if scale is None:
        optimizer.apply(gradients)
        return tf.linalg.global_norm(gradients)
    gradients, norm, finite = scale.unscaled(gradients)
    optimizer.apply(gradients, finite=finite)
    updates.store_all(scale.updates(finite))
    return norm
