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
    """The machine and the versions that this process runs with."""
    found = {
        "machine": f"{platform.node()}, {platform.system()} {platform.machine()}, "
        f"{os.cpu_count()} CPU cores",
        "Python": platform.python_version(),
    }
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS"):  # It decides which kernels a CPU runs.
        found["TF_ENABLE_ONEDNN_OPTS"] = os.environ["TF_ENABLE_ONEDNN_OPTS"]
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        kind = tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU")
        found["GPUs"] = f"{len(gpus)} x {kind}"
        build = tf.sysconfig.get_build_info()
        found["CUDA, cuDNN"] = ", ".join(
            build.get(name, "unknown") for name in ("cuda_version", "cudnn_version")
        )
        with contextlib.suppress(OSError), open(_DRIVER, encoding="utf-8") as file:
            found["driver"] = file.readline().strip()
    return found


def versions() -> dict[str, str]:
    """What made the numbers."""
    return {
        "sagan_tf": sagan_tf.__version__,
        "python": sys.version.split()[0],
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "tensorflow-gan": importlib.metadata.version("tensorflow-gan"),
    }
