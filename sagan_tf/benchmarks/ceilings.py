"""Ceilings of this machine: the rate of single convolutions and products."""

import math
import time
from collections.abc import Callable

import tensorflow as tf

from sagan_tf import config
from sagan_tf.benchmarks import workload
from sagan_tf.training import train

_SECONDS = 0.05  # A measurement takes at least about this long.


def ceilings(train_config: config.TrainConfig, device: str, *, rounds: int = 5) -> dict[str, float]:
    """FLOP/s of the best of a few convolutions, and products, in the setting's precision.

    Forward, 3x3, of the shapes that the networks have: what this machine gives, to measure the step
    against.

    Args:
      train_config: the precision.
      device: "CPU", "GPU" or "TPU"; a CPU gets smaller ones.
      rounds: measurements of each; the quickest counts.
    Returns:
      "conv" and "matmul".
    """
    train.set_tensorflow_options(train_config)
    dtype = train_config.mixed_precision
    small = device == "CPU"
    with workload.enough_memory(train_config):
        return {
            "conv": _best_convolution(dtype, small=small, rounds=rounds),
            "matmul": _best_product(dtype, small=small, rounds=rounds),
        }


def _best_convolution(dtype: str, *, small: bool, rounds: int) -> float:
    """FLOP/s."""
    best = 0.0
    scale = 8 if small else 128
    shapes = [(scale, 64, 64), (scale, 32, 128), (scale, 16, 256), (scale, 16, 512)]
    for batch, side, channels in shapes:
        x = _normal([batch, side, side, channels], dtype)
        w = _normal([3, 3, channels, channels], dtype)
        seconds = _best_time(lambda x, w: tf.nn.conv2d(x, w, 1, "SAME"), (x, w), rounds=rounds)
        best = max(best, 2 * batch * side**2 * 9 * channels**2 / seconds)
    return best


def _best_product(dtype: str, *, small: bool, rounds: int) -> float:
    """FLOP/s."""
    best = 0.0
    for side in (1024, 2048) if small else (4096, 8192):
        x = _normal([side, side], dtype)
        best = max(best, 2 * side**3 / _best_time(tf.matmul, (x, x), rounds=rounds))
    return best


def _normal(shape: list[int], dtype: str) -> tf.Tensor:
    return tf.cast(tf.random.stateless_normal(shape, [0, 0]), dtype)


def _best_time(function: Callable, inputs: tuple, *, rounds: int) -> float:
    """Seconds of the quickest of `rounds` calls; several at a time where one is too short."""
    # Compile it.
    compiled = tf.function(function, autograph=False)

    def run(calls: int) -> float:
        began = time.perf_counter()
        for _ in range(calls):
            result = compiled(*inputs)
        tf.reshape(result, [-1])[0].numpy()  # Waits for the device.
        return (time.perf_counter() - began) / calls

    # Measure after a first call, which traces.
    run(1)
    calls = max(1, math.ceil(_SECONDS / run(2)))
    return min(run(calls) for _ in range(rounds))
