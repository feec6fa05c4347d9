"""The training loop: from a config to a run directory."""

import contextlib
import os
from collections.abc import Iterator
from typing import Optional, TextIO

import keras
import numpy as np
import tensorflow as tf

from sagan_tf import errors, model
from sagan_tf.config import DataConfig, ModelConfig, TrainConfig, difference
from sagan_tf.data import class_names, dataset
from sagan_tf.data import records as data_records
from sagan_tf.runs import checkpoints, directory, metric_writer
from sagan_tf.runtime import distribution, files
from sagan_tf.training import loop, signals
from sagan_tf.training import progress as training_progress
from sagan_tf.training import start_up as training_start_up


def train(
    model_config: ModelConfig,
    data_config: DataConfig,
    *,
    train_config: TrainConfig,
    dry_run: bool = False,
    stream: Optional[TextIO] = None,
) -> None:
    """Trains, or goes on training, in `train_config.run_dir` until `max_steps`.

    Args:
      model_config, data_config, train_config: what to do.
      dry_run: check everything, print what would be done, and leave without writing.
      stream: where progress goes; standard output by default.

    Raises:
      config.UserError: the flags, the data, the run directory or the losses are not usable.
      config.Interrupted: SIGTERM or SIGINT came; the run was saved.
      config.WorkerLost: another worker has died or does not answer.
    """
    with signals.StopSignals() as stop:
        start_up = training_start_up.StartUp()
        set_tensorflow_options(train_config)
        strategy = distribution.make_strategy(train_config)
        progress = _progress(train_config, strategy, stream)
        start_up.done("devices")
        with distribution.workers(strategy):
            records = dataset.open_records(
                data_config.data_dir,
                model_config.image_size,
                number_classes=model_config.number_classes,
            )
            start_up.done("data")
            keras.utils.set_random_seed(train_config.seed)
            with strategy.scope():
                gan = model.SAGAN(model_config, train_config)
            start_up.done("networks")
            if dry_run:
                progress.note(_description(gan, records, data_config))
                return
            with _only_run(train_config.run_dir, distribution.is_chief(strategy)):
                trainer = _open_run(gan, records, data_config, progress)
                start_up.done("checkpoint")
                with trainer.recorded():
                    trainer.run(stop, start_up)


def set_tensorflow_options(config: TrainConfig) -> None:
    """Sets what TensorFlow keeps for the whole process."""
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(config.tensor_float_32)
    # With oneDNN's kernels on a CPU the remapper stumbles over this graph (seen in TensorFlow 2.21)
    # and says so in an error of its own.
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": not config.graph_optimizer, "remapping": False}
    )


def _open_run(
    gan: model.SAGAN,
    records: data_records.Records,
    data_config: DataConfig,
    progress: training_progress.Progress,
) -> loop.Trainer:
    """Finds out where the run directory has got to, and prepares it to go on."""
    config, chief = gan.train_config, distribution.is_chief(gan.strategy)
    run_dir = config.run_dir
    _check_run(gan.model_config, data_config, config, progress)
    with gan.strategy.scope():
        rollbacks = tf.Variable(
            0,
            dtype=tf.int64,
            trainable=False,
            name=model.ROLLBACKS,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )
    saved = checkpoints.Checkpoints(
        run_dir,
        {**gan.state(), model.ROLLBACKS: rollbacks},
        keep=config.keep_checkpoints,
        optional=model.OPTIONAL_STATE,
    )
    if chief:
        saved.clear_unfinished()
    trainer = loop.Trainer(
        gan,
        records,
        data_config=data_config,
        saved=saved,
        writer=None,
        progress=progress,
        rollbacks=rollbacks,
    )
    start = trainer.restore()
    progress.note(
        f"{run_dir}: " + ("starting" if start is None else f"continuing from step {start}")
    )
    if chief:
        directory.write_config(run_dir, model=gan.model_config, data=data_config, train=config)
        if records.info is not None:
            class_names.write(run_dir, records.info.class_names, titles=records.info.class_titles)
        trainer.writer = metric_writer.MetricWriter(
            run_dir, start or 0, summary_dir=config.summary_dir, warn=progress.note
        )
        if start is None:
            saved.save(0)
    return trainer


def _check_run(model_config, data_config, train_config, progress) -> None:
    """Refuses to go on with another model; says which other settings have changed."""
    run_dir = train_config.run_dir
    stored = directory.read_config(run_dir, "model", kind=ModelConfig)
    if stored is None:
        return
    changed = difference(stored, model_config)
    if changed:
        raise errors.UserError(
            f"{run_dir}: holds a run of another model ({'; '.join(changed)}); give the run's own "
            "settings or another --checkpoint_dir"
        )
    for section, config in (("data", data_config), ("train", train_config)):
        before = directory.read_config(run_dir, section, kind=type(config))
        for change in difference(before, config):
            progress.note(f"changed since this run began: {change}")


def _description(gan: model.SAGAN, records: data_records.Records, data_config: DataConfig) -> str:
    """What `--dry_run` prints."""
    lines = [
        f"{field}: {value}"
        for config in (gan.model_config, data_config, gan.train_config)
        for field, value in vars(config).items()
    ]
    towers = distribution.towers_per_replica(gan.train_config, gan.strategy)
    lines += [
        f"optimizations in force: {loop.optimizations_in_force(gan)}",
        f"run directory: {gan.train_config.run_dir}",
        f"generator parameters: {_count_weights(gan.generator):,}",
        f"discriminator parameters: {_count_weights(gan.discriminator):,}",
        f"devices: {gan.strategy.num_replicas_in_sync} ("
        + ", ".join(gan.strategy.extended.worker_devices)
        + f"), {towers} towers of {gan.train_config.batch_size} images on each",
    ]
    lines += [f"data {name}: {value}" for name, value in dataset.describe(records).items()]
    return "\n".join(lines)


def _count_weights(network: keras.Model) -> int:
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def _progress(
    config: TrainConfig, strategy: tf.distribute.Strategy, stream: Optional[TextIO]
) -> training_progress.Progress:
    name = "" if distribution.is_chief(strategy) else f"worker {strategy.cluster_resolver.task_id}"
    return training_progress.Progress(
        config.max_steps, config.batch_size * config.num_towers, stream=stream, worker=name
    )


@contextlib.contextmanager
def _only_run(run_dir: str, chief: bool) -> Iterator[None]:
    """Keeps a second run out of the directory; several workers of one run share it."""
    with contextlib.ExitStack() as held:
        if chief:
            with files.writing(run_dir):
                tf.io.gfile.makedirs(run_dir)
                held.enter_context(
                    files.locked(
                        os.path.join(run_dir, "lock"),
                        f"{run_dir}: another run is at work there; wait for its end, or choose another "
                        "--checkpoint_dir",
                    )
                )
        yield
