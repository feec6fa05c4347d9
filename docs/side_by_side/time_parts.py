"""Times the parts that --optimizations changes, each with and without, forward and backward.

Shapes are those of the networks at 128 px and width 64. The two ways take turns; a line tells the
median seconds of both and the median, over the rounds, of their ratio: above 1 it pays.
TF_ENABLE_ONEDNN_OPTS=1 in front gives the kernels that our commands take.

To install and run, from the root of the project:
  pip install .
  python docs/side_by_side/time_parts.py --batch 8
"""

import os
import statistics
import time

import stepping

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import tensorflow as tf

from sagan_tf import config, model
from sagan_tf.gan import ops, optimizers, resampling
from sagan_tf.gan import spectral_norm as gan_spectral_norm
from sagan_tf.runtime import memory

# Side of the map before it doubles and its channels before and after; of the map before it halves.
UP = [(4, 1024, 1024), (8, 1024, 512), (16, 512, 256), (32, 256, 128), (64, 128, 64)]
DOWN = [(128, 64), (64, 128), (32, 256), (16, 512), (8, 1024)]


def normal(*shape):
    """The same numbers at every call."""
    return tf.random.stateless_normal(shape, [0, 1])


def with_gradients(function):
    """A compiled function of its inputs to the result of `function` and the inputs' gradients."""

    def run(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
        return y, tape.gradient(y, inputs, output_gradients=y)

    return tf.function(run, autograph=False)


# Each yields, for some sizes: what it is, the plain way, the other way, their inputs.


def up_conv(batch):
    for side, before, after in UP:
        yield (
            f"{2 * side} px",
            with_gradients(lambda x, w: resampling.conv(resampling.upsample(x), w)),
            with_gradients(
                lambda x, w: resampling.upsampled_conv(x, resampling.upsampled_conv_kernel(w))
            ),
            (normal(batch, side, side, before), normal(3, 3, before, after)),
        )


def down_conv(batch):
    for side, channels in DOWN:
        yield (
            f"{side} px",
            with_gradients(lambda x, w: resampling.downsample(resampling.conv(x, w))),
            with_gradients(
                lambda x, w: resampling.downsampled_conv(x, resampling.downsampled_conv_kernel(w))
            ),
            (normal(batch, side, side, channels), normal(3, 3, channels, channels)),
        )


def upsampling(batch):
    """Two repeats and ours, which is no option."""
    for side, channels, _ in UP:
        yield (
            f"to {2 * side} px",
            with_gradients(lambda x: tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2)),
            with_gradients(resampling.upsample),
            (normal(batch, side, side, channels),),
        )


def shortcut(batch):
    for side, before, after in UP:
        yield (
            f"up, {2 * side} px",
            with_gradients(lambda x, w: resampling.conv(resampling.upsample(x), w)),
            with_gradients(lambda x, w: resampling.upsample(resampling.conv(x, w))),
            (normal(batch, side, side, before), normal(1, 1, before, after)),
        )
    for side, channels in DOWN[1:-1]:
        yield (
            f"down, {side} px",
            with_gradients(lambda x, w: resampling.downsample(resampling.conv(x, w))),
            with_gradients(lambda x, w: resampling.conv(resampling.downsample(x), w)),
            (normal(batch, side, side, channels // 2), normal(1, 1, channels // 2, channels)),
        )


def batch_norm(batch):
    labels = tf.zeros([batch], tf.int32)
    for side, _, channels in UP:
        x, ways = normal(batch, 2 * side, 2 * side, channels), []
        for optimizations in ({}, {"batch_norm": 0}):
            layer = ops.ConditionalBatchNorm(
                10, group_size=batch, relu=True, optimizations=optimizations
            )
            layer.build(x.shape)
            ways.append(with_gradients(lambda x, layer=layer: layer(x, labels, training=True)))
        yield (f"{2 * side} px", *ways, (x,))


def spectral_norm(_):
    gan = model.SAGAN(config.ModelConfig(), config.TrainConfig(batch_size=2, num_towers=1))
    layers = [
        layer
        for network in (gan.generator, gan.discriminator)
        for layer in network.spectral_norm_layers()
    ]

    def normalize(by_hand):
        return with_gradients(
            lambda *weights: [
                gan_spectral_norm.spectral_normalize(
                    w, tf.convert_to_tensor(layer.u), by_hand=by_hand
                )[0]
                for w, layer in zip(weights, layers)
            ]
        )

    yield (
        "all weights of both networks",
        normalize(False),
        normalize(True),
        tuple(layer.oriented_weight() for layer in layers),
    )


def adam(_):
    gan = model.SAGAN(config.ModelConfig(), config.TrainConfig(batch_size=2, num_towers=1))
    variables = gan.generator.trainable_variables
    gradients = [tf.fill(v.shape, 1e-3) for v in variables]

    def step(one_kernel):
        optimizer = optimizers.Adam(variables, 1e-4, beta1=0.0, beta2=0.999, one_kernel=one_kernel)

        def run():
            optimizer.apply(gradients)
            return tf.convert_to_tensor(variables[-1])

        return tf.function(run, autograph=False)

    yield "all weights of G", step(False), step(True), ()


PARTS = (upsampling, up_conv, down_conv, shortcut, spectral_norm, batch_norm, adam)


def seconds(function, inputs):
    """Of one call, to the end of its work."""
    began = time.perf_counter()
    for result in tf.nest.flatten(function(*inputs)):
        tf.reshape(result, [-1])[0].numpy()
    return time.perf_counter() - began


def main():
    flags = stepping.Parser(description="Times the parts that --optimizations changes.")
    flags.add_argument("--batch", type=stepping.at_least(1), default=8)
    flags.add_argument("--rounds", type=stepping.at_least(1), default=7)
    flags.add_argument("--only", choices=[part.__name__ for part in PARTS])
    args = flags.parse_args()
    memory.keep_freed_memory()
    for part in PARTS:
        if args.only not in (None, part.__name__):
            continue
        for name, plain, changed, inputs in part(args.batch):
            times = [], []
            for _ in range(args.rounds + 1):
                for found, function in zip(times, (plain, changed)):
                    found.append(seconds(function, inputs))
            before, after = (found[1:] for found in times)  # The first call compiles.
            ratio = statistics.median(a / b for a, b in zip(before, after))
            print(
                f"{part.__name__}, {name}: {statistics.median(before):.4f} s without, "
                f"{statistics.median(after):.4f} s with it: {ratio:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
