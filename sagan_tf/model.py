"""SAGAN: the two networks, their optimizers, and one step of each.

Nothing here knows of files, flags or loops. A step is a function of its inputs: what is drawn at
random (z, fake labels) comes in as arguments.
"""

import contextlib
from collections.abc import Iterator
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf.config import ModelConfig, TrainConfig
from sagan_tf.gan import (
    adaptive,
    augmentation,
    discriminator,
    execution,
    generator,
    objectives,
    optimizers,
    updates,
)
from sagan_tf.runtime import distribution

# Where the moving average of the generator is, in the names of `SAGAN.state`.
AVERAGE = "ema/"
# State that a checkpoint may lack, or hold without need, by how its names begin.
OPTIONAL_STATE = (AVERAGE, optimizers.LOSS_SCALE, adaptive.ADA)
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_SIGN = "sign_real"  # Of ADA: the mean sign of D's logits of real images.


class SAGAN:
    """Generator, discriminator, an Adam for each, and the step counter.

    Make it inside `strategy.scope()` to train on several devices, or without any strategy. The
    steps may be called where `strategy.run` calls them (with that replica's share of the batch)
    or outside (with the whole batch, which is then split evenly, consecutive towers together).

    Args:
      model_config: `config.ModelConfig`.
      train_config: `config.TrainConfig`; `batch_size` is the size of a tower, `group_size` the
        number of consecutive images that batch norm takes its moments over.

    Attributes:
      generator, discriminator: `generator.Generator`, `discriminator.Discriminator`.
      averaged: the moving average of the generator, another `generator.Generator`; None where
        `ema_decay` is 0.
      g_optimizer, d_optimizer: `optimizers.Adam`.
      optimizations: those in force (`config.optimizations`).
      loss_scales: `optimizers.LossScale` of each network, "g" and "d", in float16, else empty.
      augmentation: `diff_augment.DiffAugment` or `adaptive.AdaptiveAugment` of what D sees; None
        where `augment` is "none".
      adaptive: the augmentation, with `augment` "ada"; else None.
      step: int64 variable, iterations done; the training loop counts it up.
    """

    def __init__(self, model_config: ModelConfig, train_config: Optional[TrainConfig] = None):
        train_config = train_config or TrainConfig()
        self.model_config = model_config
        self.train_config = train_config
        self.strategy = tf.distribute.get_strategy()
        if self.strategy.num_replicas_in_sync > 1:
            _keep_order_of_reads()

        # Make the networks.
        self._dtype = _POLICIES[train_config.mixed_precision]
        self.optimizations = distribution.optimizations(
            train_config.optimizations,
            compiled=train_config.jit_compile,
            native=distribution.native_convolutions(train_config),
        )
        self.generator = self._new_generator()
        self.discriminator = discriminator.Discriminator(
            model_config, self.optimizations, dtype=self._dtype
        )
        self.discriminator.build()
        self.averaged = None
        if train_config.ema_decay:
            self.averaged = self._new_generator()
            self.begin_average()

        # Make what trains them.
        self.step = updates.scalar(0, tf.int64, "global_step")
        self.g_optimizer = self._new_adam(self.generator, train_config.generator_learning_rate)
        self.d_optimizer = self._new_adam(
            self.discriminator, train_config.discriminator_learning_rate
        )
        self.loss_scales = {}
        if train_config.mixed_precision == "float16":
            self.loss_scales = {name: optimizers.LossScale(name) for name in ("g", "d")}
        self.augmentation = augmentation.make(train_config)
        self.adaptive = self.augmentation if train_config.augment == "ada" else None

        # Fix what each step moves, and how its differentiable part is run. A step of D runs G in
        # training mode.
        self._g_states = self.generator.states()
        self._d_states = self._g_states + self.discriminator.states()
        g_metrics = objectives.g_metrics(model_config)
        self._run_g_part = self._executed(self._g_part, self.generator, self._g_states, g_metrics)
        d_metrics = objectives.d_metrics(model_config)
        if self.adaptive is not None:
            d_metrics += (_SIGN,)
        self._run_d_part = self._executed(
            self._d_part, self.discriminator, self._d_states, d_metrics
        )

    def g_step(self, z, fake_labels, numbers=None) -> dict[str, tf.Tensor]:
        """One Adam step on G.

        D's u is not stored; G's u and moving averages are.

        Args:
          z: float32 [batch, z_dim]; batch is a multiple of `batch_size`.
          fake_labels: int [batch].
          numbers: float32 [batch, augmentation.numbers], as of `noise.draw_numbers`; needed where
            there is an augmentation.
        Returns:
          Scalars of `objectives.of_generator`, means over replicas, except inside
          `strategy.run`, where they are this replica's; and "g_gradient_norm", of the gradient
          that Adam took.
        """
        batch = [_float(z), _int(fake_labels), *self._numbers(numbers)]
        return execution.on_replicas(self.strategy, self._g_step, *batch)

    def d_step(self, images, labels, z, fake_labels, numbers=None) -> dict[str, tf.Tensor]:
        """One Adam step on D.

        D's u is stored; G runs in training mode, so its u and moving averages move again, but
        gets no gradient.

        Args:
          images: float32 [batch, size, size, 3] in [-1, 1]; batch is a multiple of `batch_size`.
          labels: int [batch].
          z: float32 [batch, z_dim].
          fake_labels: int [batch].
          numbers: float32 [batch, 2, augmentation.numbers], those of real and of generated
            images; else as in `g_step`.
        Returns:
          Scalars of `objectives.of_discriminator`, and "d_gradient_norm", as in `g_step`.
        """
        batch = [_float(images), _int(labels), _float(z), _int(fake_labels)]
        batch += self._numbers(numbers)
        return execution.on_replicas(self.strategy, self._d_step, *batch)

    def begin_average(self) -> None:
        """Makes `averaged` a copy of the generator."""
        for average, v in zip(self.averaged.weights, self.generator.weights):
            average.value.assign(v.value.read_value())

    def update_average(self) -> None:
        """Moves `averaged` by one step towards the generator; the last thing of an iteration.

        To be called where `strategy.run` calls it, or without a strategy.

        average <- ema_decay * average + (1 - ema_decay) * generator, for every weight, moving
        statistics and u included; a copy until `step` has reached `ema_start`. Does nothing where
        `ema_decay` is 0.
        """
        if self.averaged is None:
            return
        config = self.train_config
        decay = tf.where(self.step < config.ema_start, 0.0, config.ema_decay)
        updates.store_all(
            [
                updates.Update(average.value, tf.convert_to_tensor(v.value), decay)
                for average, v in zip(self.averaged.weights, self.generator.weights)
            ]
        )

    def sample(self, z, labels, *, batch_size: int = 100, use_ema: bool = False) -> np.ndarray:
        """Images with moving statistics and u as it stands, in batches of `batch_size`.

        Args:
          z: float32 [n, z_dim].
          labels: int [n].
          use_ema: whether to take `averaged` in the place of the generator.
        Returns:
          float32 [n, size, size, 3] in [-1, 1].
        """
        generate = self._generate_averaged if use_ema else self._generate
        batches = []
        for first in range(0, len(z), batch_size):
            batch = slice(first, first + batch_size)
            images = generate(_float(z[batch]), _int(labels[batch]))
            batches.append(images.numpy())
        return np.concatenate(batches)

    def _new_generator(self) -> generator.Generator:
        new = generator.Generator(
            self.model_config,
            self.train_config.group_size,
            optimizations=self.optimizations,
            dtype=self._dtype,
        )
        new.build()
        return new

    def _new_adam(self, network, learning_rate: float) -> optimizers.Adam:
        return optimizers.Adam(
            network.trainable_variables,
            learning_rate,
            beta1=self.train_config.beta1,
            beta2=self.train_config.beta2,
            rate_share=optimizers.linear_decay(
                self.step,
                decay_steps=self.train_config.decay_steps,
                max_steps=self.train_config.max_steps,
            ),
            one_kernel="adam" in self.optimizations,
        )

    @tf.function(reduce_retracing=True, autograph=False)
    def _generate(self, z, labels):
        return self.generator(z, labels, training=False, update_sn=False)

    @tf.function(reduce_retracing=True, autograph=False)
    def _generate_averaged(self, z, labels):
        return self.averaged(z, labels, training=False, update_sn=False)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that a continued run needs, by name.

        `generator/...` and `discriminator/...` (paths of weights), `g_optimizer/m/<path>`,
        `g_optimizer/v/<path>`, `g_optimizer/iterations` and the same of D, `global_step`, and
        `ema/generator/...` where there is an average, `loss_scale/...` in float16.
        """
        state = {"global_step": self.step}
        if self.averaged is not None:
            state.update({AVERAGE + v.path: v.value for v in self.averaged.weights})

        # Each network and its optimizer.
        for network, name, optimizer in (
            (self.generator, "g", self.g_optimizer),
            (self.discriminator, "d", self.d_optimizer),
        ):
            state.update({v.path: v.value for v in network.weights})
            state.update({f"{name}_optimizer/{k}": v for k, v in optimizer.state().items()})

        # Loss scales.
        for scale in self.loss_scales.values():
            state.update(scale.state())

        # The probability of the augmentation.
        if self.adaptive is not None:
            state.update(self.adaptive.state())
        return state

    def _numbers(self, numbers) -> list[tf.Tensor]:
        """Random numbers of the augmentation as a part of the batch; [] where there is none."""
        if self.augmentation is None:
            return []
        if numbers is None:
            raise ValueError("augment: a step needs numbers, as of noise.draw_numbers")
        return [_float(numbers)]

    def _g_step(self, *batch):
        outcome = self._run_g_part(*batch)
        outcome = execution.mean_over_replicas(outcome)
        norm = optimizers.take_step(
            self.g_optimizer, outcome.gradients, scale=self.loss_scales.get("g")
        )
        _store(self._g_states, outcome.values)
        return {**outcome.metrics, "g_gradient_norm": norm}

    def _g_part(self, z, fake_labels, numbers=None) -> execution.Outcome:
        weights = self.generator.trainable_variables
        moved = updates.Collection()

        # Generate, judge, and take the gradient of G.
        with _tape(weights) as tape:
            fake = self.generator(z, fake_labels, training=True, collection=moved)
            if self.augmentation is not None:
                fake = self.augmentation(fake, numbers)
            judged = objectives.judge(self.discriminator, fake, fake_labels)
            loss, metrics = objectives.of_generator(judged, fake_labels)
            scaled = self._scaled(loss, "g")
        gradients = _gradients(tape, scaled, weights)
        return execution.Outcome(metrics, gradients, moved.values(self._g_states))

    def _d_step(self, *batch):
        outcome = self._run_d_part(*batch)
        outcome = execution.mean_over_replicas(outcome)
        norm = optimizers.take_step(
            self.d_optimizer, outcome.gradients, scale=self.loss_scales.get("d")
        )
        _store(self._d_states, outcome.values)
        if self.adaptive is not None:
            self.adaptive.observe(execution.mean_of_replicas(outcome.metrics[_SIGN]))
        return {**outcome.metrics, "d_gradient_norm": norm}

    def _d_part(self, images, labels, z, fake_labels, numbers=None) -> execution.Outcome:
        weights = self.discriminator.trainable_variables
        moved = updates.Collection()

        # Generate; G gets no gradient.
        fake = self.generator(z, fake_labels, training=True, collection=moved)
        if self.augmentation is not None:
            images = self.augmentation(images, numbers[:, 0])
            fake = self.augmentation(fake, numbers[:, 1])

        # Judge, and take the gradient of D.
        with _tape(weights) as tape:
            judged_real, judged_fake = objectives.judge_both(
                self.discriminator,
                images,
                labels,
                fake=fake,
                fake_labels=fake_labels,
                joint="joint_batch" in self.optimizations,
                collection=moved,
            )
            loss, metrics = objectives.of_discriminator(
                judged_real,
                labels,
                fake=judged_fake,
                fake_labels=fake_labels,
                loss_type=self.train_config.loss_type,
            )
            scaled = self._scaled(loss, "d")
        gradients = _gradients(tape, scaled, weights)

        if self.adaptive is not None:
            metrics[_SIGN] = tf.reduce_mean(tf.sign(judged_real.logits))
        return execution.Outcome(metrics, gradients, moved.values(self._d_states))

    def _scaled(self, loss: tf.Tensor, network: str) -> tf.Tensor:
        scale = self.loss_scales.get(network)
        return loss if scale is None else scale.scaled(loss)

    def _executed(self, part, network, states, metrics) -> execution.Part:
        """A part of a step, run as `jit_compile` and `accumulate` ask for."""
        weights = network.trainable_variables
        if self.train_config.jit_compile:
            part = execution.compiled(part, self.strategy.num_replicas_in_sync)
        return execution.accumulated(
            part,
            self.train_config.accumulate,
            zeros=lambda: execution.zero_outcome(metrics, weights, states),
        )


def _store(states: list[updates.State], values: list[tf.Tensor]) -> None:
    """Moves every state to its new value, on every device."""
    updates.store_all(
        [
            updates.Update(state.variable.value, value, state.decay)
            for state, value in zip(states, values)
        ]
    )


def _keep_order_of_reads() -> None:
    """Grappler's dependency optimizer drops orderings of a variable's reads before its writes from
    graphs of several replicas (seen in TensorFlow 2.21): parts of a step computed with the weights
    of the next."""
    tf.config.optimizer.set_experimental_options({"dependency_optimization": False})


@contextlib.contextmanager
def _tape(variables: list) -> Iterator[tf.GradientTape]:
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch([v.value for v in variables])
        yield tape


def _gradients(tape: tf.GradientTape, loss: tf.Tensor, variables: list) -> list[tf.Tensor]:
    return [tf.convert_to_tensor(g) for g in tape.gradient(loss, [v.value for v in variables])]


def _float(value) -> tf.Tensor:
    return tf.cast(value, tf.float32)


def _int(value) -> tf.Tensor:
    return tf.cast(value, tf.int32)


def sigma_ratios(gan: SAGAN) -> dict[str, float]:
    """`sigma_ratio` of each block of attention, or the one in its place, by its reference name."""
    ratios = {}
    for weight in (*gan.generator.trainable_variables, *gan.discriminator.trainable_variables):
        if weight.path.endswith("sigma_ratio"):
            name = "model/" + weight.path.split("/", 1)[1]
            ratios[name] = float(weight.numpy())
    return ratios
