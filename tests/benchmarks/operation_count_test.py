import pytest
import tensorflow as tf

from sagan_tf.benchmarks import operation_count


def cost(function, *shapes):
    traced = tf.function(function, autograph=False).get_concrete_function(
        *(tf.TensorSpec(shape) for shape in shapes)
    )
    return operation_count.cost_of(traced.graph)


def test_convolutions_and_products_by_hand():
    # 2 images of 8x8, 3 -> 5 channels by 3x3: 2 * (2 * 64 * 5) * (9 * 3).
    assert cost(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), [2, 8, 8, 3], [3, 3, 3, 5]).flop == {
        "Conv2D": 2 * 2 * 64 * 5 * 27
    }
    # Stride 2 makes a quarter of the places; its transposed twin costs the same.
    assert cost(lambda x, w: tf.nn.conv2d(x, w, 2, "SAME"), [2, 8, 8, 3], [4, 4, 3, 5]).flop == {
        "Conv2D": 2 * 2 * 16 * 5 * 48
    }
    assert cost(
        lambda x, w: tf.nn.conv2d_transpose(x, w, [2, 8, 8, 3], 2, "SAME"),
        [2, 4, 4, 5],
        [4, 4, 3, 5],
    ).flop == {"Conv2DBackpropInput": 2 * 2 * 16 * 5 * 48}
    assert cost(tf.matmul, [3, 5], [5, 7]).flop == {"MatMul": 2 * 3 * 5 * 7}
    assert cost(lambda a, b: tf.matmul(a, b, transpose_a=True), [6, 5, 3], [6, 5, 7]).flop == {
        "BatchMatMulV2": 2 * 6 * 3 * 5 * 7
    }
    assert cost(lambda a, b: tf.einsum("ab,bc->ac", a, b), [3, 5], [5, 7]).flop == {
        "Einsum": 2 * 3 * 5 * 7
    }


def test_gradients_cost_what_the_forward_pass_does_and_unused_ones_nothing():
    def of(*sources):
        def function(x, w):
            given = {"x": x, "w": w}
            with tf.GradientTape() as tape:
                tape.watch(given)
                y = tf.nn.conv2d(x, w, 1, "SAME")
            return tape.gradient(y, [given[name] for name in sources])

        return cost(function, [2, 8, 8, 3], [3, 3, 3, 5]).flop

    each = 2 * 2 * 64 * 5 * 27
    assert of("x") == {"Conv2DBackpropInput": each}
    assert of("x", "w") == {"Conv2DBackpropInput": each, "Conv2DBackpropFilter": each}


def test_bytes_are_those_read_and_written():
    # A float32 sum of two maps of 6 numbers reads two and writes one.
    assert cost(lambda a, b: a + b, [2, 3], [2, 3]).bytes_moved == 3 * 6 * 4


def test_bytes_of_variables_are_counted():
    w, m, v = (tf.Variable(tf.zeros([2, 3])) for _ in range(3))

    def adam(gradient):
        tf.raw_ops.ResourceApplyAdam(
            var=w.handle,
            m=m.handle,
            v=v.handle,
            beta1_power=0.5,
            beta2_power=0.5,
            lr=0.5,
            beta1=0.5,
            beta2=0.5,
            epsilon=0.5,
            grad=gradient,
        )

    # The gradient and six numbers are read; w, m and v are read and written.
    assert cost(adam, [2, 3]).bytes_moved == (7 * 6 + 6) * 4
    assert cost(w.assign, [2, 3]).bytes_moved == 2 * 6 * 4
    assert cost(w.assign_add, [2, 3]).bytes_moved == 3 * 6 * 4


def test_unknown_shape_is_refused():
    with pytest.raises(ValueError, match="a shape is not known"):
        cost(tf.matmul, [None, 5], [5, 7])


def test_count_is_that_of_tensorflow_s_profiler():
    """For convolutions and products; Einsum and BatchMatMulV2 the profiler does not count."""

    def network(x, w, v):
        return tf.matmul(tf.reshape(tf.nn.conv2d(x, w, 2, "SAME"), [2, -1]), v)

    def options():
        builder = tf.compat.v1.profiler.ProfileOptionBuilder
        return builder(builder.float_operation()).with_empty_output().build()

    shapes = ([2, 8, 8, 3], [3, 3, 3, 5], [4 * 4 * 5, 7])
    traced = tf.function(network, autograph=False).get_concrete_function(
        *(tf.TensorSpec(shape) for shape in shapes)
    )
    profile = tf.compat.v1.profiler.profile(traced.graph, options=options())
    assert operation_count.cost_of(traced.graph).total_flop == profile.total_float_ops
