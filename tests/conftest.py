"""Four logical CPU devices for all tests, and the golden numbers."""

import gc
import json
import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# XLA's programs run once or twice here: LLVM's optimiser costs more than it saves.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false"
)

import numpy as np
import pytest

gc.set_threshold(100_000, 50, 50)  # as in the commands (`cli.run`)

# The files that take longest begin first, so that no worker is left alone with one at the end.
_LONG = (
    "model_test",
    "distributed_test",
    "faults_test",
    "export_test",
    "train_test",
    "loop_test",
    "steps_test",
    "resume_test",
    "imported_run_test",
    "report_test",
    "beside_training_test",
    "check_test",
    "sample_test",
    "evaluate_test",
    "dataset_test",
    "watch_test",
    "prepare_test",
    "cli_test",
)
TESTDATA = pathlib.Path(__file__).parent / "testdata"
ROOT = pathlib.Path(__file__).parent.parent
os.chdir(ROOT)  # tests name data/digits as a user does


def pytest_configure(config):
    """Makes the devices, but where pytest only hands the tests to its workers."""
    if config.getoption("numprocesses", None):
        return
    import tensorflow as tf

    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 4
    )
    tf.config.list_logical_devices()  # The choice is final.


def pytest_collection_modifyitems(items):
    names = dict(zip(_LONG, range(len(_LONG))))
    items.sort(key=lambda item: names.get(item.path.stem, len(_LONG)))


@pytest.fixture(scope="session")
def golden_ops():
    """The reference's numbers for single ops: (case, variant) -> {name: array}."""
    archive = np.load(TESTDATA / "ops.npz")

    def case(name, variant):
        start = f"{name}/{variant}/"
        return {key[len(start) :]: archive[key] for key in archive.files if key.startswith(start)}

    return case


@pytest.fixture(scope="session", params=["sagan_hinge", "baseline_kl"])
def golden_run(request):
    """The reference's numbers for three iterations: (settings, {name: array})."""
    archive = np.load(TESTDATA / f"{request.param}.npz")
    settings = json.loads((TESTDATA / f"{request.param}.json").read_text())
    return settings, {key: archive[key] for key in archive.files}


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """The directory of a small run with random weights, of three classes with names."""
    from sagan_tf.data import class_names
    from tests.testing import make_run

    run_dir = make_run(tmp_path_factory.mktemp("tiny_run"))
    class_names.write(
        run_dir,
        ["n01440764", "n01443537", "n01484850"],
        titles=["tench, Tinca tinca", "goldfish, Carassius auratus", "great white shark"],
    )
    return run_dir
