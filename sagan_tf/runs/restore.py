"""Networks of a run with the weights of a checkpoint; the only code that opens a run."""

import dataclasses
from collections.abc import Callable
from typing import Optional

import tensorflow as tf

from sagan_tf import errors, model
from sagan_tf.config import ModelConfig, Sampling, TrainConfig
from sagan_tf.gan import discriminator, generator
from sagan_tf.runs import checkpoints, directory
from sagan_tf.runtime import distribution


def read_model_config(run_dir: str, *, hint: str = "") -> ModelConfig:
    """The settings of a run's networks.

    Args:
      run_dir: directory of the run.
      hint: what to do where there is no run, after the error's "; ".
    Raises:
      errors.UserError: there is no run, or its settings cannot be read.
    """
    config = directory.read_config(run_dir, "model", kind=ModelConfig)
    if config is None:
        raise errors.UserError(f"{run_dir}: {directory.NO_RUN}{hint}")
    return config


def sampling_of_run(sampling: Sampling, run_dir: str) -> Sampling:
    """The same with the run's own number of images in a batch of standing statistics.

    These are as many as batch norm has seen together in training: a tower, or `bn_group`.

    Raises:
      errors.UserError: the run's settings cannot be read.
    """
    if not sampling.batches:
        return sampling
    train = directory.read_config(run_dir, "train", kind=TrainConfig) or TrainConfig()
    return dataclasses.replace(sampling, batch_size=train.group_size)


def lag_of_statistics(sampling: Sampling, *, use_ema: bool) -> str:
    """A line for users where the moving average comes with moving statistics; else empty.

    Where z is truncated, `--standing_batches=0` has asked for them.
    """
    if not use_ema or sampling.batches or sampling.truncation:
        return ""
    return (
        "--use_ema: the average's moving statistics lag behind it; --standing_statistics gathers "
        "its own"
    )


def unused_average(run_dir: str, *, use_ema: bool) -> str:
    """A line for users where a run averages its generator and they take the last weights; or "".

    It is a remark: where the settings of the training cannot be read there is none.
    """
    try:
        train = directory.read_config(run_dir, "train", kind=TrainConfig)
    except errors.UserError:
        return ""
    if use_ema or train is None or not train.use_ema:
        return ""
    return (
        "the generator has its last weights; --use_ema --standing_statistics take the average, "
        "with which this run draws its own samples"
    )


class RestoredNetwork:
    """A network of a run, ready to take the weights of any of the run's checkpoints.

    Make it inside `strategy.scope()` to use it on several devices. `load` has to be called before
    the weights mean anything.

    Args:
      run_dir: directory of the run.
      network: built, with the paths that its weights have in a checkpoint.
      use_ema: whether to take the moving average of the generator.
      flag: the flag that names the step, for errors.
      note: told of damaged checkpoints that were skipped.

    Attributes:
      network: as given.
      checkpoints: `checkpoints.Checkpoints` of the run, for this network's weights.
      step: of the loaded checkpoint.
      sha256: of the loaded checkpoint's files.
    """

    def __init__(
        self,
        run_dir: str,
        network: tf.Module,
        *,
        use_ema: bool = False,
        flag: str = "step",
        note: Callable[[str], None] = lambda _: None,
    ):
        # Name the weights as a checkpoint does.
        prefix = model.AVERAGE if use_ema else ""
        state = {prefix + weight.path: weight.value for weight in network.weights}
        self.network = network
        self.checkpoints = checkpoints.Checkpoints(run_dir, state, optional=model.OPTIONAL_STATE)
        self.step: Optional[int] = None
        self.sha256: Optional[str] = None
        self._flag = flag
        self._note = note

    def load(self, step: int = -1) -> int:
        """Sets the weights to those of the checkpoint of `step`; -1: the newest that can be read.

        Returns:
          The step.
        Raises:
          checkpoints.Unreadable: there is no such checkpoint, or it cannot be read.
          errors.UserError: there is none at all, or it is of another model, or it has no average.
        """
        # Read the weights.
        saved = self.checkpoints
        found = saved.restore(step, complete=False, note=self._note, flag=self._flag)
        if found is None:
            raise errors.UserError(
                f"{saved.run_dir}: holds no checkpoint yet; the run writes one when it starts"
            )
        if saved.missing:
            raise errors.UserError(
                f"--use_ema: {saved.path(found)} holds no moving average; train with --ema_decay, "
                "or leave the flag out"
            )

        # Take the digest of the files that they came from.
        try:
            self.sha256 = saved.sha256(found)
        except (OSError, tf.errors.OpError) as error:
            raise checkpoints.Unreadable(
                f"{saved.path(found)}: it has gone while it was read; try again"
            ) from error
        self.step = found
        return found


def open_generator(
    run_dir: str,
    step: int = -1,
    *,
    use_ema: bool = False,
    note: Callable[[str], None] = lambda _: None,
) -> RestoredNetwork:
    """The generator of a run, a `generator.Generator` with the weights of a checkpoint.

    Args:
      run_dir: directory of the run.
      step: of the checkpoint; -1: the newest that can be read.
      use_ema: whether to take the moving average of the generator.
      note: told of damaged checkpoints that were skipped.
    Raises:
      errors.UserError: there is no run, or as `RestoredNetwork.load`.
    """
    network = _built(generator.Generator, run_dir)
    restored = RestoredNetwork(run_dir, network, use_ema=use_ema, note=note)
    restored.load(step)
    return restored


def open_discriminator(
    run_dir: str, step: int = -1, *, note: Callable[[str], None] = lambda _: None
) -> RestoredNetwork:
    """The discriminator of a run, a `discriminator.Discriminator` with a checkpoint's weights.

    Args and raises as `open_generator`.
    """
    network = _built(discriminator.Discriminator, run_dir)
    restored = RestoredNetwork(run_dir, network, note=note)
    restored.load(step)
    return restored


def open_networks(
    run_dir: str, step: int = -1, *, note: Callable[[str], None] = lambda _: None
) -> tuple[generator.Generator, discriminator.Discriminator]:
    """Both networks of a run, from one checkpoint.

    The generator is the moving average, where the checkpoint holds one and the run's settings too.

    Args and raises as `open_generator`.
    """
    # Name the weights as a checkpoint does.
    networks = (
        _built(generator.Generator, run_dir),
        _built(discriminator.Discriminator, run_dir),
    )
    live, rest = ({weight.path: weight.value for weight in each.weights} for each in networks)
    average = {model.AVERAGE + path: value for path, value in live.items()}
    train = directory.read_config(run_dir, "train", kind=TrainConfig) or TrainConfig()

    # Read them, without the average where the checkpoint has none yet.
    for weights in (average, live) if train.ema_decay else (live,):
        saved = checkpoints.Checkpoints(run_dir, {**weights, **rest}, optional=model.OPTIONAL_STATE)
        found = saved.restore(step, complete=False, note=note)
        if found is None:
            raise errors.UserError(f"{run_dir}: holds no checkpoint yet")
        if not saved.missing:
            break
    return networks


def _built(kind: type, run_dir: str) -> tf.Module:
    """A network of a run, with weights that mean nothing yet."""
    network = kind(read_model_config(run_dir), optimizations=distribution.optimizations())
    network.build()
    return network
