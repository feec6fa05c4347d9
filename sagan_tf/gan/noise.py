"""What is drawn at random, as pure functions of (seed, purpose, position).

Nothing here has state, so a continued run draws what an unbroken one would have, and one device
draws what several would.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

# What a draw is for. The numbers are part of every run's identity: never renumber.
G_STEP, D_STEP, GRID, EVALUATION, SEED, G_AUGMENT, D_AUGMENT, MIRROR, STANDING = range(9)

_ALGORITHM = "philox"
# All normal numbers, none left out.
_ALL = np.float32(1.0)


def _key(seed: int, *positions) -> tf.Tensor:
    return _folded(tf.constant([seed & 0x7FFFFFFF, seed >> 31], tf.int32), *positions)


def _folded(key, *positions) -> tf.Tensor:
    for position in positions:
        key = tf.random.experimental.stateless_fold_in(
            key, tf.cast(position, tf.int64), alg=_ALGORITHM
        )
    return key


def share_within(limit: float) -> np.float32:
    """The share of all standard normal numbers that lies between -limit and limit."""
    return np.float32(math.erf(limit / math.sqrt(2)))


def _draw(key, count: int, z_dim: int, number_classes: int, share=_ALL):
    z_key, label_key = tf.unstack(tf.random.experimental.stateless_split(key, 2, alg=_ALGORITHM))
    z = _normal([count, z_dim], z_key, share)
    labels = tf.random.stateless_uniform(
        [count], label_key, 0, number_classes, tf.int32, alg=_ALGORITHM
    )
    return z, labels


def _normal(shape: list[int], key, share) -> tf.Tensor:
    """Standard normal numbers, the same (to rounding) on every device and under XLA.

    They are of the middle `share` of all, a number or a tensor: as if those outside had been drawn
    again until they are inside.

    tf.random.stateless_normal makes other numbers of the same bits under XLA, and so on a TPU.
    """
    # The middle of one of 2^23 equal parts of (-1, 1): exact in float32, and never -1 or 1.
    number = _whole_numbers(shape, key)
    uniform = ((number + 0.5) * 2.0**-22 - 1.0) * share
    return np.float32(np.sqrt(2)) * tf.math.erfinv(uniform)


def _whole_numbers(shape: Sequence[int], key) -> tf.Tensor:
    """0 .. 2^23 - 1, float32, all equally likely."""
    bits = tf.random.stateless_uniform(shape, key, None, None, tf.uint32, alg=_ALGORITHM)
    return tf.cast(tf.cast(tf.bitwise.right_shift(bits, 9), tf.int32), tf.float32)


def draw_towers(
    seed: int,
    step,
    *,
    purpose: int,
    substep: int,
    first_tower,
    towers: int,
    batch_size: int,
    z_dim: int,
    number_classes: int,
):
    """z and fake labels of some consecutive towers of one step.

    Args:
      seed: the run's seed.
      step: int scalar, the iteration.
      purpose: `G_STEP` or `D_STEP`.
      substep: which of the iteration's steps of that kind.
      first_tower: int scalar, index of the first tower wanted.
      towers: how many towers.
      batch_size: images per tower.
    Returns:
      z float32 [towers * batch_size, z_dim], standard normal, and labels int32
      [towers * batch_size], uniform over the classes. A tower's numbers depend on nothing else.
    """
    key = _key(seed, purpose, step, substep)
    draws = [
        _draw(_folded(key, first_tower + tower), batch_size, z_dim, number_classes)
        for tower in range(towers)
    ]
    return tuple(tf.concat(parts, 0) for parts in zip(*draws))


def draw_numbers(
    seed: int,
    step,
    *,
    purpose: int,
    substep: int,
    first_tower,
    towers: int,
    batch_size: int,
    shape: Sequence[int],
) -> tf.Tensor:
    """Random numbers of the images of some consecutive towers of one step.

    Args:
      seed, step, substep, first_tower, towers, batch_size: as in `draw_towers`.
      purpose: `G_AUGMENT`, `D_AUGMENT` or `MIRROR`.
      shape: of the numbers of one image.
    Returns:
      float32 [towers * batch_size, *shape], uniform in (0, 1), 0 and 1 left out.
    """
    key = _key(seed, purpose, step, substep)
    draws = []
    for tower in range(towers):
        # The middle of one of 2^23 equal parts of (0, 1), exact in float32.
        number = _whole_numbers([batch_size, *shape], _folded(key, first_tower + tower))
        draws.append((number + 0.5) * 2.0**-23)
    return tf.concat(draws, 0)


def draw_samples(
    seed: int,
    purpose: int,
    *,
    count: int,
    z_dim: int,
    number_classes: int,
    limit: float = math.inf,
):
    """z float32 [count, z_dim] and labels int32 [count] for pictures or for scoring.

    `limit` as in `draw_seeds`.
    """
    return _draw(_key(seed, purpose), count, z_dim, number_classes, share_within(limit))


def draw_batch(
    seed: int,
    number,
    *,
    batch_size: int,
    z_dim: int,
    number_classes: int,
    share=_ALL,
):
    """z and labels of one of many batches, for standing statistics.

    Args:
      seed: of all of them.
      number: int scalar, which one, from 0 on.
      share: `share_within` a limit as in `draw_seeds`, a number or a tensor.
    Returns:
      z float32 [batch_size, z_dim], and labels int32 [batch_size], uniform over the classes.
    """
    return _draw(_key(seed, STANDING, number), batch_size, z_dim, number_classes, share)


def draw_seeds(seeds, z_dim: int, *, number_classes: int, limit: float = math.inf):
    """One z and one label for each seed, whatever other seeds are drawn with it.

    Args:
      seeds: int64 [n], from 0 on.
      z_dim, number_classes: of the model.
      limit: z is normal between -limit and limit. (The truncation trick of Brock et al., 2019,
        which draws again what lies outside; here the whole is squeezed, so that a picture changes
        little by little with the limit.)
    Returns:
      z float32 [n, z_dim] and labels int32 [n], uniform over the classes.
    """
    share = tf.constant(share_within(limit))
    return _draw_seeds(seeds, z_dim, number_classes=number_classes, share=share)


@functools.partial(tf.function, autograph=False, reduce_retracing=True)
def _draw_seeds(seeds, z_dim: int, *, number_classes: int, share: tf.Tensor):
    """`draw_seeds`, traced once for all limits."""

    def one(seed):
        z, labels = _draw(_key(0, SEED, seed), 1, z_dim, number_classes, share)
        return z[0], labels[0]

    return tf.map_fn(one, seeds, fn_output_signature=(tf.float32, tf.int32))


def draw_grid(
    seed: int,
    rows: int,
    *,
    columns: int,
    z_dim: int,
    number_classes: int,
    limit: float = math.inf,
):
    """z and labels of a sample grid: one class a row, classes spread evenly over all.

    `limit` as in `draw_seeds`.

    Returns:
      z float32 [rows * columns, z_dim], fixed by the seed, and labels int32 [rows * columns].
    """
    z, _ = draw_samples(
        seed,
        GRID,
        count=rows * columns,
        z_dim=z_dim,
        number_classes=number_classes,
        limit=limit,
    )
    return z, np.repeat(spread_classes(number_classes, rows), columns)


def spread_classes(number_classes: int, count: int) -> np.ndarray:
    """`count` labels, int32, spread evenly over all classes; fewer only if there are fewer."""
    return np.linspace(0, number_classes - 1, min(count, number_classes)).round().astype(np.int32)
