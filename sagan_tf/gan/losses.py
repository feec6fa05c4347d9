"""The losses, as pure functions of logits [batch, 1] (any shape does). All return scalars.

Those of the class take the classifier's logits [batch, classes] and labels, int [batch].
"""

from collections.abc import Callable

import tensorflow as tf


def hinge_real(logits: tf.Tensor) -> tf.Tensor:
    """mean(relu(1 - D(real))). Paper, equation 4; reference `model.py:63-65`."""
    return tf.reduce_mean(tf.nn.relu(1.0 - logits))


def hinge_fake(logits: tf.Tensor) -> tf.Tensor:
    """mean(relu(1 + D(fake))). Paper, equation 4; reference `model.py:68-69`."""
    return tf.reduce_mean(tf.nn.relu(1.0 + logits))


def kl_real(logits: tf.Tensor) -> tf.Tensor:
    """mean(softplus(-D(real))). Reference `model.py:76-78`."""
    return tf.reduce_mean(tf.nn.softplus(-logits))


def kl_fake(logits: tf.Tensor) -> tf.Tensor:
    """mean(softplus(D(fake))). Reference `model.py:81-82`."""
    return tf.reduce_mean(tf.nn.softplus(logits))


def generator_loss(logits: tf.Tensor) -> tf.Tensor:
    """-mean(D(fake)), with either loss type. Reference `model.py:72-73, 85-86`."""
    return -tf.reduce_mean(logits)


def class_loss(class_logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """mean(-log softmax(class_logits)[label]), the cross-entropy in nats.

    Odena, Olah, Shlens (2017), equation 3, with the sign of a loss. (A dense product, because the
    gradient of a sparse one is not deterministic on every device.)
    """
    truth = tf.one_hot(labels, class_logits.shape[-1])
    return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(truth, class_logits))


def class_accuracy(class_logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Share of the images, 0 to 1, whose largest logit is that of their label."""
    found = tf.argmax(class_logits, -1, output_type=tf.int32)
    return tf.reduce_mean(tf.cast(tf.equal(found, tf.cast(labels, tf.int32)), tf.float32))


def discriminator_losses(loss_type: str) -> tuple[Callable, Callable]:
    """(loss of logits on real images, loss of logits on generated ones) of a loss type.

    Args:
      loss_type: "hinge_loss" or "kl_loss" (checked by `config.TrainConfig`).
    """
    return {"hinge_loss": (hinge_real, hinge_fake), "kl_loss": (kl_real, kl_fake)}[loss_type]
