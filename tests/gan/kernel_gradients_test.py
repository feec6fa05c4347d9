import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import kernel_gradients, ops, resampling
from tests.testing import relative_error

KINDS = {
    "conv": (resampling.conv, [3, 3, 5, 7]),
    "downsampled": (resampling.downsampled_conv, [4, 4, 5, 7]),
    "upsampled": (resampling.upsampled_conv, [4, 4, 7, 5]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_the_convolution(kind):
    """As TensorFlow's own, on a map that is not square."""
    convolve, shape = KINDS[kind]
    x = tf.random.stateless_normal([2, 6, 8, 5], [1, 2])
    kernel = tf.random.stateless_normal(shape, [3, 4])
    found = []
    for function in (convolve, kernel_gradients.by_product(convolve)):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = function(x, kernel)
            loss = tf.reduce_sum(y * tf.random.stateless_normal(y.shape, [5, 6]))
        found.append([y, *tape.gradient(loss, [x, kernel])])
    for expected, value in zip(*found):
        assert value.shape == expected.shape
        assert relative_error(value, expected) < 1e-6


def test_gradient_counts_the_places_that_a_tap_sees():
    """All ones on a 4x4 map: the middle tap sees 16 places, one beside it 12, a corner 9."""
    x = tf.ones([1, 4, 4, 1])
    kernel = tf.ones([3, 3, 1, 1])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        y = kernel_gradients.by_product(resampling.conv)(x, kernel)
    np.testing.assert_array_equal(
        tape.gradient(y, kernel)[:, :, 0, 0], [[9, 12, 9], [12, 16, 12], [9, 12, 9]]
    )


@pytest.mark.parametrize(
    ("resample", "side", "size", "products"),
    [
        (None, 4, 3, 1),
        (None, 8, 3, 1),
        (None, 16, 3, 0),
        (None, 8, 1, 0),
        ("up", 16, 3, 1),
        ("up", 32, 3, 0),
        ("down", 32, 3, 1),
        ("down", 64, 3, 0),
    ],
)
def test_layer_takes_the_product_on_small_maps_only(resample, side, size, products):
    x = tf.random.stateless_normal([2, side, side, 5], [1, 2])
    merged = {"up_conv": 0, "down_conv": 0}
    layers = [
        ops.SNConv2D(7, size, resample=resample, optimizations=found)
        for found in (merged, {**merged, "small_conv": 0})
    ]
    gradients = []
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights([v.numpy() for v in layers[0].weights])

        def gradient(x, layer=layer):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(tf.square(layer(x)))
            return tape.gradient(loss, layer.weight.value)

        call = tf.function(gradient).get_concrete_function(x)
        gradients.append((call(x), [op.type for op in call.graph.get_operations()]))
    (plain, plain_kinds), (found, kinds) = gradients
    assert plain_kinds.count("Conv2DBackpropFilter") == 1
    assert kinds.count("Conv2DBackpropFilter") == 1 - products
    assert relative_error(found, plain) < 1e-5
