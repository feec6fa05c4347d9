"""Small runs in this process, for the tests of training."""

import io

import numpy as np
import tensorflow as tf

from sagan_tf import config
from sagan_tf.data import records
from sagan_tf.training import steps
from sagan_tf.training import train as training_train
from tests import processes
from tests.testing import TINY_MODEL

# What an iteration without a fault gives.
METRICS = {**dict.fromkeys(steps.metric_names(TINY_MODEL), 1.0), "input_wait": 0.0}


def settings(path, **changes) -> config.TrainConfig:
    """Four steps of two towers of two images, in `path / "runs"`."""
    values = {
        "checkpoint_dir": str(path / "runs"),
        "batch_size": 2,
        "num_towers": 2,
        "max_steps": 4,
        "save_summaries_steps": 2,
        "sample_every": 4,
        "steps_per_loop": 3,
        "graph_optimizer": False,
    }
    return config.TrainConfig(**{**values, **changes})


def train(data, train_config, model_config=TINY_MODEL, *, stream=None, **options) -> str:
    """Trains; returns what was printed. Other tests find TensorFlow as it was."""
    stream = stream or io.StringIO()
    try:
        training_train.train(
            model_config, data, train_config=train_config, stream=stream, **options
        )
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    return stream.getvalue()


def rows(train_config) -> list[dict]:
    return processes.rows(train_config.run_dir)


def stored(train_config, step: int) -> dict[str, np.ndarray]:
    return processes.state(train_config.run_dir, step)


def newest_checkpoint(run_dir) -> int:
    path = tf.train.latest_checkpoint(str(run_dir))
    return int(path.rsplit("-", 1)[1])


class ActAtLine(io.StringIO):
    """A stream that does something when a line begins in some way."""

    def __init__(self, beginning: str, action):
        super().__init__()
        self._beginning = beginning
        self._action = action

    def write(self, text: str) -> int:
        if text.startswith(self._beginning):
            self._action()
        return super().write(text)


def add_to(variable, amount) -> None:
    """Adds the mean of an amount over all replicas to a variable, inside `strategy.run`."""
    context = tf.distribute.get_replica_context()

    def add_everywhere(strategy, mean):
        strategy.extended.update(variable, lambda copy, value: copy.assign_add(value), args=(mean,))

    context.merge_call(add_everywhere, args=(context.all_reduce("MEAN", amount),))


def small_iteration(gan, seed: int):
    """A stand-in for `steps.make_iteration` that is traced at once.

    A bias of G moves before any image is asked for, as in the step on G, and one of D by the
    images.
    """
    del seed
    g_bias = gan.generator.trainable_variables[1].value
    d_bias = gan.discriminator.sn_linear.bias.value

    def iteration(batches):
        add_to(g_bias, tf.ones(g_bias.shape))
        for pixels, labels in batches:
            mean = tf.reduce_mean(records.to_float(pixels)) + tf.cast(labels[0], tf.float32)
            add_to(d_bias, tf.fill(d_bias.shape, mean))
        return tf.ones([len(steps.metric_names(gan.model_config))])

    return iteration


def stand_in(make_steps):
    """A stand-in for `steps.make_train_steps`: a function of the model, never traced.

    Args:
      make_steps: function of the model to the loop, a function of (batches, count).
    """

    def make_train_steps(gan, seed):
        del seed
        loop = make_steps(gan)
        loop.get_concrete_function = lambda *_: None
        return loop

    return make_train_steps


def quick_steps(gan):
    """Steps that only count."""

    def loop(_, count):
        gan.step.assign_add(int(count))
        return METRICS, -1

    return loop


def steps_that_fail_at(step: int):
    """Steps that spoil G, and tell of a `step` gone wrong."""

    def make(gan):
        def loop(*_):
            for v in gan.generator.trainable_variables:
                v.assign(np.full(v.shape, np.nan))
            gan.step.assign(step)
            return {**METRICS, "d_loss": np.nan}, step

        return loop

    return stand_in(make)
