"""A generator with more channels that makes the same images.

Source: Chen, Goodfellow and Shlens, 2016, "Net2Net: Accelerating Learning via Knowledge Transfer",
section 2.3. Each new channel repeats one of the old ones, and the weights that read a channel are
shared among its copies. Shares are drawn at random, so that most copies have other gradients at
once, and all learn to be different.

SN would divide the widened weights by another number, so that this is for networks without it. The
residual block of the paper's comparison joins two groups of channels, and is left out too.
"""

import numpy as np

from sagan_tf.bridges.mapping import Shapes, Tensors

# Layers whose results are multiplied with one another, and summed over the channels.
_FACTORS = ("sn_conv_theta", "sn_conv_phi")
# The dense layer, whose results are the first map of 4x4 pixels.
_DENSE = "g_snh0/"
_PIXELS = 16
# The smallest part of what a copy draws for its share, of the largest: of two, one has 0.2 to 0.8.
_LEAST = 0.25


def widened(arrays: Tensors, shapes: Shapes, *, seed: int) -> dict[str, np.ndarray]:
    """The weights of a wider generator, whose images differ by rounding only.

    Args:
      arrays: weight of a generator without SN and residual block, as in `g_block1/snconv1/w` -> its
        values.
      shapes: the same names -> shapes in the wider one.
      seed: of the shares.
    Raises:
      ValueError: a weight is narrower there, or of another kind.
    """
    generator = np.random.default_rng(seed)
    wider = {}
    for name, values in arrays.items():
        shape = shapes[name]
        _check(name, values.shape, shape)

        # Repeat the results of a layer, or what normalises them.
        results = shape[-1:]
        if name.startswith(_DENSE):
            values = _dense(values, shape)
        elif results:
            values = _repeated(values, results[0], axis=-1)

        # Share the weights of a convolution among copies of what it reads.
        if name.endswith("/w"):
            shares = _shares(values, shape, generator)
            values = _repeated(values, shape[-2], axis=-2) * shares
        if any(layer in name for layer in _FACTORS):
            values = values / _root_of_copies(arrays[name].shape[-1], results[0])
        wider[name] = np.float32(values)
    return wider


def _check(name: str, old: tuple, new: tuple) -> None:
    """Raises ValueError for a shape that is smaller than another."""
    fits = [there <= here for there, here in zip(old, new)]
    if len(old) != len(new) or not all(fits):
        raise ValueError(f"{name} has shape {old} and cannot become {new}")


def _dense(values: np.ndarray, shape: tuple) -> np.ndarray:
    """The dense layer's weights: every pixel of its map has the channels."""
    of_pixels = values.reshape(*values.shape[:-1], _PIXELS, -1)
    channels = shape[-1] // _PIXELS
    return _repeated(of_pixels, channels, axis=-1).reshape(shape)


def _shares(values: np.ndarray, shape: tuple, generator: np.random.Generator) -> np.ndarray:
    """Factors for each channel that is read, and each result; those of copies add up to 1."""
    # Draw them.
    old = values.shape[-2]
    new, results = shape[-2:]
    drawn = generator.uniform(_LEAST, 1, [new, results])

    # Divide by the sum of the copies.
    sources = _sources(old, new)
    sums = np.zeros([old, results])
    np.add.at(sums, sources, drawn)
    return drawn / sums[sources]


def _root_of_copies(old: int, new: int) -> np.ndarray:
    """By what to divide each of `new` factors, whose products come once for each copy."""
    sources = _sources(old, new)
    copies = np.bincount(sources)
    return np.sqrt(copies[sources])


def _repeated(values: np.ndarray, count: int, *, axis: int) -> np.ndarray:
    """With `count` channels along an axis."""
    old = values.shape[axis]
    return np.take(values, _sources(old, count), axis=axis)


def _sources(old: int, new: int) -> np.ndarray:
    """Which of `old` channels each new one repeats."""
    return np.arange(new) % old
