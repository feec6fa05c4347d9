"""SAGAN: the two networks, their optimizers, and one step of each.

Nothing here knows of files, flags or loops. A step is a function of its inputs: what is drawn at
random (z, fake labels) comes in as arguments.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf.config import ModelConfig, TrainConfig
from sagan_tf.gan import discriminator, generator, losses, optimizers
from sagan_tf.gan import updates as gan_updates
from sagan_tf.runtime import distribution

# Where the moving average of the generator is, in the names of `SAGAN.state`.
AVERAGE = "ema/"
_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
_G_METRICS = ("g_loss", "logit_fake")
_D_METRICS = ("d_loss", "d_loss_real", "d_loss_fake", "logit_real", "logit_fake")


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
      g_optimizer, d_optimizer: `keras.optimizers.Adam`.
      optimizations: those in force (`config.optimizations`).
      loss_scales: `LossScale` of each optimizer in float16, else empty.
      step: int64 variable, iterations done; the training loop counts it up.
    """

    def __init__(self, model_config: ModelConfig, train_config: Optional[TrainConfig] = None):
        train_config = train_config or TrainConfig()
        self.model_config = model_config
        self.train_config = train_config
        self.strategy = tf.distribute.get_strategy()
        self._distributed = tf.distribute.has_strategy()
        if self.strategy.num_replicas_in_sync > 1:
            # Grappler's dependency optimizer drops orderings of a variable's reads before its
            # writes from graphs of several replicas (seen in TensorFlow 2.21): parts of a step
            # computed with the weights of the next.
            tf.config.optimizer.set_experimental_options({"dependency_optimization": False})
        self._dtype = _POLICIES[train_config.mixed_precision]
        self.optimizations = distribution.optimizations(train_config.optimizations)
        self.generator = self._new_generator()
        self.discriminator = discriminator.Discriminator(
            model_config, self.optimizations, dtype=self._dtype
        )
        self.discriminator.build()
        self.averaged = None
        if train_config.ema_decay:
            self.averaged = self._new_generator()
            self.begin_average()
        self.g_optimizer = self._new_adam(train_config.generator_learning_rate)
        self.d_optimizer = self._new_adam(train_config.discriminator_learning_rate)
        self.g_optimizer.build(self.generator.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.loss_scales = {}
        if train_config.mixed_precision == "float16":
            self.loss_scales = {
                self.g_optimizer: optimizers.LossScale("g"),
                self.d_optimizer: optimizers.LossScale("d"),
            }
        self.step = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name="global_step",
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
        self._compilations: dict[tuple, tuple] = {}
        self._loss_real, self._loss_fake = losses.discriminator_losses(train_config.loss_type)

    def g_step(self, z, fake_labels) -> dict[str, tf.Tensor]:
        """One Adam step on G.

        D's u is not stored; G's u and moving averages are.

        Args:
          z: float32 [batch, z_dim]; batch is a multiple of `batch_size`.
          fake_labels: int [batch].
        Returns:
          Scalars "g_loss" and "logit_fake" (mean logit), means over replicas, except inside
          `strategy.run`, where they are this replica's; and "g_gradient_norm", of the gradient
          that Adam took.
        """
        return self._on_replicas(self._g_step, _float(z), _int(fake_labels))

    def d_step(self, images, labels, z, fake_labels) -> dict[str, tf.Tensor]:
        """One Adam step on D.

        D's u is stored; G runs in training mode, so its u and moving averages move again, but
        gets no gradient.

        Args:
          images: float32 [batch, size, size, 3] in [-1, 1]; batch is a multiple of `batch_size`.
          labels: int [batch].
          z: float32 [batch, z_dim].
          fake_labels: int [batch].
        Returns:
          Scalars "d_loss", "d_loss_real", "d_loss_fake", "logit_real", "logit_fake" (mean
          logits), and "d_gradient_norm", as in `g_step`.
        """
        return self._on_replicas(
            self._d_step, _float(images), _int(labels), _float(z), _int(fake_labels)
        )

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
        self._store(
            [
                gan_updates.Update(average.value, tf.convert_to_tensor(v.value), decay)
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
        return np.concatenate(
            [
                generate(_float(z[i : i + batch_size]), _int(labels[i : i + batch_size])).numpy()
                for i in range(0, len(z), batch_size)
            ]
        )

    def _new_generator(self) -> generator.Generator:
        new = generator.Generator(
            self.model_config,
            self.train_config.group_size,
            optimizations=self.optimizations,
            dtype=self._dtype,
        )
        new.build()
        return new

    def _new_adam(self, learning_rate: float) -> optimizers.ReducedAdam:
        config = self.train_config
        return optimizers.ReducedAdam(
            learning_rate,
            beta_1=config.beta1,
            beta_2=config.beta2,
            epsilon=optimizers.ADAM_EPSILON,
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
        for network, prefix, optimizer in (
            (self.generator, "g", self.g_optimizer),
            (self.discriminator, "d", self.d_optimizer),
        ):
            state.update({v.path: v.value for v in network.weights})
            state[f"{prefix}_optimizer/iterations"] = optimizer.iterations.value
            slots = zip(network.trainable_variables, optimizer._momentums, optimizer._velocities)
            for variable, m, v in slots:
                state[f"{prefix}_optimizer/m/{variable.path}"] = m.value
                state[f"{prefix}_optimizer/v/{variable.path}"] = v.value
        for scale in self.loss_scales.values():
            state.update(scale.state())
        return state

    def _g_step(self, z, fake_labels):
        metrics, gradients, updates = self._in_parts(
            self._g_part,
            (z, fake_labels),
            _G_METRICS,
            self.generator.trainable_variables,
            self.generator.non_trainable_variables,
        )
        norm = self._apply(self.g_optimizer, self.generator.trainable_variables, gradients, updates)
        return {**metrics, "g_gradient_norm": norm}

    def _g_part(self, z, fake_labels):
        variables = self.generator.trainable_variables
        with gan_updates.collected_updates() as updates, _tape(variables) as tape:
            fake = self.generator(z, fake_labels, training=True, update_sn=True)
            logits = self.discriminator(fake, fake_labels, update_sn=False)
            loss = losses.generator_loss(logits)
            scaled = self._scaled(loss, self.g_optimizer)
        metrics = dict(zip(_G_METRICS, (loss, tf.reduce_mean(logits))))
        return metrics, _gradients(tape, scaled, variables), updates

    def _d_step(self, images, labels, z, fake_labels):
        state = self.generator.non_trainable_variables + self.discriminator.non_trainable_variables
        metrics, gradients, updates = self._in_parts(
            self._d_part,
            (images, labels, z, fake_labels),
            _D_METRICS,
            self.discriminator.trainable_variables,
            state,
        )
        norm = self._apply(
            self.d_optimizer, self.discriminator.trainable_variables, gradients, updates
        )
        return {**metrics, "d_gradient_norm": norm}

    def _d_part(self, images, labels, z, fake_labels):
        variables = self.discriminator.trainable_variables
        with gan_updates.collected_updates() as updates:
            fake = self.generator(z, fake_labels, training=True, update_sn=True)
            with _tape(variables) as tape:
                real, fake = self._real_and_fake_logits(images, labels, fake, fake_labels)
                loss_real, loss_fake = self._loss_real(real), self._loss_fake(fake)
                loss = loss_real + loss_fake
                scaled = self._scaled(loss, self.d_optimizer)
        metrics = dict(
            zip(
                _D_METRICS, (loss, loss_real, loss_fake, tf.reduce_mean(real), tf.reduce_mean(fake))
            )
        )
        return metrics, _gradients(tape, scaled, variables), updates

    def _real_and_fake_logits(self, images, labels, fake, fake_labels):
        """D treats every image by itself, and the reference's two passes start from the same u: one
        batch of real and generated images gives both logits and normalises W once."""
        if "joint_batch" not in self.optimizations:
            return (
                self.discriminator(images, labels, update_sn=True),
                self.discriminator(fake, fake_labels, update_sn=False),
            )
        logits = self.discriminator(
            tf.concat([images, fake], 0), tf.concat([labels, fake_labels], 0), update_sn=True
        )
        return tf.split(logits, [tf.shape(images)[0], tf.shape(fake)[0]])

    def _scaled(self, loss: tf.Tensor, optimizer) -> tf.Tensor:
        scale = self.loss_scales.get(optimizer)
        return loss if scale is None else loss * scale.value()

    def _compiled(self, part: Callable) -> Callable:
        """`part` as one computation of XLA, of this replica; what it stores is stored outside."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        replica = tf.get_static_value(replica)
        key = part.__name__, None if replica is None else int(replica)
        if key not in self._compilations:
            updates = []

            @tf.function(jit_compile=True, autograph=False)
            def compute(*batch):
                metrics, gradients, updates[:] = part(*batch)
                return metrics, gradients, [update.value for update in updates]

            self._compilations[key] = compute, updates
        compute, updates = self._compilations[key]

        def run(*batch):
            metrics, gradients, values = compute(*batch)
            return (
                metrics,
                gradients,
                [update._replace(value=value) for update, value in zip(updates, values)],
            )

        return run

    def _in_parts(self, part: Callable, batch: tuple, names: tuple, variables: list, state: list):
        """Means of what `part` gives for `accumulate` parts of the batch, one after the other.

        Args:
          part: function of a part of the batch to (metrics, gradients, updates).
          batch: tensors, images first.
          names: of the metrics.
          variables: those of the gradients.
          state: those of the updates.
        """
        if self.train_config.jit_compile:
            part = self._compiled(part)
        count = self.train_config.accumulate
        if count == 1:
            return part(*batch)
        parts = [tf.reshape(x, [count, x.shape[0] // count, *x.shape[1:]]) for x in batch]
        updates = {}

        def one_more(number, sums):
            metrics, gradients, found = part(*[x[number] for x in parts])
            updates.update({id(update.variable): update for update in found})
            values = [updates[id(v.value)].value for v in state]
            found = ([metrics[name] for name in names], gradients, values)
            return number + 1, tf.nest.map_structure(lambda s, x: s + x / count, sums, found)

        nothing = (
            [tf.zeros([])] * len(names),
            [tf.zeros(v.shape) for v in variables],
            [tf.zeros(v.shape) for v in state],
        )
        _, (metrics, gradients, values) = tf.while_loop(
            lambda number, _: number < count,
            one_more,
            (0, nothing),
            parallel_iterations=1,
            maximum_iterations=count,
        )
        return (
            dict(zip(names, metrics)),
            gradients,
            [updates[id(v.value)]._replace(value=value) for v, value in zip(state, values)],
        )

    def _apply(self, optimizer, variables: list, gradients: list, updates: list) -> tf.Tensor:
        """Adam's step and the layers' updates; returns the norm of the gradient."""
        # Every replica holds the same number of images, so the mean over replicas is the gradient
        # of the whole batch's mean. One reduction for all, so that TensorFlow can pack it.
        values = [update.value for update in updates]
        if self.strategy.num_replicas_in_sync > 1:
            gradients, values = tf.distribute.get_replica_context().all_reduce(
                tf.distribute.ReduceOp.MEAN, (gradients, values)
            )
        updates = [update._replace(value=value) for update, value in zip(updates, values)]
        scale = self.loss_scales.get(optimizer)
        if scale is None:
            optimizer.apply(gradients, variables)
            norm = tf.linalg.global_norm(gradients)
        else:
            gradients, norm, finite = scale.unscaled(gradients)
            optimizer.apply(gradients, variables, finite=finite)
            updates += scale.updates(finite)
        self._store(updates)
        return norm

    def _store(self, updates: list[gan_updates.Update]) -> None:
        gan_updates.on_every_device(
            [
                (update.variable, gan_updates.store, (update.value, update.decay))
                for update in updates
            ]
        )

    def _on_replicas(self, step: Callable, *batch: tf.Tensor) -> dict[str, tf.Tensor]:
        inside = tf.distribute.get_replica_context()
        if not self._distributed or (inside and inside.strategy is self.strategy):
            return step(*batch)
        replicas = self.strategy.num_replicas_in_sync
        if batch[0].shape[0] is not None and batch[0].shape[0] % replicas:
            raise ValueError(
                f"a batch of {batch[0].shape[0]} images cannot be split over {replicas} replicas"
            )
        shares = [tf.split(value, replicas) for value in batch]
        per_replica = [
            self.strategy.experimental_distribute_values_from_function(
                lambda context, share=share: share[context.replica_id_in_sync_group]
            )
            for share in shares
        ]
        results = self.strategy.run(step, args=per_replica)
        return {
            name: self.strategy.reduce("MEAN", value, axis=None) for name, value in results.items()
        }


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
    """`sigma_ratio` of each attention block, by its reference name."""
    return {
        "model/" + v.path.split("/", 1)[1]: float(v.numpy())
        for network in (gan.generator, gan.discriminator)
        for v in network.trainable_variables
        if v.path.endswith("sigma_ratio")
    }
