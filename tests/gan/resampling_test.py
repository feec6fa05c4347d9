import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config
from sagan_tf.gan import ops, resampling
from tests.testing import relative_error


def rewritten_up(x, w):
    return resampling.upsampled_conv(x, resampling.upsampled_conv_kernel(w))


def rewritten_down(x, w):
    return resampling.downsampled_conv(x, resampling.downsampled_conv_kernel(w))


PAIRS = {
    "up": (lambda x, w: resampling.conv(resampling.upsample(x), w), rewritten_up),
    "down": (lambda x, w: resampling.downsample(resampling.conv(x, w)), rewritten_down),
}


def test_upsample_repeats_and_downsample_averages():
    x = tf.constant([[1.0, 2.0], [3.0, 4.0]])[None, :, :, None]
    np.testing.assert_array_equal(
        resampling.upsample(x)[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    )
    np.testing.assert_array_equal(resampling.downsample(x)[0, :, :, 0], [[2.5]])


def test_box_kernel_counts_the_places_it_covers():
    """All ones: a 3x3 kernel of ones counts 9 places, 6 at an edge and 4 in a corner."""
    ones, kernel = tf.ones([1, 2, 2, 1]), tf.ones([3, 3, 1, 1])
    np.testing.assert_allclose(
        rewritten_up(ones, kernel)[0, :, :, 0],
        [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]],
        rtol=1e-6,
    )
    # Each mean is of a corner, two edges and the middle.
    np.testing.assert_allclose(
        rewritten_down(tf.ones([1, 4, 4, 1]), kernel)[0, :, :, 0],
        np.full((2, 2), (4 + 6 + 6 + 9) / 4),
        rtol=1e-6,
    )


@pytest.mark.parametrize("resample", PAIRS)
def test_rewritten_convolution_is_the_same_forward_and_backward(resample):
    x = tf.random.stateless_normal([2, 6, 8, 5], [1, 2])
    w = tf.random.stateless_normal([3, 3, 5, 7], [3, 4])
    found = []
    for function in PAIRS[resample]:
        with tf.GradientTape() as tape:
            tape.watch([x, w])
            y = function(x, w)
            loss = tf.reduce_sum(y * tf.random.stateless_normal(y.shape, [5, 6]))
        found.append([y, *tape.gradient(loss, [x, w])])
    for expected, value in zip(*found):
        assert relative_error(value, expected) < 1e-6


@pytest.mark.parametrize("as_sums", [False, True])
def test_taps_are_added_up_in_both_directions(as_sums):
    """Of a kernel of taps 1, 10, 100 and so on, by hand."""
    w = tf.reshape(10.0 ** tf.range(9.0), [3, 3, 1, 1])
    up = resampling.upsampled_conv_kernel(w, as_sums=as_sums)
    assert up.shape == (4, 4, 1, 1)
    np.testing.assert_allclose(
        up[:, :, 0, 0],
        [
            [1e8, 1.1e8, 1.1e7, 1e6],
            [1.001e8, 1.10110e8, 1.1011e7, 1.001e6],
            [100100, 110110, 11011, 1001],
            [100, 110, 11, 1],
        ],
        rtol=1e-6,
    )
    down = resampling.downsampled_conv_kernel(w, as_sums=as_sums)
    np.testing.assert_allclose(down[:, :, 0, 0], up[::-1, ::-1, 0, 0] / 4, rtol=1e-6)


@pytest.mark.parametrize(
    ("resample", "size", "name"),
    [
        ("up", 3, "up_conv"),
        ("down", 3, "down_conv"),
        ("up", 1, "shortcut"),
        ("up", 1, "up_shortcut"),
        ("down", 1, "shortcut"),
    ],
)
def test_layer_is_the_same_rewritten_from_its_smallest_side_on(resample, size, name):
    x = tf.random.stateless_normal([2, 8, 8, 5], [1, 2])
    larger = 16 if resample == "up" else 8
    layers = [
        ops.SNConv2D(7, size, resample=resample, optimizations=optimizations)
        for optimizations in ({}, {name: larger}, {name: larger + 1})
    ]
    results, kinds = [], []
    for layer in layers:
        layer.build(x.shape)
        layer.set_weights([v.numpy() for v in layers[0].weights])
        layer.bias.assign(np.arange(7) / 7)
        call = tf.function(layer).get_concrete_function(x)
        results.append(call(x))
        kinds.append(
            [
                (op.type, *op.outputs[0].shape[1:])
                for op in call.graph.get_operations()
                if op.type.startswith("Conv2D")
            ]
        )
    assert results[0].shape == layers[0].compute_output_shape(x.shape)
    assert relative_error(results[1], results[0]) < 1e-6
    np.testing.assert_array_equal(results[2], results[0])
    assert kinds[1] != kinds[0] == kinds[2]


@pytest.mark.parametrize("resample", ["up", "down"])
def test_narrow_kernels_are_rewritten_on_maps_of_half_the_smallest_side(resample):
    side = 4 if resample == "up" else 8  # The larger of the two maps has side 8.
    for channels, smallest, strides in ((5, 16, 2), (5, 17, 1), (257, 16, 1)):
        layer = ops.SNConv2D(
            channels,
            3,
            resample=resample,
            optimizations={f"{resample}_conv": smallest, "narrow_conv": 0},
        )
        layer.build([1, side, side, 3])
        call = tf.function(layer).get_concrete_function(tf.zeros([1, side, side, 3]))
        convolutions = [op for op in call.graph.get_operations() if op.type.startswith("Conv2D")]
        assert [op.get_attr("strides")[1] for op in convolutions] == [strides]


def test_larger_kernels_are_not_rewritten():
    x, everything = (
        tf.random.stateless_normal([2, 8, 8, 5], [1, 2]),
        dict.fromkeys(config.OPTIMIZATIONS, 0),
    )
    for resample in ("up", "down"):
        plain, optimized = (
            ops.SNConv2D(7, 5, resample=resample, optimizations=optimizations)
            for optimizations in ({}, everything)
        )
        for layer in (plain, optimized):
            layer.build(x.shape)
        optimized.set_weights(plain.get_weights())
        np.testing.assert_allclose(optimized(x), plain(x), rtol=1e-6)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16])
def test_multiplied_in_float32_is_rounded_once(dtype):
    """The result is the rounded float32 result; so are the gradients."""
    x = tf.cast(tf.random.stateless_normal([2, 8, 8, 16], [1, 2]), dtype)
    w = tf.cast(tf.random.stateless_normal([3, 3, 16, 16], [3, 4]), dtype)
    found = []
    for inputs, function in (
        ((x, w), lambda x, w: resampling.in_float32(resampling.conv, x, kernel=w)),
        ((tf.cast(x, tf.float32), tf.cast(w, tf.float32)), resampling.conv),
    ):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
        found.append([y, *tape.gradient(y, inputs, tf.ones_like(y))])
    for value, expected in zip(*found):
        assert value.dtype == dtype
        np.testing.assert_array_equal(
            tf.cast(value, tf.float32), tf.cast(tf.cast(expected, dtype), tf.float32)
        )
