"""Choice of the `tf.distribute.Strategy` by the flags, and what its workers share."""

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from sagan_tf import errors, plurals
from sagan_tf.config import ScoringConfig, TrainConfig, optimization_names
from sagan_tf.runtime import files, memory, processor, watchdog

_CPU_BATCH = 20
# Jobs of a cluster whose processes train together.
_TRAINING_JOBS = ("chief", "worker")
# What TensorFlow raises when a worker has died, hangs, or was started anew without the others.
_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
    tf.errors.FailedPreconditionError,
)


def make_strategy(config: TrainConfig) -> tf.distribute.Strategy:
    """The strategy that the config asks for; call it before anything runs on a device.

    `mirrored` takes every GPU (or the first `num_devices` of them); on a machine without GPU one
    CPU device, or `num_devices` logical ones. `multi_worker` takes every GPU, or the CPU, of each
    worker that the environment variable TF_CONFIG names. `tpu` takes all cores.

    Raises:
      errors.UserError: there are fewer devices than asked for, their number does not divide
        `num_towers`, or TF_CONFIG is not what TensorFlow expects.

    A process whose other workers do not appear within `worker_timeout` is killed.
    """
    # Find out which strategy it is.
    memory.keep_freed_memory()
    kind = _kind(config)
    if kind in ("multi_worker", "tpu") and config.num_devices:
        raise errors.UserError(
            f"--num_devices={config.num_devices}: expected 0 with --strategy={kind}, which takes "
            "all devices; CUDA_VISIBLE_DEVICES limits the GPUs of a worker"
        )

    # Make it.
    make = {
        "one_device": _one_device,
        "mirrored": _mirrored,
        "multi_worker": _multi_worker,
        "tpu": _tpu,
    }
    strategy = make[kind](config)
    _check_towers(config, strategy.num_replicas_in_sync)
    return strategy


def make_evaluation_strategy(config: ScoringConfig) -> tf.distribute.Strategy:
    """The strategy of an evaluation: as `make_strategy`'s, of this machine alone.

    Raises:
      errors.UserError: there are fewer devices than asked for.
    """
    # Compute in float32, as the record says: TensorFlow's default is TensorFloat-32 if it can.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # Devices have started: too late to choose.
            # Leave memory to a run that may be training beside this.
            tf.config.experimental.set_memory_growth(gpu, True)

    # Take the devices of this machine alone.
    kind = config.strategy
    if kind == "auto":
        kind = "tpu" if os.environ.get("TPU_NAME") else "mirrored"
    make = {"one_device": _one_device, "mirrored": _mirrored, "tpu": _tpu}
    return make[kind](config)


def device_kind() -> str:
    """What the strategy in scope, or TensorFlow without one, computes on: "CPU", "GPU" or "TPU"."""
    if not tf.distribute.has_strategy():
        return "GPU" if _gpus() else "CPU"
    device = tf.distribute.get_strategy().extended.worker_devices[0]
    return tf.DeviceSpec.from_string(device).device_type.upper()


def optimizations(
    text: str = "auto", *, compiled: bool = False, native: str = ""
) -> dict[str, int]:
    """What --optimizations asks for on the devices of `device_kind` (`config.optimizations`)."""
    return optimization_names.optimizations(text, device_kind(), compiled=compiled, native=native)


def native_convolutions(config: TrainConfig) -> str:
    """The CPU's instruction with which a training's convolutions run as they are; "" for none.

    It is known of bfloat16 with oneDNN's kernels, which XLA does not use.
    """
    if config.mixed_precision != "bfloat16" or config.jit_compile or device_kind() != "CPU":
        return ""
    return processor.native_bfloat16()


def chosen_by_processor(config: TrainConfig) -> str:
    """What "auto" of --optimizations means otherwise because of this CPU: why; "" for nothing."""
    # See what changes.
    native = native_convolutions(config)
    usual = optimizations(config.optimizations)
    here = optimizations(config.optimizations, native=native)
    gone = [f"{name} left out" for name in usual if name not in here]
    new = [f"{name} taken" for name in here if name not in usual]

    # Say why.
    changes = ", ".join(gone + new)
    return f"{changes}: this CPU has {native}" if changes else ""


def fitting_batch(images: int) -> int:
    """So many images generated or classified at a time by a device; fewer on a CPU.

    A hundred images of 128 px take two gigabytes in G and in Inception, and are no quicker on a
    CPU.
    """
    accelerators = (*tf.config.list_logical_devices("GPU"), *tf.config.list_logical_devices("TPU"))
    return images if accelerators else min(images, _CPU_BATCH)


def towers_per_replica(config: TrainConfig, strategy: tf.distribute.Strategy) -> int:
    """Towers that each replica runs."""
    return config.num_towers // strategy.num_replicas_in_sync


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes: the only one, or the first of several workers."""
    return strategy.extended.should_checkpoint


def number_of_workers(strategy: tf.distribute.Strategy) -> int:
    """Processes that train together."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    cluster = strategy.cluster_resolver.cluster_spec().as_dict()
    return sum(len(cluster.get(job, [])) for job in _TRAINING_JOBS)


def mean_over_workers(strategy: tf.distribute.Strategy, values: Sequence[float]) -> np.ndarray:
    """Means over the workers of a few numbers, float64 [numbers].

    Every worker must call it at the same point: it waits for all of them.
    """
    if number_of_workers(strategy) == 1:
        return np.array(values, np.float64)
    own = strategy.experimental_distribute_values_from_function(
        lambda _: tf.constant(values, tf.float64)
    )
    return strategy.reduce(tf.distribute.ReduceOp.MEAN, own, axis=None).numpy()


@contextlib.contextmanager
def workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns TensorFlow's error about a lost worker, or TPU, into an `errors.WorkerLost`."""
    try:
        yield
    except _WORKER_ERRORS as error:
        # Without other workers only a TPU can be lost.
        alone = number_of_workers(strategy) == 1
        if alone and not isinstance(strategy, tf.distribute.TPUStrategy):
            raise

        # Say who was lost, and what to do.
        lost = "the TPU" if alone else "another worker"
        raise errors.WorkerLost(
            f"{lost} has died or does not answer ({files.first_line(error)}); start the same "
            "command on all workers again, and they continue from the last checkpoint"
        ) from error


def _kind(config: TrainConfig) -> str:
    if config.strategy != "auto":
        return config.strategy
    if _cluster_size() > 1:
        return "multi_worker"
    return "tpu" if os.environ.get("TPU_NAME") else "mirrored"


def _cluster_size() -> int:
    """Workers that TF_CONFIG names; 0 without it.

    Raises:
      errors.UserError: it is not what TensorFlow expects.
    """
    text = os.environ.get("TF_CONFIG", "")
    if not text:
        return 0
    try:
        return _count_workers(json.loads(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise errors.UserError(
            f"TF_CONFIG={text}: expected JSON as in "
            '{"cluster": {"worker": ["host0:port", "host1:port"]}, "task": {"type": "worker", '
            f'"index": 0}}}} ({files.first_line(error)})'
        ) from error


def _count_workers(content: dict[str, Any]) -> int:
    """Workers in the parsed TF_CONFIG; ValueError, KeyError, ... if it is not one."""
    # Read the addresses of each job.
    cluster = content.get("cluster", {})
    if not all(isinstance(names, list) for names in cluster.values()):
        raise ValueError("the addresses of a job are no list")

    # Find this process among them.
    task = content.get("task", {})
    if cluster:
        job = cluster.get(task["type"], [])
        if not 0 <= task["index"] < len(job):
            raise ValueError("the task is not one of the cluster")
    return sum(len(cluster.get(job, [])) for job in _TRAINING_JOBS)


def _one_device(config: TrainConfig) -> tf.distribute.Strategy:
    if config.num_devices > 1:
        raise errors.UserError(
            f"--num_devices={config.num_devices}: expected 0 or 1 with --strategy=one_device"
        )
    return tf.distribute.OneDeviceStrategy((_gpus() or _cpu_devices(1))[0])


def _mirrored(config: TrainConfig) -> tf.distribute.Strategy:
    gpus = _gpus()
    if not gpus:
        # TensorFlow's collectives allow one group size per process; a plain sum on one device
        # suits CPUs as well and has no such limit.
        return tf.distribute.MirroredStrategy(
            _cpu_devices(config.num_devices or 1),
            cross_device_ops=tf.distribute.ReductionToOneDevice(),
        )
    wanted = config.num_devices or len(gpus)
    if wanted > len(gpus):
        there = plurals.counted(len(gpus), "GPU")
        raise errors.MachineError(f"--num_devices={wanted}: this machine has {there}")
    return tf.distribute.MirroredStrategy(gpus[:wanted])


def _multi_worker(config: TrainConfig) -> tf.distribute.Strategy:
    # Count the workers.
    count = _cluster_size()
    if not count:
        raise errors.UserError(
            "--strategy=multi_worker: expected the environment variable TF_CONFIG to name the "
            'workers, with another index on each (docs/training.md, "Several machines")'
        )

    # Wait for them, but not for ever: TensorFlow itself would.
    timeout = config.worker_timeout
    missing = (
        f"TF_CONFIG names {count} workers, and not all have appeared within "
        f"--worker_timeout={timeout} seconds; start the same command on all of them"
    )
    options = tf.distribute.experimental.CommunicationOptions(timeout_seconds=timeout)
    with watchdog.limited(timeout, missing):
        try:
            return tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
        except (ValueError, TypeError, RuntimeError, tf.errors.OpError) as error:
            raise errors.UserError(
                f"TF_CONFIG={os.environ['TF_CONFIG']}: the workers cannot be joined "
                f"({files.first_line(error)}); expected free host:port addresses that "
                "every worker reaches"
            ) from error


def _tpu(config: TrainConfig) -> tf.distribute.Strategy:
    # Not a TPU elsewhere, nor a pod: the order of the images is made by Python, on each host.
    try:
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu="local")
        tf.tpu.experimental.initialize_tpu_system(resolver)
        return tf.distribute.TPUStrategy(resolver)
    except (ValueError, RuntimeError, tf.errors.OpError) as error:
        raise errors.UserError(
            f"--strategy={config.strategy}: expected a TPU VM with TensorFlow for TPUs "
            f"({files.first_line(error)})"
        ) from error


def _check_towers(config: TrainConfig, replicas: int) -> None:
    """Refuses towers that the devices cannot share evenly."""
    # Share the towers out among the devices.
    if config.num_towers % replicas:
        raise errors.UserError(
            f"--num_towers={config.num_towers}: the towers do not divide evenly over {replicas} "
            f"devices; set --num_towers to a multiple of {replicas} or --num_devices to a divisor "
            f"of {config.num_towers}"
        )

    # Check the towers of one device.
    towers = config.num_towers // replicas
    if towers % config.accumulate:
        raise errors.UserError(
            f"--accumulate={config.accumulate}: expected a divisor of the {towers} towers that "
            "each device runs"
        )
    _check_groups(config, replicas, at_once=towers // config.accumulate * config.batch_size)


def _check_groups(config: TrainConfig, replicas: int, *, at_once: int) -> None:
    """Refuses groups of batch norm that do not fit the images that a device runs at once."""
    # Groups that span devices exchange their moments, which some settings exclude.
    wide = config.group_size > at_once
    if wide and config.accumulate > 1:
        raise errors.UserError(
            f"--bn_group={config.bn_group}: with --accumulate={config.accumulate} a device runs "
            f"{at_once} images at a time; give at most that"
        )
    if wide and config.jit_compile:
        raise errors.UserError(
            f"--bn_group={config.bn_group}: with --jit_compile groups cannot span devices, which "
            f"run {at_once} images each; give at most that, or --nojit_compile"
        )

    # A group is a whole number of devices, or a device's images a whole number of groups.
    if wide:
        devices = config.group_size // at_once
        fits = config.group_size % at_once == 0 and replicas % devices == 0
    else:
        fits = at_once % config.group_size == 0
    if not fits:
        raise errors.UserError(
            f"--bn_group={config.bn_group}: groups do not fit the {at_once} images that each of "
            f"{replicas} devices runs"
        )


def _gpus() -> list[str]:
    if not tf.config.list_physical_devices("GPU"):
        return []
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def _cpu_devices(count: int) -> list[str]:
    # Split the CPU, unless TensorFlow has started (an error) or it has been split before.
    if count > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        if not tf.config.get_logical_device_configuration(cpu):
            parts = [tf.config.LogicalDeviceConfiguration()] * count
            with contextlib.suppress(RuntimeError):
                tf.config.set_logical_device_configuration(cpu, parts)

    # Count what there is.
    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < count:
        raise errors.UserError(
            f"--num_devices={count}: TensorFlow has already started with {len(devices)} CPU devices"
        )
    return [device.name for device in devices[:count]]
