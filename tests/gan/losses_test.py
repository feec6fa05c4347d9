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
