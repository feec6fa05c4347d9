"""Adam as the reference runs it, and loss scaling for float16."""

from typing import Optional

import keras
import tensorflow as tf

from sagan_tf.gan import updates

# Where the scales of float16 losses are.
LOSS_SCALE = "loss_scale/"
# Adam's epsilon in TensorFlow 1 (Keras's default is 1e-7).
ADAM_EPSILON = 1e-8


class ReducedAdam(keras.optimizers.Adam):
    """Adam for gradients that are the same on all replicas already.

    lr_t = lr sqrt(1 - beta2^t) / (1 - beta1^t); m <- beta1 m + (1 - beta1) g;
    v <- beta2 v + (1 - beta2) g^2; w <- w - lr_t m / (sqrt(v) + epsilon).

    Args:
      one_kernel: whether to take TensorFlow's own kernel, which the reference calls, in the place
        of Keras's sequence of operations.
      others: as in `keras.optimizers.Adam`.

    Source: Kingma and Ba, 2015, section 2, last paragraph.
    """

    def __init__(self, *args, one_kernel: bool = True, **kwargs):
        super().__init__(*args, **kwargs)
        self.one_kernel = one_kernel

    def apply(self, gradients, trainable_variables, *, finite: Optional[tf.Tensor] = None) -> None:
        """One step.

        Args:
          gradients: of `trainable_variables`, to which `build` was called.
          finite: where it is False nothing changes, whatever the gradients. If it is given, which
            float16 does, the one kernel is taken in any case.
        """
        if finite is None and not self.one_kernel:
            super().apply(gradients, trainable_variables)
            return
        going = tf.constant(1.0) if finite is None else tf.cast(finite, tf.float32)
        if finite is not None:
            gradients = [tf.where(finite, gradient, 0.0) for gradient in gradients]
        step = tf.cast(tf.convert_to_tensor(self.iterations), tf.float32) + 1
        betas = [1 - going * (1 - beta) for beta in (self.beta_1, self.beta_2)]
        powers = [tf.pow(tf.constant(beta), step) for beta in (self.beta_1, self.beta_2)]
        settings = (
            *powers,
            going * tf.convert_to_tensor(self.learning_rate),
            *betas,
            tf.constant(self.epsilon),
        )
        slots = zip(trainable_variables, self._momentums, self._velocities, gradients)
        updates.on_every_device(
            [
                (variable.value, _apply_adam, (m.value, v.value, gradient, *settings))
                for variable, m, v, gradient in slots
            ]
            + [(self.iterations.value, _count, (tf.cast(going, self.iterations.dtype),))]
        )

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return grads_and_vars


def _apply_adam(
    variable, m, v, gradient, beta1_power, beta2_power, rate, beta1, beta2, epsilon
) -> None:
    tf.raw_ops.ResourceApplyAdam(
        var=variable.handle,
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


def _count(variable, more) -> None:
    variable.assign_add(more)


class LossScale:
    """What a float16 loss is multiplied by, so that small gradients do not vanish.

    It halves, and the step is left out, where a gradient is not finite; it doubles after 2,000
    steps without that, up to 2^24.

    Args:
      name: of the network.

    Source: Micikevicius et al., 2018, section 3.2; the numbers are those of
    `keras.optimizers.LossScaleOptimizer`.
    """

    initial, most, growth_steps = 2.0**15, 2.0**24, 2000

    def __init__(self, name: str):
        def variable(value, dtype, what):
            return tf.Variable(
                value,
                dtype=dtype,
                trainable=False,
                name=what,
                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
            )

        self.name = name
        self._scale = variable(self.initial, tf.float32, "loss_scale")
        self._good_steps = variable(0, tf.int64, "good_steps")

    def value(self) -> tf.Tensor:
        """The scale, a float32 scalar."""
        return tf.convert_to_tensor(self._scale)

    def state(self) -> dict[str, tf.Variable]:
        """Its variables, by name."""
        return {
            f"{LOSS_SCALE}{self.name}": self._scale,
            f"{LOSS_SCALE}{self.name}_good_steps": self._good_steps,
        }

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
        return [
            updates.Update(self._scale, scale, 0.0),
            updates.Update(self._good_steps, tf.where(grow, tf.zeros_like(good), good), 0.0),
        ]
