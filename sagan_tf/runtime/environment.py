"""The machine and the package versions that this process runs with."""

import contextlib
import importlib.metadata
import os
import platform
import sys

import numpy as np
import tensorflow as tf

import sagan_tf

_DRIVER = "/proc/driver/nvidia/version"
_PACKAGES = ("tensorflow", "keras", "numpy", "tensorflow-gan")


def environment() -> dict[str, str]:
    """The machine and the versions that this process runs with, in words."""
    # Name the machine.
    system = f"{platform.system()} {platform.machine()}"
    found = {
        "machine": f"{platform.node()}, {system}, {os.cpu_count()} CPU cores",
        "Python": platform.python_version(),
    }

    # Name the packages that are installed.
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS"):  # It decides which kernels a CPU runs.
        found["TF_ENABLE_ONEDNN_OPTS"] = os.environ["TF_ENABLE_ONEDNN_OPTS"]

    # Name the GPUs.
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        found.update(_describe_gpus(gpus))
    return found


def _describe_gpus(gpus: list) -> dict[str, str]:
    """The GPUs and what drives them, in words."""
    # Name them, after the first.
    kind = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
    found = {"GPUs": f"{len(gpus)} x {kind}"}

    # Name the versions that TensorFlow was built with, and that of the driver.
    build = tf.sysconfig.get_build_info()
    versions_built = [build.get(name, "unknown") for name in ("cuda_version", "cudnn_version")]
    found["CUDA, cuDNN"] = ", ".join(versions_built)
    with contextlib.suppress(OSError), open(_DRIVER, encoding="utf-8") as file:
        found["driver"] = file.readline().strip()
    return found


def versions() -> dict[str, str]:
    """Versions of the packages that scores depend on."""
    return {
        "sagan_tf": sagan_tf.__version__,
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "tensorflow-gan": importlib.metadata.version("tensorflow-gan"),
    }
