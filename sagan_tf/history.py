"""What has happened to a run: `history.jsonl` in its directory, a line for each event.

Losses walk some steps twice when a run was killed; this file does not: it is only ever added to.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import time
from typing import Any

import tensorflow as tf

from sagan_tf import config as config_lib
from sagan_tf import files

FILENAME = "history.jsonl"
# Kinds of events. A START without an END before the next one was killed.
START, END, WARNING = "start", "end", "warning"
_DRIVER = "/proc/driver/nvidia/version"
_PACKAGES = ("tensorflow", "keras", "numpy", "tensorflow-gan")


class History:
    """Adds events to a run's history; what cannot be written is lost, and the run goes on.

    Args:
      run_dir: directory of the run, which is there.
    """

    def __init__(self, run_dir: str):
        self._run_dir = run_dir

    def add(self, event: str, text: str = "", **facts: Any) -> None:
        """An event, with the time in seconds since 1970.

        Args:
          event: `START`, `END` or `WARNING`.
          text: a line for people.
          **facts: what else is known, for JSON.
        """
        line = json.dumps({"event": event, "time": time.time(), "text": text, **facts})
        with contextlib.suppress(config_lib.UserError), files.writing(self._run_dir):
            files.append_line(os.path.join(self._run_dir, FILENAME), line)


def read(run_dir: str) -> list[dict[str, Any]]:
    """The events of a run, oldest first, without lines that are unfinished; [] without any."""
    path = os.path.join(run_dir, FILENAME)
    if not tf.io.gfile.exists(path):
        return []
    events = []
    for line in files.read_lines(path):
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            if isinstance(event, dict) and "event" in event and "time" in event:
                events.append(event)
    return events


def environment() -> dict[str, str]:
    """The machine and the versions that this process runs with."""
    found = {"machine": f"{platform.node()}, {platform.system()} {platform.machine()}, "
                        f"{os.cpu_count()} CPU cores",
             "Python": platform.python_version()}
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
        found["CUDA, cuDNN"] = ", ".join(build.get(name, "unknown")
                                         for name in ("cuda_version", "cudnn_version"))
        with contextlib.suppress(OSError), open(_DRIVER, encoding="utf-8") as file:
            found["driver"] = file.readline().strip()
    return found
