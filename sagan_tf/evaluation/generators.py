"""The generator whose images are scored: of a run, or of an exported model."""

import dataclasses
import os
from collections.abc import Callable
from typing import Any, Optional, Union

import keras
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.config import EvalConfig, ModelConfig
from sagan_tf.evaluation import features
from sagan_tf.evaluation.console import Console
from sagan_tf.evaluation.devices import Devices
from sagan_tf.gan import generator, ops, standing_statistics
from sagan_tf.runs import directory, exported, restore
from sagan_tf.runtime import distribution, files

# Flags that must agree with a generator where they are given -> the generator's own settings.
_AGREEING = {
    "generator_type": "generator_type",
    "z_dim": "z_dim",
    "gf_dim": "gf_dim",
    "num_classes": "number_classes",
}
# Flags that an exported model has nothing for -> why.
_NOT_EXPORTED = {
    "watch": "holds one step",
    "all": "holds one step",
    "compare_untrained": "has no untrained version",
}
_STATISTICS = "standing statistics"


class RunGenerator:
    """The generator of a run, with the weights of any of its checkpoints.

    `make` has to be called first, and `load` before the images mean anything.

    Args:
      config: of which run.

    Attributes:
      config: as given.
      model_config: of the run's networks.
      sampling: truncation and standing statistics, with the size of the run's batches.
      restored: the generator, and the run's checkpoints; of `make`.
      eval_dir: where scores go.
      copy_dir: where TensorBoard's scores go as well.
      u: what is unusual about u of spectral normalisation: nothing, it is settled.
    Raises:
      errors.UserError: there is no run.
    """

    u = ""

    def __init__(self, config: EvalConfig):
        self.config = config
        self.model_config: ModelConfig = restore.read_model_config(
            config.run_dir,
            hint="; give its directory, or name it with --checkpoint_dir and --batch_size",
        )
        self.sampling = restore.sampling_of_run(config.sampling, config.run_dir)
        self.eval_dir = config.eval_dir
        # TensorBoard that was started on the run's directory shows the scores too.
        self.copy_dir = os.path.join(config.run_dir, "eval")

    def make(self, devices: Devices, *, stopwatch: features.Stopwatch, console: Console) -> None:
        """Makes the network on all devices, and finds the checkpoints.

        Args:
          devices: that generate.
          stopwatch: takes the time of standing statistics.
          console: told of damaged checkpoints that were skipped.
        Raises:
          errors.UserError: the checkpoints cannot be read.
        """
        self._devices = devices
        self._stopwatch = stopwatch
        self._console = console

        # Make the network.
        config = self.config
        keras.utils.set_random_seed(config.seed)
        with devices.strategy.scope():
            self._network = generator.Generator(
                self.model_config, optimizations=distribution.optimizations()
            )
            self._network.build()
        self._untrained = self._network.get_weights() if config.compare_untrained else None

        # Say where weights or statistics may be others than wanted, and where classes mean nothing.
        last = restore.unused_average(config.run_dir, use_ema=config.use_ema)
        lag = restore.lag_of_statistics(self.sampling, use_ema=config.use_ema)
        for line in filter(None, (last, lag, self.model_config.note_on_classes)):
            console.say(line)

        # Find the checkpoints.
        self.restored = restore.RestoredNetwork(
            config.run_dir,
            self._network,
            use_ema=config.use_ema,
            flag="checkpoint_step",
            note=console.say,
        )

    def require_weights(self) -> None:
        """Raises errors.UserError where the run has no checkpoint."""
        if not self.restored.checkpoints.steps:
            raise errors.UserError(
                f"{self.config.run_dir}: holds no checkpoint to score; train first, or give the "
                "directory of another run"
            )

    def load(self, step: int = -1) -> int:
        """Sets the weights to those of a step (-1: the newest that can be read).

        Returns:
          The step.
        Raises:
          checkpoints.Unreadable: there is no such checkpoint, or it cannot be read.
          errors.UserError: it is of another model, or has no moving average.
        """
        with self._devices.strategy.scope():
            return self.restored.load(step)

    def reset(self) -> None:
        """Sets the weights to those before any training; needs `config.compare_untrained`."""
        self._network.set_weights(self._untrained)

    def prepare(self) -> None:
        """Settles SN's u, so that scores do not depend on batch size or order.

        Standing statistics, if they are asked for, are gathered next.
        """
        with self._devices.strategy.scope():
            ops.settle_spectral_norms(self._network)

        # Gather the standing statistics.
        batches = self.sampling.batches
        if not batches:
            return
        progress = self._console.progress(_STATISTICS, batches, unit=" batches")
        watched = self._stopwatch.measuring(_STATISTICS, batches * self.sampling.batch_size)
        with self._devices.strategy.scope(), progress as shown, watched:
            standing_statistics.gather(self._network, self.sampling, after_batch=shown.update)

    def generate(self, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Images of one device, float32 [batch, size, size, 3] in [-1, 1]."""
        return self._network(z, labels, training=False, update_sn=False)

    @property
    def step(self) -> Optional[int]:
        """Of the loaded checkpoint."""
        return self.restored.step

    @property
    def run(self) -> Optional[str]:
        """The run's own name."""
        return directory.run_id(self.config.run_dir)

    def record(self) -> dict[str, Any]:
        """Where the weights are from, for the record."""
        return {
            "checkpoint_step": self.restored.step,
            "checkpoint_sha256": self.restored.sha256,
        }


class ExportedGenerator:
    """The generator of an exported model, which has one set of weights.

    u is folded into them as the model was exported, and statistics are in them for good.

    Args:
      config: of which model.
      note: told where truncation and statistics do not fit together.

    Attributes:
      config: with the moving average, the truncation and the statistics that the model has.
      model_config, sampling, eval_dir, copy_dir, u: as of `RunGenerator`.
      card: what the model says of itself.
      step: of the checkpoint that was exported.
      run: the run's own name, where the card says it.
    Raises:
      errors.UserError: it is no exported model, or does not have what the flags ask for.
    """

    u = "u as exported, not settled"

    def __init__(self, config: EvalConfig, note: Callable[[str], None]):
        # Refuse what no exported model has.
        path = config.run_dir
        for flag, reason in _NOT_EXPORTED.items():
            if getattr(config, flag):
                raise errors.UserError(
                    f"--{flag}: {path} is an exported model, which {reason}; leave out the flag"
                )

        # Read the card, and refuse what this model does not have.
        self.card = exported.fitting(
            exported.read_card(path),
            config.checkpoint_step,
            use_ema=config.use_ema,
            sampling=config.sampling,
            path=path,
            note=note,
            flag="checkpoint_step",
        )

        # Take from the card what the record says.
        self.model_config = self.card.model_config
        self.sampling = self.card.sampling
        self.config = dataclasses.replace(config, use_ema=self.card.use_ema, **self.sampling.flags)
        self.step = self.card.step
        self.run = self.card.run
        self.eval_dir = exported.eval_directory(path)
        self.copy_dir = ""

    def make(self, devices: Devices, *, stopwatch: features.Stopwatch, console: Console) -> None:
        """Reads the network, on all devices. Arguments as of `RunGenerator.make`.

        Raises:
          errors.UserError: it cannot be read.
        """
        del stopwatch, console
        path = self.config.run_dir
        with devices.strategy.scope():
            self._network = exported.load(path)
        self._sha256 = files.sha256(exported.keras_file(path))

    def require_weights(self) -> None:
        """Nothing: the network came with its weights."""

    def load(self, step: int = -1) -> int:
        """Nothing but to return the step; `config.checkpoint_step` has been compared with it."""
        del step
        return self.step

    def prepare(self) -> None:
        """Nothing: u and statistics are in the weights."""

    def generate(self, z: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Images of one device, float32 [batch, size, size, 3] in [-1, 1]."""
        return self._network([z, labels], training=False)

    def record(self) -> dict[str, Any]:
        """Which model it is, and where its weights are from, for the record."""
        # Say it of the model.
        card = self.card
        found = {
            "checkpoint_step": card.step,
            "exported": {
                "model": self.config.run_dir,
                "sha256": self._sha256,
                "run": card.run,
                "step": card.step,
                "use_ema": card.use_ema,
                "checkpoint_sha256": card.checkpoint_sha256,
                "sampling": dataclasses.asdict(card.sampling),
                "u": self.u,
            },
        }

        # A model need not come from a checkpoint.
        if card.checkpoint_sha256 is not None:
            found["checkpoint_sha256"] = card.checkpoint_sha256
        return found


AnyGenerator = Union[RunGenerator, ExportedGenerator]


def find(config: EvalConfig, *, note: Callable[[str], None] = lambda _: None) -> AnyGenerator:
    """The generator that the flags name; its network is not made yet.

    Args:
      config: which one.
      note: told where truncation and statistics of an exported model do not fit together.
    Raises:
      errors.UserError: there is neither run nor exported model, or a flag contradicts it.
    """
    if exported.is_exported(config.run_dir):
        found = ExportedGenerator(config, note)
        kind = "model"
    else:
        found = RunGenerator(config)
        kind = "run"

    # Compare the flags with it.
    for flag, field in _AGREEING.items():
        given = getattr(config, flag)
        trained = getattr(found.model_config, field)
        if given is not None and given != trained:
            raise errors.UserError(
                f"--{flag}={given}: the {kind} in {config.run_dir} was trained with {trained}"
            )
    return found
