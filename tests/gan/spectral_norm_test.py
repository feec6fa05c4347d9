import numpy as np
import tensorflow as tf

from sagan_tf.gan import spectral_norm


def test_spectral_normalize_of_known_matrix():
    # diag(3, 1) from u = (1, 1)/sqrt(2): v = (3, 1)/sqrt(10), v W = (9, 1)/sqrt(10),
    # u' = (9, 1)/sqrt(82), sigma = sqrt(82 / 10).
    w = tf.constant([[3.0, 0.0], [0.0, 1.0]])
    w_bar, new_u = spectral_norm.spectral_normalize(w, tf.constant([[0.5**0.5, 0.5**0.5]]))
    np.testing.assert_allclose(new_u, [[9 / 82**0.5, 1 / 82**0.5]], rtol=1e-6)
    np.testing.assert_allclose(w_bar, w / 8.2**0.5, rtol=1e-6)


def test_settled_u_is_the_leading_singular_vector():
    w = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    u = spectral_norm.settled(tf.constant(w), tf.ones([1, 5]))
    _, values, vectors = np.linalg.svd(w)
    np.testing.assert_allclose(abs(np.sum(u * vectors[0])), 1, rtol=1e-5)
    np.testing.assert_allclose(spectral_norm.largest_singular_value(w, u), values[0], rtol=1e-5)
