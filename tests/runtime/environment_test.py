import importlib.metadata
import sys

import numpy as np
import tensorflow as tf

import sagan_tf
from sagan_tf.runtime import environment


def test_environment_names_the_versions_in_use():
    found = environment.environment()
    assert found["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"] == np.__version__


def test_environment_names_what_a_gpu_runs_with(tmp_path, monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind, kind])
    monkeypatch.setattr(
        tf.config.experimental, "get_device_details", lambda _: {"device_name": "NVIDIA H100"}
    )
    monkeypatch.setattr(
        tf.sysconfig, "get_build_info", lambda: {"cuda_version": "12.5.1", "cudnn_version": "9"}
    )
    (tmp_path / "version").write_text("NVRM version: 550.54\nGCC version: 12\n")
    monkeypatch.setattr(environment, "_DRIVER", str(tmp_path / "version"))
    found = environment.environment()
    assert found["GPUs"] == "2 x NVIDIA H100"
    assert found["CUDA, cuDNN"] == "12.5.1, 9"
    assert found["driver"] == "NVRM version: 550.54"


def test_versions_are_those_in_use():
    assert environment.versions() == {
        "sagan_tf": sagan_tf.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "tensorflow": tf.__version__,
        "numpy": np.__version__,
        "tensorflow-gan": importlib.metadata.version("tensorflow-gan"),
    }
