"""Training steps of one loop: input batches, one iteration, and the compiled loop."""

from collections.abc import Callable
from typing import Optional

import numpy as np
import tensorflow as tf

from sagan_tf import model
from sagan_tf.config import DataConfig, ModelConfig
from sagan_tf.data import dataset
from sagan_tf.data.records import Records, to_float
from sagan_tf.gan import augmentation, noise, objectives
from sagan_tf.runtime import distribution

WAIT = "input_wait"


def metric_names(model_config: ModelConfig) -> tuple[str, ...]:
    """Names of an iteration's metrics (`objectives.of_generator`, `of_discriminator`).

    In the order in which they come to be: the first that is not finite is where it began.
    """
    # G's mean logit gives way to D's, of the same name.
    of_g = [name for name in objectives.g_metrics(model_config) if name != "logit_fake"]
    of_d = objectives.d_metrics(model_config)
    return (*of_g, "g_gradient_norm", *of_d, "d_gradient_norm")


def input_batches(
    gan: model.SAGAN,
    records: Records,
    *,
    data_config: DataConfig,
    seed: int,
    step: int = 0,
):
    """Iterator of the batches of all devices, from where a run of `step` iterations has got to.

    The strategy puts each device's next batch there while the one before is at work.
    """
    # See how many images the steps before have used.
    strategy = gan.strategy
    batch_size = gan.train_config.batch_size * gan.train_config.num_towers
    images_before = step * gan.train_config.d_step * batch_size

    # Let each worker read its own part.
    def worker_batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        shard = dataset.InputShard(
            context.input_pipeline_id,
            context.num_input_pipelines,
            strategy.num_replicas_in_sync // context.num_input_pipelines,
        )
        return dataset.training_batches(
            records,
            data_config,
            batch_size=batch_size,
            seed=seed,
            start=images_before,
            shard=shard,
        )

    return iter(strategy.distribute_datasets_from_function(worker_batches))


def make_iteration(gan: model.SAGAN, seed: int) -> Callable:
    """One iteration of one replica, to be called by `strategy.run`, or without a strategy.

    A function of its `d_step` batches of real images, pairs of uint8 [batch, size, size, 3] and
    int32 [batch]; it returns those of `metric_names`, float32. All shapes are static, so that XLA
    can compile the whole of it.
    """
    # Find how many towers this replica runs.
    config = gan.train_config
    towers = distribution.towers_per_replica(config, gan.strategy)
    names = metric_names(gan.model_config)

    # Draw for one network, and train both in turn.
    def drawn(draw: Callable, purpose: int, *, substep: int, **options):
        """What is drawn for this replica's towers."""
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return draw(
            seed,
            gan.step,
            purpose=purpose,
            substep=substep,
            first_tower=replica * towers,
            towers=towers,
            batch_size=config.batch_size,
            **options,
        )

    def draw(purpose: int, substep: int) -> tuple[tf.Tensor, tf.Tensor]:
        """z and fake labels."""
        return drawn(
            noise.draw_towers,
            purpose,
            substep=substep,
            z_dim=gan.model_config.z_dim,
            number_classes=gan.model_config.number_classes,
        )

    def draw_numbers(purpose: int, substep: int, *sets: int) -> Optional[tf.Tensor]:
        """Random numbers of the augmentation, if there is one; `sets` of them for each image."""
        if gan.augmentation is None:
            return None
        shape = [*sets, gan.augmentation.numbers]
        return drawn(noise.draw_numbers, purpose, substep=substep, shape=shape)

    def mirrored(pixels: tf.Tensor, substep: int) -> tf.Tensor:
        """Real images, each turned left to right or not, where the settings say so."""
        if not config.mirror:
            return pixels
        numbers = drawn(noise.draw_numbers, noise.MIRROR, substep=substep, shape=[])
        return augmentation.mirrored(pixels, numbers)

    def iteration(batches) -> tf.Tensor:
        # Update the generator.
        metrics = {}
        for substep in range(config.g_step):
            z, fake_labels = draw(noise.G_STEP, substep)
            numbers = draw_numbers(noise.G_AUGMENT, substep)
            metrics.update(gan.g_step(z, fake_labels, numbers))

        # Update the discriminator.
        for substep, (pixels, labels) in enumerate(batches):
            images = to_float(mirrored(pixels, substep))
            z, fake_labels = draw(noise.D_STEP, substep)
            numbers = draw_numbers(noise.D_AUGMENT, substep, 2)
            metrics.update(gan.d_step(images, labels, z, fake_labels, numbers))

        # Move the average, and report.
        gan.update_average()
        return tf.stack([metrics[name] for name in names])

    return iteration


def make_train_steps(gan: model.SAGAN, seed: int) -> Callable:
    """The compiled loop: a function of (iterator of batches, count) that runs `count` iterations.

    The batches hold uint8 images: they become floats on the device, a quarter of the way there.

    The function returns two things. The first is the metrics of the last iteration by name, and
    `WAIT`: seconds in which all iterations waited for their images. `WAIT` is not a number where
    TensorFlow is deterministic, and so has no clock. The second is -1; or, where an iteration's
    metrics were not finite, its number, and then the metrics are those of the first such one.

    It has three parts: the clock, one iteration on all replicas, and the loop over iterations. The
    host does not intervene between two iterations.
    """
    config = gan.train_config
    names = metric_names(gan.model_config)
    has_clock = _has_clock()
    run_iteration = _on_all_replicas(gan, make_iteration(gan, seed))

    # There is no Python's control flow on tensors in it: AutoGraph need not read its source.
    @tf.function(autograph=False)
    def train_steps(iterator, count):
        def train_once(number, metrics, bad_step, waited):
            # Wait for the iteration before, and only then for this one's images.
            with tf.control_dependencies([metrics]):
                began = _clock(has_clock)
            with tf.control_dependencies([began]):
                batches = [iterator.get_next() for _ in range(config.d_step)]
            arrived = _have_arrived(gan.strategy, batches)
            with tf.control_dependencies([arrived]):
                waited += _clock(has_clock) - began

            # The clock is read before anything else begins: where one thread runs all, it would
            # otherwise come last.
            with tf.control_dependencies([waited]):
                arrived = tf.identity(arrived)

            # Train on them. The condition is always true: it is there so that a record that cannot
            # be read leaves the variables as the last whole iteration left them.
            new_metrics = tf.cond(
                arrived,
                lambda: run_iteration(batches),
                lambda: tf.fill([len(names)], np.float32(np.nan)),
            )

            # Keep the newest metrics, or the first ones that are not finite.
            metrics = tf.where(bad_step < 0, new_metrics, metrics)
            is_finite = tf.reduce_all(tf.math.is_finite(metrics))
            bad_step = tf.where(
                tf.logical_or(is_finite, bad_step >= 0), bad_step, gan.step.read_value()
            )
            return number + 1, metrics, bad_step, waited

        # Begin with nothing found, and run all iterations.
        nothing = tf.zeros([len(names)]), tf.constant(-1, tf.int64), tf.zeros([], tf.float64)
        _, metrics, bad_step, waited = tf.while_loop(
            lambda number, *_: number < count,
            train_once,
            (tf.constant(0), *nothing),
            parallel_iterations=1,
        )

        # Name the metrics.
        by_name = dict(zip(names, tf.unstack(metrics)))
        by_name[WAIT] = waited
        return by_name, bad_step

    return train_steps


def _on_all_replicas(gan: model.SAGAN, iteration: Callable) -> Callable:
    """One iteration on all replicas: means of their metrics, after which the step counts."""

    # Nothing in there is Python's control flow on tensors: reading our source, and that of Keras,
    # for AutoGraph would take half of the tracing.
    @tf.autograph.experimental.do_not_convert
    def run_iteration(batches) -> tf.Tensor:
        per_replica = gan.strategy.run(iteration, args=(batches,))
        metrics = gan.strategy.reduce("MEAN", per_replica, axis=None)
        with tf.control_dependencies([metrics]):
            gan.step.assign_add(1)
        return metrics

    return run_iteration


def _has_clock() -> bool:
    """Whether TensorFlow tells the time: it does not where it is deterministic.

    That may be by --deterministic, or by TF_DETERMINISTIC_OPS in the environment.
    """
    try:
        tf.timestamp()
    except tf.errors.FailedPreconditionError:
        return False
    return True


def _clock(has_clock: bool) -> tf.Tensor:
    """Seconds, float64, when the ops it depends on have run; not a number without a clock."""
    if not has_clock:
        return tf.constant(np.nan, tf.float64)
    return tf.timestamp()


def _have_arrived(strategy: tf.distribute.Strategy, batches) -> tf.Tensor:
    """True, but not before every replica's labels are there."""
    smallest = []
    for _, labels in batches:
        for own_labels in strategy.experimental_local_results(labels):
            smallest.append(tf.reduce_min(own_labels) >= 0)
    return tf.reduce_all(smallest)
