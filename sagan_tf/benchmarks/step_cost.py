"""Cost of a training step, or of a pass of a network, counted from its graph."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from sagan_tf import model
from sagan_tf.benchmarks import operation_count
from sagan_tf.benchmarks.setting import Setting
from sagan_tf.data import records
from sagan_tf.training import steps


def cost_of_step(setting: Setting, what: str) -> operation_count.Cost:
    """What an iteration, or a forward pass, costs.

    XLA and parts of a batch (`accumulate`) change where things are computed, not how many.

    Args:
      setting: the model and its batch.
      what: as in `workload.Workload`.
    """
    train_config = dataclasses.replace(setting.train, accumulate=1, jit_compile=False, bn_group=0)
    with tf.device("CPU:0"):
        gan = model.SAGAN(setting.model, train_config)
        function, inputs = _function(gan, setting, what=what)
        traced = tf.function(function, autograph=False).get_concrete_function(*inputs)
    return operation_count.cost_of(traced.graph)


def _function(
    gan: model.SAGAN, setting: Setting, *, what: str
) -> tuple[Callable, tuple[tf.TensorSpec, ...]]:
    """A function and what it takes, for all images of a step."""
    # Describe the inputs.
    size = setting.model.image_size
    z = tf.TensorSpec([setting.batch, setting.model.z_dim])
    labels = tf.TensorSpec([setting.batch], tf.int32)
    images = tf.TensorSpec([setting.batch, size, size, 3], tf.uint8)

    # Choose the function.
    if what == "train":
        iteration = steps.make_iteration(gan, 0)
        d_step = setting.train.d_step
        return lambda images, labels: iteration([(images, labels)] * d_step), (images, labels)
    if what == "generator":
        return lambda z, labels: gan.generator(z, labels, training=True), (z, labels)
    if what == "discriminator":
        return (
            lambda images, labels: gan.discriminator(records.to_float(images), labels),
            (images, labels),
        )
    return gan.generator, (z, labels)
