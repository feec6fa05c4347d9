"""Training: prepares everything from the settings, then runs the loop."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Optional, TextIO, Union

import keras
import tensorflow as tf

from sagan_tf import errors, model, plurals
from sagan_tf.config import DataConfig, ModelConfig, TrainConfig
from sagan_tf.data import class_names, dataset
from sagan_tf.data.records import Records, to_float
from sagan_tf.runs import (
    beginnings,
    checkpoints,
    health,
    history,
    metric_writer,
    tensorboard_layout,
)
from sagan_tf.runtime import distribution, files
from sagan_tf.training import (
    description,
    loop,
    previews,
    real_variety,
    resume,
    run_settings,
    steps,
)
from sagan_tf.training.events import Events, changed_optimizations, keep_nothing
from sagan_tf.training.progress import Progress
from sagan_tf.training.roles import ChiefRun, FollowerRun
from sagan_tf.training.signals import StopSignals
from sagan_tf.training.start_up import StartUp


def train(
    model_config: ModelConfig,
    data_config: DataConfig,
    *,
    train_config: TrainConfig,
    data_directory: Optional[dataset.Directory] = None,
    dry_run: bool = False,
    stream: Optional[TextIO] = None,
) -> None:
    """Trains, or goes on training, in `train_config.run_dir` until `max_steps`.

    Args:
      model_config, data_config, train_config: what to do.
      data_directory: `data_config.data_dir`, if it is open already.
      dry_run: check everything, print what would be done, and leave without writing.
      stream: where progress goes; standard output by default.

    Raises:
      errors.UserError: the flags, the data, the run directory or the losses are not usable.
      errors.Interrupted: SIGTERM or SIGINT came; the run was saved.
      errors.WorkerLost: another worker has died or does not answer.
    """
    with StopSignals() as stop:
        # Prepare the devices.
        start_up = StartUp()
        set_tensorflow_options(train_config)
        strategy = distribution.make_strategy(train_config)
        progress = _make_progress(train_config, strategy, stream)
        start_up.done("devices")

        with contextlib.closing(progress), distribution.workers(strategy):
            # Open the records.
            data_directory = data_directory or dataset.open_directory(data_config.data_dir)
            records = data_directory.records(
                model_config.image_size, number_classes=model_config.number_classes
            )
            start_up.done("data")

            # Make the networks.
            gan = _make_networks(model_config, train_config, strategy=strategy)
            start_up.done("networks")

            # Say where its learning rates begin.
            saved_steps = checkpoints.Checkpoints(train_config.run_dir, {}).steps
            _say_of_rates(train_config, max(saved_steps, default=0), note=progress.note)

            # Begin with other networks before anything is written: a refusal leaves nothing.
            is_new = not saved_steps
            if is_new and train_config.init_from and distribution.is_chief(strategy):
                _begin(gan, records, note=progress.note)
            if dry_run:
                progress.note(description.describe(gan, records, data_config=data_config))
                return
            progress.note(description.devices(gan))

            # Train, alone in the run directory.
            with _only_run(train_config.run_dir, distribution.is_chief(strategy)):
                _train_in_directory(
                    gan,
                    records,
                    data_config=data_config,
                    progress=progress,
                    stop=stop,
                    start_up=start_up,
                )


def set_tensorflow_options(config: TrainConfig) -> None:
    """Sets what TensorFlow keeps for the whole process.

    Raises:
      errors.UserError: the devices are in use already, with another number of threads.
    """
    if config.threads_per_op:
        _limit_threads(config.threads_per_op)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    tf.config.experimental.enable_tensor_float_32_execution(config.tensor_float_32)
    # With oneDNN's kernels on a CPU the remapper stumbles over this graph (seen in TensorFlow 2.21)
    # and says so in an error of its own.
    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": not config.graph_optimizer, "remapping": False}
    )


def _limit_threads(threads: int) -> None:
    """Sets the threads of one operation."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
    except RuntimeError as error:
        raise errors.UserError(
            f"--threads_per_op={threads}: TensorFlow runs with another number in this process; "
            "start a process for each number"
        ) from error


def _make_networks(
    model_config: ModelConfig, train_config: TrainConfig, *, strategy: tf.distribute.Strategy
) -> model.SAGAN:
    keras.utils.set_random_seed(train_config.seed)
    with strategy.scope():
        return model.SAGAN(model_config, train_config)


def _say_of_rates(config: TrainConfig, step: int, *, note: Callable[[str], None]) -> None:
    """A line where the learning rates are below their values already, at the run's newest step."""
    # They fall over the last steps.
    left = config.max_steps - step
    if not 0 < left < config.decay_steps:
        return

    # Say how low they are.
    limit, verb = f"--max_steps={config.max_steps}", "begin"
    if step:
        limit, verb = f"what is left ({plurals.counted(left, 'step')})", "go on"
    note(
        f"--decay_steps={config.decay_steps} is more than {limit}: both learning rates {verb} at "
        f"{left / config.decay_steps:.2g} of their values"
    )


def _train_in_directory(
    gan: model.SAGAN,
    records: Records,
    *,
    data_config: DataConfig,
    progress: Progress,
    stop: StopSignals,
    start_up: StartUp,
) -> None:
    """Opens the run directory, goes to its newest checkpoint, and trains from there."""
    config = gan.train_config
    is_chief = distribution.is_chief(gan.strategy)

    # Refuse another model's directory.
    run_settings.check(gan, data_config, note=progress.note)

    # Go to the newest checkpoint.
    rollbacks = resume.make_rollback_counter(gan)
    saved = checkpoints.Checkpoints(
        config.run_dir,
        {**gan.state(), checkpoints.ROLLBACKS: rollbacks},
        keep=config.keep_checkpoints,
        optional=model.OPTIONAL_STATE,
    )
    if is_chief:
        saved.clear_unfinished()
    restored, warnings = _restore(gan, saved, progress=progress)
    begins = restored is None and bool(config.init_from)
    if begins and is_chief:
        saved.save(0)
    if begins:
        resume.restore_newest(gan, saved)

    # Prepare the files that the chief writes. Settings that train nothing are not kept.
    step = int(gan.step.numpy())
    writer = None
    add_event = keep_nothing
    if is_chief:
        if step < config.max_steps:
            run_settings.write(gan, records, data_config)
        writer = metric_writer.MetricWriter(
            config.run_dir, restored or 0, summary_dir=config.summary_dir, warn=progress.note
        )
        writer.write_layout(
            tensorboard_layout.of_training(
                has_classifier=gan.model_config.has_classifier,
                is_adaptive=gan.adaptive is not None,
            )
        )
        if restored is None and not begins:
            saved.save(0)
        add_event = history.History(config.run_dir).add
    start_up.done("checkpoint")

    events = Events(gan, progress, add=add_event)
    with events.recorded(warnings):
        # Leave if the end is reached.
        if step >= config.max_steps:
            events.note(f"nothing to do: step {step} of --max_steps={config.max_steps} is reached")
            return

        # Prepare what is written on the way.
        if writer is None:
            run = FollowerRun(saved=saved, events=events, progress=progress)
        else:
            run = _make_chief(
                gan, records, saved=saved, events=events, progress=progress, writer=writer
            )

        # Train.
        _train_to_the_end(
            gan,
            records,
            data_config=data_config,
            run=run,
            rollbacks=rollbacks,
            stop=stop,
            start_up=start_up,
        )


def _restore(
    gan: model.SAGAN, saved: checkpoints.Checkpoints, *, progress: Progress
) -> tuple[Optional[int], list[str]]:
    """Goes to the newest checkpoint; says where the run is, and returns as `restore_newest`."""
    # Go to the newest checkpoint.
    restored, warnings = resume.restore_newest(gan, saved)
    if restored is not None:
        events = history.read(gan.train_config.run_dir)
        warnings += changed_optimizations(gan, events)

    # Say so.
    for text in warnings:
        progress.note(text)
    beginning = "starting" if restored is None else f"continuing from step {restored}"
    progress.note(f"{gan.train_config.run_dir}: {beginning}")
    return restored, warnings


def _begin(gan: model.SAGAN, records: Records, *, note: Callable[[str], None]) -> None:
    """Gives a new run the networks that `init_from` names."""
    names = None if records.info is None else records.info.class_names
    classes = class_names.make(names, None, count=gan.model_config.number_classes)
    with gan.strategy.scope():
        beginnings.begin(gan, gan.train_config.init_from, classes=classes, note=note)


def _make_chief(
    gan: model.SAGAN,
    records: Records,
    *,
    saved: checkpoints.Checkpoints,
    events: Events,
    progress: Progress,
    writer: metric_writer.MetricWriter,
) -> ChiefRun:
    """The role of the worker that writes; shows what the real images look like."""
    # Show the real images.
    classes = class_names.read(gan.train_config.run_dir, gan.model_config.number_classes)
    real_images, labels = previews.read_real_images(records, progress.note)
    writer.write_image(
        int(gan.step.numpy()),
        "input_image_grid",
        image=previews.real_grid(real_images, labels, classes=classes),
        filename="samples/real.png",
    )

    # Compare the samples' variety with theirs.
    within_class = None
    if gan.train_config.health_every:
        run_dir = gan.train_config.run_dir
        within_class = real_variety.of_run(run_dir, records, progress.note)
    health_check = health.HealthCheck(
        events.warn,
        _variety(real_images),
        real_within_class=within_class,
        noise_until=health.steps_of_noise(gan.train_config),
    )
    health_check.take_up(metric_writer.read_rows(gan.train_config.run_dir))
    return ChiefRun(
        gan,
        saved=saved,
        events=events,
        progress=progress,
        writer=writer,
        health_check=health_check,
        classes=classes,
    )


def _train_to_the_end(
    gan: model.SAGAN,
    records: Records,
    *,
    data_config: DataConfig,
    run: Union[ChiefRun, FollowerRun],
    rollbacks: tf.Variable,
    stop: StopSignals,
    start_up: StartUp,
) -> None:
    """Trains to `max_steps`, with other random numbers after each rollback."""
    while True:
        # Prepare the batches.
        seed = resume.seed_after(gan.train_config.seed, int(rollbacks.numpy()))
        batches = steps.input_batches(
            gan, records, data_config=data_config, seed=seed, step=int(gan.step.numpy())
        )
        train_steps = steps.make_train_steps(gan, seed)
        start_up.done("input pipeline")

        # Trace the steps.
        train_steps.get_concrete_function(batches, tf.TensorSpec([], tf.int32))
        start_up.done("tracing")

        # Train.
        trainer = loop.Trainer(gan, train_steps, batches=batches, records=records, run=run)
        try:
            trainer.train(stop, start_up)
            return
        except loop.NotFinite as fault:
            resume.roll_back(gan, run, fault=fault, rollbacks=rollbacks)
            start_up = StartUp(since_process=False)


def _variety(real_images) -> float:
    """`health.variety` of real images, uint8 [n, size, size, 3], as if of one class."""
    floats = to_float(real_images).numpy()
    return health.variety(floats[None])


def _make_progress(
    config: TrainConfig, strategy: tf.distribute.Strategy, stream: Optional[TextIO]
) -> Progress:
    worker = ""
    if not distribution.is_chief(strategy):
        worker = f"worker {strategy.cluster_resolver.task_id}"
    images_per_step = config.batch_size * config.num_towers
    return Progress(config.max_steps, images_per_step, stream=stream, worker=worker)


@contextlib.contextmanager
def _only_run(run_dir: str, is_chief: bool) -> Iterator[None]:
    """Keeps a second run out of the directory; several workers of one run share it."""
    with contextlib.ExitStack() as held:
        if is_chief:
            with files.writing(run_dir):
                tf.io.gfile.makedirs(run_dir)
                lock = files.locked(
                    os.path.join(run_dir, "lock"),
                    f"{run_dir}: another run is at work there; wait for its end, or choose another "
                    "--checkpoint_dir",
                )
                held.enter_context(lock)
        yield
