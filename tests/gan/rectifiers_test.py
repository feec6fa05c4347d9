import numpy as np
import tensorflow as tf

from sagan_tf.gan import rectifiers

_X = np.array([-2.0, -0.0, 0.0, 1e-30, 3.0], np.float32)
_DY = np.array([5.0, 7.0, 11.0, 13.0, 17.0], np.float32)
# The slope of max(x, 0) at 0 is 0, as TensorFlow has it.
_THROUGH = np.array([0.0, 0.0, 0.0, 13.0, 17.0], np.float32)


def test_relu_by_result_and_its_gradient():
    x = tf.constant(_X)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = rectifiers.relu_by_result(x)
    np.testing.assert_array_equal(y, [0.0, 0.0, 0.0, np.float32(1e-30), 3.0])
    np.testing.assert_array_equal(tape.gradient(y, x, tf.constant(_DY)), _THROUGH)


def test_relu_by_result_in_half_precision():
    x = tf.constant([-1.0, 0.0, 2.0], tf.bfloat16)
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = rectifiers.relu_by_result(x)
    gradient = tape.gradient(y, x)
    assert y.dtype == gradient.dtype == tf.bfloat16
    np.testing.assert_array_equal(tf.cast(gradient, tf.float32), [0.0, 0.0, 1.0])


def test_what_comes_through_a_relu_twice():
    once, again = rectifiers.through_relu(tf.constant(_DY), tf.constant(_X))
    np.testing.assert_array_equal(once, _THROUGH)
    np.testing.assert_array_equal(again, _THROUGH)
