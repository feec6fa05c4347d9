import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import execution, updates


@pytest.fixture(name="strategy", scope="module")
def fixture_strategy():
    return tf.distribute.MirroredStrategy(
        ["CPU:0", "CPU:1"], cross_device_ops=tf.distribute.ReductionToOneDevice()
    )


def part(x):
    """Means of a batch, three times."""
    mean = tf.reduce_mean(x)
    return execution.Outcome({"loss": mean}, [mean * tf.ones([2])], [mean + 1])


def zeros():
    return execution.Outcome({"loss": tf.zeros([])}, [tf.zeros([2])], [tf.zeros([])])


def test_zero_outcome_has_the_shapes_of_what_a_step_finds():
    weight = keras.Variable([[1.0, 2.0]])
    state = updates.State(keras.Variable([3.0]))
    found = execution.zero_outcome(["loss"], [weight], [state])
    np.testing.assert_array_equal(found.metrics["loss"], 0)
    np.testing.assert_array_equal(found.gradients, [[[0, 0]]])
    np.testing.assert_array_equal(found.values, [[0]])


@pytest.mark.parametrize("in_a_graph", [False, True])
def test_pieces_give_the_means_of_what_each_gives(in_a_graph):
    """Squares are not linear: pieces (1, 2), (3, 6) have the mean of 1.5^2 and 4.5^2, 11.25."""

    def squared(x):
        return execution.Outcome(*tf.nest.map_structure(tf.square, tuple(part(x))))

    run = execution.accumulated(squared, 2, zeros=zeros)
    run = tf.function(run, autograph=False) if in_a_graph else run
    found = run(tf.constant([1.0, 2.0, 3.0, 6.0]))
    np.testing.assert_allclose(found.metrics["loss"], 11.25)
    np.testing.assert_allclose(found.gradients, [[11.25, 11.25]])
    np.testing.assert_allclose(found.values, [(2.5**2 + 5.5**2) / 2])


def test_one_piece_is_the_part_itself():
    assert execution.accumulated(part, 1, zeros=zeros) is part


def test_each_replica_compiles_the_part_once(strategy):
    replicas = []

    def traced(x):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        replicas.append(int(tf.get_static_value(replica)))
        return part(x)

    run = execution.compiled(traced, 2)
    for _ in range(2):
        found = strategy.run(lambda: run(tf.constant([1.0, 3.0])))
        losses = strategy.experimental_local_results(found.metrics["loss"])
        np.testing.assert_allclose(losses, [2, 2])
    assert replicas == [0, 1]


def test_mean_over_replicas_leaves_metrics_alone(strategy):
    def step():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return execution.mean_over_replicas(part(tf.cast(replica, tf.float32)[None]))

    found = strategy.run(step)
    results = tf.nest.map_structure(strategy.experimental_local_results, tuple(found))
    np.testing.assert_allclose(results[0]["loss"], [0, 1])
    np.testing.assert_allclose(results[1][0], [[0.5, 0.5]] * 2)
    np.testing.assert_allclose(results[2][0], [1.5, 1.5])


def test_batch_outside_is_split_in_order_and_results_are_means(strategy):
    def step(x):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        return {"weighted": tf.reduce_sum(x) * (1.0 + 9.0 * tf.cast(replica, tf.float32))}

    found = execution.on_replicas(strategy, step, tf.constant([1.0, 2.0, 3.0, 4.0]))
    assert float(found["weighted"]) == (3 + 70) / 2
    with pytest.raises(ValueError, match="3 images cannot be split over 2 replicas"):
        execution.on_replicas(strategy, step, tf.ones([3]))
