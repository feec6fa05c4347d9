import numpy as np

from sagan_tf.bridges import classes
from sagan_tf.bridges.mapping import Network


def test_classes_begin_as_the_mean():
    gamma = np.array([[1.0, 2.0], [3.0, 6.0]], np.float32)
    network = Network(
        {
            "g_block1/cbn_0/gamma": gamma,
            "d_embedding/embedding_map": 2 * gamma,
            "d_embedding/u": np.array([[1.0, 0.0]], np.float32),
            "g_bn/gamma": gamma[0],
        },
        {"d_embedding": 3.0},
    )
    found = classes.with_classes(network, 4)
    np.testing.assert_array_equal(found.arrays["g_block1/cbn_0/gamma"], [[2, 4]] * 4)
    np.testing.assert_array_equal(found.arrays["d_embedding/embedding_map"], [[4, 8]] * 4)
    np.testing.assert_array_equal(found.arrays["d_embedding/u"], [[0.5] * 4])
    np.testing.assert_array_equal(found.arrays["g_bn/gamma"], gamma[0])
