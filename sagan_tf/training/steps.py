"""Training steps of one loop: input batches, one iteration, and the compiled loop."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from sagan_tf import model
from sagan_tf.config import DataConfig
from sagan_tf.data import dataset
from sagan_tf.data import records as data_records
from sagan_tf.gan import noise
from sagan_tf.runtime import distribution

# In the order in which they come to be: the first that is not finite is where it began.
METRICS = (
    "g_loss",
    "g_gradient_norm",
    "logit_fake",
    "logit_real",
    "d_loss_fake",
    "d_loss_real",
    "d_loss",
    "d_gradient_norm",
)
WAIT = "input_wait"


def input_batches(
    gan: model.SAGAN,
    records: data_records.Records,
    *,
    data_config: DataConfig,
    seed: int,
    step: int = 0,
):
    """Iterator of the batches of all devices, from where a run of `step` iterations has got to.

    The strategy puts each device's next share there while the one before is at work.
    """
    config, strategy = gan.train_config, gan.strategy
    global_batch = config.batch_size * config.num_towers

    def own_share(context):
        shard = dataset.InputShard(
            context.input_pipeline_id,
            context.num_input_pipelines,
            strategy.num_replicas_in_sync // context.num_input_pipelines,
        )
        return dataset.training_batches(
            records,
            data_config,
            batch_size=global_batch,
            seed=seed,
            start=step * config.d_step * global_batch,
            shard=shard,
        )

    return iter(strategy.distribute_datasets_from_function(own_share))


def make_iteration(gan: model.SAGAN, seed: int) -> Callable:
    """One iteration of one replica, to be called by `strategy.run`, or without a strategy.

    A function of its `d_step` batches of real images, pairs of uint8 [batch, size, size, 3] and
    int32 [batch]; it returns `METRICS`, float32. All shapes are static, so that XLA
    can compile the whole of it.
    """
    config = gan.train_config
    towers = distribution.towers_per_replica(config, gan.strategy)

    def draw(purpose, substep):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return noise.draw_towers(
            seed,
            gan.step,
            purpose=purpose,
            substep=substep,
            first_tower=replica * towers,
            towers=towers,
            batch_size=config.batch_size,
            z_dim=gan.model_config.z_dim,
            number_classes=gan.model_config.number_classes,
        )

    def iteration(real):
        metrics = {}
        for substep in range(config.g_step):
            metrics.update(gan.g_step(*draw(noise.G_STEP, substep)))
        for substep, (images, labels) in enumerate(real):
            metrics.update(
                gan.d_step(data_records.to_float(images), labels, *draw(noise.D_STEP, substep))
            )
        gan.update_average()
        return tf.stack([metrics[name] for name in METRICS])

    return iteration


def make_train_steps(gan: model.SAGAN, seed: int) -> Callable:
    """The inner loop: a function of (iterator of real batches, count) that runs `count` iterations.

    The batches hold uint8 images: they become floats on the device, a quarter of the way there.
    It returns the metrics of the last iteration, with "input_wait", seconds in which all iterations
    waited for their images (not a number with `deterministic`, where TensorFlow has no clock), and
    -1; or, where an iteration's metrics were not finite, those of the first such one and its
    number. Nothing is asked of Python in between.
    """
    config, strategy = gan.train_config, gan.strategy
    iteration = make_iteration(gan, seed)
    now = (lambda: tf.constant(np.nan, tf.float64)) if config.deterministic else tf.timestamp

    # Nothing in there is Python's control flow on tensors: reading our source, and that of Keras,
    # for AutoGraph would take half of the tracing.
    @tf.autograph.experimental.do_not_convert
    def count_iteration(real):
        metrics = strategy.reduce("MEAN", strategy.run(iteration, args=(real,)), axis=None)
        with tf.control_dependencies([metrics]):
            gan.step.assign_add(1)
        return metrics

    @tf.function
    def train_steps(batches, count):
        metrics = tf.zeros([len(METRICS)])
        bad_step = tf.constant(-1, tf.int64)
        waited = tf.zeros([], tf.float64)
        for _ in tf.range(count):
            # An iteration begins when the one before it has ended and its own images are there
            # (which is what the condition, always true, is for): a record that cannot be read
            # leaves the variables as the last whole iteration left them.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            with tf.control_dependencies([metrics]):
                began = now()
            with tf.control_dependencies([began]):
                real = [next(batches) for _ in range(config.d_step)]
            arrived = _have_arrived(strategy, real)
            with tf.control_dependencies([arrived]):
                waited += now() - began
            found = tf.cond(
                arrived,
                lambda real=real: count_iteration(real),
                lambda: tf.fill([len(METRICS)], np.float32(np.nan)),
            )
            metrics = tf.where(bad_step < 0, found, metrics)
            finite = tf.reduce_all(tf.math.is_finite(metrics))
            bad_step = tf.where(
                tf.logical_or(finite, bad_step >= 0), bad_step, gan.step.read_value()
            )
        return {**dict(zip(METRICS, tf.unstack(metrics))), WAIT: waited}, bad_step

    return train_steps


def _have_arrived(strategy: tf.distribute.Strategy, real) -> tf.Tensor:
    """True, but not before every replica's labels are there."""
    labels = [share for _, batch in real for share in strategy.experimental_local_results(batch)]
    return tf.reduce_all([tf.reduce_min(share) >= 0 for share in labels])
