"""SAGAN: the two networks, their optimizers, and one step of each.

Nothing here knows of files, flags or loops. A step is a function of its inputs: what is drawn at
random (z, fake labels) comes in as arguments.
"""

from collections.abc import Callable
from typing import Optional

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import config as config_lib
from sagan_tf import discriminator, generator, losses, noise
from sagan_tf import images as images_lib

# Adam's epsilon in TensorFlow 1 (Keras's default is 1e-7).
ADAM_EPSILON = 1e-8


class SAGAN:
    """Generator, discriminator, an Adam for each, and the step counter.

    Make it inside `strategy.scope()` to train on several devices, or without any strategy. The
    steps may be called where `strategy.run` calls them (with that replica's share of the batch)
    or outside (with the whole batch, which is then split evenly, consecutive towers together).

    Args:
      model_config: `config.ModelConfig`.
      train_config: `config.TrainConfig`; `batch_size` is the size of a tower, the group of
        consecutive images that batch norm takes its moments over.

    Attributes:
      generator, discriminator: `generator.Generator`, `discriminator.Discriminator`.
      g_optimizer, d_optimizer: `keras.optimizers.Adam`.
      step: int64 variable, iterations done; the training loop counts it up.
    """

    def __init__(self, model_config: config_lib.ModelConfig,
                 train_config: Optional[config_lib.TrainConfig] = None):
        train_config = train_config or config_lib.TrainConfig()
        self.model_config = model_config
        self.train_config = train_config
        self.strategy = tf.distribute.get_strategy()
        self._distributed = tf.distribute.has_strategy()
        self.generator = generator.Generator(model_config, train_config.batch_size)
        self.discriminator = discriminator.Discriminator(model_config)
        self.generator.build()
        self.discriminator.build()
        self.g_optimizer = _adam(train_config, train_config.generator_learning_rate)
        self.d_optimizer = _adam(train_config, train_config.discriminator_learning_rate)
        self.g_optimizer.build(self.generator.trainable_variables)
        self.d_optimizer.build(self.discriminator.trainable_variables)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="global_step",
                                aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA)
        self._loss_real, self._loss_fake = losses.discriminator_losses(train_config.loss_type)

    def g_step(self, z, fake_labels) -> dict[str, tf.Tensor]:
        """One Adam step on G.

        D's u is not stored; G's u and moving averages are.

        Args:
          z: float32 [batch, z_dim]; batch is a multiple of `batch_size`.
          fake_labels: int [batch].
        Returns:
          Scalars "g_loss" and "logit_fake" (mean logit); means over replicas, except inside
          `strategy.run`, where they are this replica's.
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
          logits); means over replicas, except inside `strategy.run`.
        """
        return self._on_replicas(
            self._d_step, _float(images), _int(labels), _float(z), _int(fake_labels))

    def sample(self, z, labels, batch_size: int = 100) -> np.ndarray:
        """Images with moving statistics and u as it stands, in batches of `batch_size`.

        Args:
          z: float32 [n, z_dim].
          labels: int [n].
        Returns:
          float32 [n, size, size, 3] in [-1, 1].
        """
        return np.concatenate([
            self._generate(_float(z[i:i + batch_size]), _int(labels[i:i + batch_size])).numpy()
            for i in range(0, len(z), batch_size)])

    def class_grid(self, rows: int = 10, columns: int = 10) -> np.ndarray:
        """Samples of fixed z, one class a row (at most `rows`, spread evenly over the classes).

        Returns:
          uint8 [rows * size, columns * size, 3].
        """
        classes = self.model_config.number_classes
        rows = min(rows, classes)
        z, labels = noise.draw_grid(self.train_config.seed, rows, columns, self.model_config.z_dim,
                                    classes)
        return images_lib.grid(images_lib.to_uint8(self.sample(z, labels)), rows, columns)

    @tf.function(reduce_retracing=True, autograph=False)
    def _generate(self, z, labels):
        return self.generator(z, labels, training=False, update_sn=False)

    def state(self) -> dict[str, tf.Variable]:
        """Every variable that a continued run needs, by name.

        `generator/...` and `discriminator/...` (paths of weights), `g_optimizer/m/<path>`,
        `g_optimizer/v/<path>`, `g_optimizer/iterations` and the same of D, `global_step`.
        """
        state = {"global_step": self.step}
        for network, prefix, optimizer in ((self.generator, "g", self.g_optimizer),
                                           (self.discriminator, "d", self.d_optimizer)):
            state.update({v.path: v.value for v in network.weights})
            state[f"{prefix}_optimizer/iterations"] = optimizer.iterations.value
            slots = zip(network.trainable_variables, optimizer._momentums, optimizer._velocities)
            for variable, m, v in slots:
                state[f"{prefix}_optimizer/m/{variable.path}"] = m.value
                state[f"{prefix}_optimizer/v/{variable.path}"] = v.value
        return state

    def _g_step(self, z, fake_labels):
        variables = self.generator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            fake = self.generator(z, fake_labels, training=True, update_sn=True)
            logits = self.discriminator(fake, fake_labels, update_sn=False)
            loss = losses.generator_loss(logits)
        self._apply(self.g_optimizer, tape, loss, variables)
        return {"g_loss": loss, "logit_fake": tf.reduce_mean(logits)}

    def _d_step(self, images, labels, z, fake_labels):
        fake = self.generator(z, fake_labels, training=True, update_sn=True)
        variables = self.discriminator.trainable_variables
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch([v.value for v in variables])
            # D treats every image by itself, and the reference's two passes start from the same
            # u: one batch of real and generated images gives both logits and normalises W once.
            logits = self.discriminator(tf.concat([images, fake], 0),
                                        tf.concat([labels, fake_labels], 0), update_sn=True)
            real, fake = tf.split(logits, [tf.shape(images)[0], tf.shape(z)[0]])
            loss_real, loss_fake = self._loss_real(real), self._loss_fake(fake)
            loss = loss_real + loss_fake
        self._apply(self.d_optimizer, tape, loss, variables)
        return {"d_loss": loss, "d_loss_real": loss_real, "d_loss_fake": loss_fake,
                "logit_real": tf.reduce_mean(real), "logit_fake": tf.reduce_mean(fake)}

    def _apply(self, optimizer, tape, loss, variables) -> None:
        gradients = tape.gradient(loss, [v.value for v in variables])
        # The optimizer sums gradients over replicas; every replica holds the same number of
        # images, so dividing by their number makes the sum the gradient of the whole batch's mean.
        replicas = self.strategy.num_replicas_in_sync
        optimizer.apply([tf.convert_to_tensor(g) / replicas for g in gradients], variables)

    def _on_replicas(self, step: Callable, *batch: tf.Tensor) -> dict[str, tf.Tensor]:
        inside = tf.distribute.get_replica_context()
        if not self._distributed or (inside and inside.strategy is self.strategy):
            return step(*batch)
        replicas = self.strategy.num_replicas_in_sync
        if batch[0].shape[0] is not None and batch[0].shape[0] % replicas:
            raise ValueError(f"a batch of {batch[0].shape[0]} images cannot be split over "
                             f"{replicas} replicas")
        shares = [tf.split(value, replicas) for value in batch]
        per_replica = [
            self.strategy.experimental_distribute_values_from_function(
                lambda context, share=share: share[context.replica_id_in_sync_group])
            for share in shares]
        results = self.strategy.run(step, args=per_replica)
        return {name: self.strategy.reduce("MEAN", value, axis=None)
                for name, value in results.items()}


def _adam(train_config: config_lib.TrainConfig, learning_rate: float) -> keras.optimizers.Adam:
    return keras.optimizers.Adam(learning_rate, beta_1=train_config.beta1,
                                 beta_2=train_config.beta2, epsilon=ADAM_EPSILON)


def _float(value) -> tf.Tensor:
    return tf.cast(value, tf.float32)


def _int(value) -> tf.Tensor:
    return tf.cast(value, tf.int32)
