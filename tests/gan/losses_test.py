import math

import pytest
import tensorflow as tf

from sagan_tf.gan import losses

LOGITS = tf.constant([[-2.0], [0.0], [3.0]])


def test_hinge():
    real, fake = losses.discriminator_losses("hinge_loss")
    assert float(real(LOGITS)) == pytest.approx((3 + 1 + 0) / 3)
    assert float(fake(LOGITS)) == pytest.approx((0 + 1 + 4) / 3)


def test_kl():
    real, fake = losses.discriminator_losses("kl_loss")
    softplus = [math.log1p(math.exp(x)) for x in (-2.0, 0.0, 3.0)]
    assert float(fake(LOGITS)) == pytest.approx(sum(softplus) / 3)
    assert float(real(LOGITS)) == pytest.approx((sum(softplus) - (-2 + 0 + 3)) / 3)


def test_generator_loss():
    assert float(losses.generator_loss(LOGITS)) == pytest.approx(-1 / 3)


def test_class_loss_and_accuracy():
    """Logits are logarithms of 1:1:2, and of 8:1:1; the labels' shares are 1/2 and 1/10."""
    class_logits = tf.math.log(tf.constant([[1.0, 1.0, 2.0], [8.0, 1.0, 1.0]]))
    expected = -(math.log(1 / 2) + math.log(1 / 10)) / 2
    assert float(losses.class_loss(class_logits, tf.constant([2, 1]))) == pytest.approx(expected)
    assert float(losses.class_accuracy(class_logits, tf.constant([2, 1]))) == 0.5
    assert float(losses.class_accuracy(class_logits, tf.constant([2, 0]))) == 1
