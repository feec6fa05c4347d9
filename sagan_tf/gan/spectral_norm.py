"""Spectral normalisation as pure functions (reference `ops.py:24-83`)."""

import tensorflow as tf

_L2_EPSILON = 1e-12
_MOST_ITERATIONS = 300
_SETTLED = 1e-5


def spectral_normalize(
    w: tf.Tensor,
    u: tf.Tensor,
    *,
    by_hand: bool = False,
    at_most_one: bool = False,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Divides a weight by an estimate of its largest singular value.

    With W = w reshaped to [-1, out], one power iteration from u gives
    v = l2(u W^T), u' = l2(v W), sigma = v W u'^T. Gradients flow through v and u' as well
    (there is no stop_gradient), and w itself is never overwritten.

    With `at_most_one` the divisor is max(1, sigma). Where sigma is 1 or less, the weight stays as
    it is, and the gradient does not flow through sigma.

    Args:
      w: float32 weight, any shape of rank 2 or more whose last axis is the output, [..., out].
      u: float32 [1, out], the running estimate of the leading right singular vector.
      by_hand: whether to take the same gradient written by hand, in fewer passes over w; u and u'
        then take none.
      at_most_one: whether to divide by max(1, sigma).

    Returns:
      (the divided w in its own shape, u' of shape [1, out]).

    Source: reference `ops.py:120-175`; Miyato et al., 2018, algorithm 1. `at_most_one`: TF-GAN,
    `spectral_normalization.py`, `equality_constrained=False`; it stops the gradient at u and v.
    """
    if by_hand:
        return _spectral_normalize_by_hand(w, u, at_most_one=at_most_one)
    sigma, new_u = power_iteration(as_matrix(w), u)
    return w / _divisor(sigma, at_most_one), new_u


def _divisor(sigma: tf.Tensor, at_most_one: bool) -> tf.Tensor:
    """sigma, or max(1, sigma), which takes a gradient only where sigma is above 1."""
    return tf.maximum(1.0, sigma) if at_most_one else sigma


def _spectral_normalize_by_hand(
    w: tf.Tensor, u: tf.Tensor, *, at_most_one: bool
) -> tuple[tf.Tensor, tf.Tensor]:
    """dL/dW = D / sigma - (sum(D W) / sigma^2) (v^T u' + g^T u), where D = dL/dW_bar and
    g = (I - v^T v) W u'^T / |u W^T| is what sigma takes through v. D where max(1, sigma) is 1."""

    @tf.custom_gradient
    def normalize(w):
        matrix = as_matrix(w)
        u_w = tf.matmul(u, matrix, transpose_b=True)
        v = _l2_normalize(u_w)
        v_w = tf.matmul(v, matrix)
        new_u = _l2_normalize(v_w)
        sigma = tf.matmul(v_w, new_u, transpose_b=True)
        sigma = tf.reshape(sigma, [])
        divisor = _divisor(sigma, at_most_one)

        def gradient(d_w_bar, _):
            d = as_matrix(d_w_bar)
            factor = tf.reduce_sum(d * matrix)
            factor = factor / tf.square(sigma)
            if at_most_one:
                factor = tf.where(sigma > 1.0, factor, 0.0)

            # What sigma takes through v.
            through_v = tf.matmul(new_u, matrix, transpose_b=True)
            along_v = tf.reduce_sum(through_v * v) * v
            through_v = (through_v - along_v) / tf.norm(u_w)

            # Both outer products in one.
            left = tf.concat([v, through_v], 0) * factor
            right = tf.concat([new_u, u], 0)
            d_sigma = tf.matmul(left, right, transpose_a=True)
            return tf.reshape(d / divisor - d_sigma, w.shape)

        return (w / divisor, new_u), gradient

    return normalize(w)


def power_iteration(matrix: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """One power iteration from u [1, out].

    Returns:
      sigma, a scalar, and u' [1, out].
    """
    v = _l2_normalize(tf.matmul(u, matrix, transpose_b=True))
    v_matrix = tf.matmul(v, matrix)
    new_u = _l2_normalize(v_matrix)
    sigma = tf.matmul(v_matrix, new_u, transpose_b=True)
    return tf.reshape(sigma, []), new_u


def as_matrix(w: tf.Tensor) -> tf.Tensor:
    """[..., out] -> [-1, out]."""
    return tf.reshape(w, [-1, w.shape[-1]])


@tf.function(reduce_retracing=True, autograph=False)
def settled(matrix: tf.Tensor, u: tf.Tensor) -> tf.Tensor:
    """Iterates u [1, out] until no element moves by more than 1e-5, at most 300 times."""

    def moves(before, u):
        return tf.reduce_max(tf.abs(u - before)) > _SETTLED

    def step(_, u):
        v = _l2_normalize(tf.matmul(u, matrix, transpose_b=True))
        return u, _l2_normalize(tf.matmul(v, matrix))

    first = step(u, u)
    _, last = tf.while_loop(moves, step, first, maximum_iterations=_MOST_ITERATIONS - 1)
    return last


def largest_singular_value(w: tf.Tensor, settled_u: tf.Tensor) -> tf.Tensor:
    """The largest singular value of w, a scalar, by a u of `settled`."""
    stretched = tf.matmul(settled_u, as_matrix(w), transpose_b=True)
    return tf.norm(stretched)


def _l2_normalize(x: tf.Tensor) -> tf.Tensor:
    norm = tf.sqrt(tf.reduce_sum(tf.square(x)))
    return x / (norm + _L2_EPSILON)
