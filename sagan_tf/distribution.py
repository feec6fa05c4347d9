"""From flags to a `tf.distribute.Strategy`."""

import contextlib
import ctypes

import tensorflow as tf

from sagan_tf import config as config_lib


def make_strategy(config: config_lib.TrainConfig) -> tf.distribute.MirroredStrategy:
    """A `MirroredStrategy` over the devices that the config asks for.

    Every GPU (or the first `num_devices` of them); on a machine without GPU one CPU device, or
    `num_devices` logical ones.

    Raises:
      config.UserError: there are fewer devices than asked for, or their number does not divide
        `num_towers`.
    """
    gpus = tf.config.list_logical_devices("GPU") if tf.config.list_physical_devices("GPU") else []
    if gpus:
        wanted = config.num_devices or len(gpus)
        if wanted > len(gpus):
            raise config_lib.UserError(
                f"--num_devices={wanted}: this machine has {len(gpus)} GPUs")
        devices, reduction = [device.name for device in gpus[:wanted]], None
    else:
        devices = _cpu_devices(config.num_devices or 1)
        # TensorFlow's collectives allow one group size per process; a plain sum on one device
        # suits CPUs as well and has no such limit.
        reduction = tf.distribute.ReductionToOneDevice()
    keep_freed_memory()
    if config.num_towers % len(devices):
        raise config_lib.UserError(
            f"--num_towers={config.num_towers}: the towers do not divide evenly over "
            f"{len(devices)} devices; set --num_towers to a multiple of {len(devices)} or "
            f"--num_devices to a divisor of {config.num_towers}")
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=reduction)


def towers_per_replica(config: config_lib.TrainConfig, strategy: tf.distribute.Strategy) -> int:
    """Towers that each replica runs, in one forward pass."""
    return config.num_towers // strategy.num_replicas_in_sync


def _cpu_devices(count: int) -> list[str]:
    if count > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        # Where TensorFlow has started already (an error), or somebody has chosen (a
        # configuration), what there is, is counted below.
        if not tf.config.get_logical_device_configuration(cpu):
            with contextlib.suppress(RuntimeError):
                tf.config.set_logical_device_configuration(
                    cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    devices = tf.config.list_logical_devices("CPU")
    if len(devices) < count:
        raise config_lib.UserError(
            f"--num_devices={count}: TensorFlow has started with {len(devices)} CPU devices")
    return [device.name for device in devices[:count]]


def keep_freed_memory() -> None:
    """Tells glibc's allocator to reuse freed memory instead of handing it back to the system.

    A step on a CPU allocates and frees hundreds of megabytes, and so does reading raw records. By
    default glibc maps and unmaps large blocks every time, and the page faults take about half of
    the time. Does nothing where the C library has no `mallopt`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        m_trim_threshold, m_mmap_max = -1, -4  # malloc.h
        mallopt(m_mmap_max, 0)
        mallopt(m_trim_threshold, 2**31 - 1)
