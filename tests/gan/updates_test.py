import keras
import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import generator, updates
from tests.testing import PLAIN_MODEL


def test_store_mixes_old_and_new():
    variable = keras.Variable([10.0, 20.0])
    updates.store(variable, tf.constant([0.0, 10.0]), 0.9)
    np.testing.assert_allclose(variable, [9, 19])
    updates.store(variable, tf.constant([1.0, 2.0]))
    np.testing.assert_allclose(variable, [1, 2])


def test_layers_store_or_hand_over_the_same():
    """With a collection nothing is stored; storing what it holds gives what the layers store."""
    network = generator.Generator(PLAIN_MODEL, group_size=2)
    network.build()
    z = tf.random.stateless_normal([4, 8], [1, 2])
    labels = tf.constant([0, 1, 2, 0])
    before = [v.numpy() for v in network.weights]

    collection = updates.Collection()
    network(z, labels, training=True, collection=collection)
    for value, variable in zip(before, network.weights):
        np.testing.assert_array_equal(variable, value)

    states = network.states()
    assert {s.variable.path for s in states} == {v.path for v in network.non_trainable_variables}
    values = collection.values(states)
    network(z, labels, training=True)
    stored = [state.variable.numpy() for state in states]
    for value, variable in zip(before, network.weights):
        variable.assign(value)
    updates.store_all(
        [updates.Update(s.variable.value, v, s.decay) for s, v in zip(states, values)]
    )
    for state, value in zip(states, stored):
        np.testing.assert_array_equal(state.variable, value, err_msg=state.variable.path)


def test_collection_names_what_has_not_moved():
    state = updates.State(keras.Variable(0.0, name="still"))
    with pytest.raises(KeyError, match="still"):
        updates.Collection().values([state])
