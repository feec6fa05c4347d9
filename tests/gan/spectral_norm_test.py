import numpy as np
import pytest
import tensorflow as tf

from sagan_tf.gan import spectral_norm
from tests.testing import relative_error


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


def drawn(sigma):
    """float64 [3, 3, 2, 5] and [1, 5]: one power iteration from the second estimates `sigma`."""
    random = np.random.default_rng(0)
    w, u = random.normal(size=(3, 3, 2, 5)), random.normal(size=(1, 5))
    return w * sigma / iterated(w, u)[0], u


def iterated(w, u):
    """sigma and u' by NumPy."""
    matrix = w.reshape(-1, w.shape[-1])
    v = u @ matrix.T / np.linalg.norm(u @ matrix.T)
    sigma = np.linalg.norm(v @ matrix)
    return sigma, v @ matrix / sigma


def float32(*arrays):
    return [tf.constant(array, tf.float32) for array in arrays]


BY_HAND = pytest.mark.parametrize("by_hand", [False, True], ids=["autodiff", "by hand"])


@BY_HAND
@pytest.mark.parametrize(("sigma", "divisor"), [(0.4, 1), (0.97, 1), (1.03, 1.03), (2.5, 2.5)])
def test_at_most_one_divides_only_what_is_larger(sigma, divisor, by_hand):
    """u moves on both sides of 1."""
    w, u = drawn(sigma)
    w_bar, new_u = spectral_norm.spectral_normalize(
        *float32(w, u), by_hand=by_hand, at_most_one=True
    )
    assert iterated(w, u)[0] == pytest.approx(sigma)
    np.testing.assert_allclose(w_bar, w / divisor, rtol=1e-5)
    np.testing.assert_allclose(new_u, iterated(w, u)[1], rtol=1e-5)


def slopes(function, w):
    """The gradient of a scalar function by central differences."""
    found = np.zeros_like(w)
    for place in np.ndindex(w.shape):
        step = np.zeros_like(w)
        step[place] = 1e-6
        found[place] = (function(w + step) - function(w - step)) / 2e-6
    return found


@BY_HAND
@pytest.mark.parametrize("at_most_one", [False, True], ids=["exact", "at most one"])
@pytest.mark.parametrize("sigma", [0.4, 2.5])
def test_gradient_is_the_slope(sigma, at_most_one, by_hand):
    """On both sides of 1; below it only `at_most_one` hands the gradient on as it is."""
    w, u = drawn(sigma)
    cotangent = np.random.default_rng(1).normal(size=w.shape)

    def loss(w):
        found = iterated(w, u)[0]
        return np.sum(cotangent * w) / (max(1.0, found) if at_most_one else found)

    w32, u32 = float32(w, u)
    with tf.GradientTape() as tape:
        tape.watch(w32)
        w_bar, _ = spectral_norm.spectral_normalize(
            w32, u32, by_hand=by_hand, at_most_one=at_most_one
        )
        total = tf.reduce_sum(w_bar * tf.constant(cotangent, tf.float32))
    gradient = tape.gradient(total, w32)
    assert relative_error(gradient, slopes(loss, w)) < 1e-5
    is_cotangent = np.array_equal(gradient, cotangent.astype(np.float32))
    assert is_cotangent == (at_most_one and sigma < 1)


@BY_HAND
def test_gradient_at_one_is_that_of_the_weight_as_it_is(by_hand):
    """diag(1, 0.5) from u = (1, 0) has sigma 1 to the last bit."""
    w, u = float32([[1.0, 0.0], [0.0, 0.5]], [[1.0, 0.0]])
    with tf.GradientTape() as tape:
        tape.watch(w)
        w_bar, _ = spectral_norm.spectral_normalize(w, u, by_hand=by_hand, at_most_one=True)
    np.testing.assert_array_equal(w_bar, w)
    np.testing.assert_array_equal(tape.gradient(w_bar, w), np.ones([2, 2]))
