"""The format of a run directory: one of 2026 (tests/testdata/run_v1) loads and goes on for ever.

It was written by three steps of a model of width 4 with a moving average, on the images of
`make_data`. The numbers below are those of that day.
"""

import dataclasses
import io
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, model
from sagan_tf.runs import checkpoints, directory
from sagan_tf.training import train
from tests.conftest import TESTDATA
from tests.testing import make_data

RUN = TESTDATA / "run_v1"
EXPECTED = json.loads((TESTDATA / "run_v1_numbers.json").read_text())


@pytest.fixture(name="restored", scope="module")
def fixture_restored():
    """The model of that day, and its numbers of today."""
    model_config = directory.read_config(str(RUN), "model", kind=config.ModelConfig)
    train_config = directory.read_config(str(RUN), "train", kind=config.TrainConfig)
    gan = model.SAGAN(model_config, train_config)
    saved = checkpoints.Checkpoints(str(RUN), gan.state(), optional=model.OPTIONAL_STATE)
    assert saved.restore() == 3
    return gan, numbers_of(gan)


def numbers_of(gan):
    z = np.linspace(-2, 2, 12).reshape(3, 4).astype(np.float32)
    images = np.linspace(-1, 1, 3 * 32 * 32 * 3).reshape(3, 32, 32, 3)
    labels = np.array([0, 1, 2])

    def corners(network):
        return network(z, labels, training=False).numpy()[:, ::9, ::9].ravel().tolist()

    return {
        "generator": corners(gan.generator),
        "average": corners(gan.averaged),
        "logits": gan.discriminator(images, labels).numpy().ravel().tolist(),
        "state": {
            name: float(np.sum(np.abs(v.numpy()), dtype=np.float64))
            for name, v in gan.state().items()
        },
    }


def test_version_1_is_what_config_says():
    assert json.loads((RUN / "config.json").read_text())["version"] == 1
    assert directory.CONFIG_VERSION >= 1


@pytest.mark.slow
def test_every_variable_is_there(restored):
    gan, found = restored
    assert found["state"] == pytest.approx(EXPECTED["state"], rel=1e-6)
    assert int(gan.step.numpy()) == 3


@pytest.mark.parametrize("what", ["generator", "average", "logits"])
def test_networks_compute_what_they_did(restored, what):
    np.testing.assert_allclose(restored[1][what], EXPECTED[what], atol=2e-5)


@pytest.mark.slow
def test_run_goes_on(tmp_path):
    shutil.copytree(RUN, tmp_path / "imagenet_2")
    data = make_data(tmp_path / "data")
    train_config = dataclasses.replace(
        directory.read_config(str(RUN), "train", kind=config.TrainConfig),
        checkpoint_dir=str(tmp_path),
        max_steps=4,
        deterministic=False,
        strategy="one_device",
        graph_optimizer=False,
    )
    data_config = dataclasses.replace(
        directory.read_config(str(RUN), "data", kind=config.DataConfig), data_dir=data
    )
    stream = io.StringIO()
    try:
        train.train(
            directory.read_config(str(RUN), "model", kind=config.ModelConfig),
            data_config,
            train_config=train_config,
            stream=stream,
        )
    finally:  # Other tests find TensorFlow as it was.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})
    assert "continuing from step 3\n" in stream.getvalue()
    row = json.loads((tmp_path / "imagenet_2" / "metrics.jsonl").read_text().splitlines()[-1])
    for name, value in EXPECTED["step 4"].items():
        assert row[name] == pytest.approx(value, rel=2e-3, abs=2e-3), name
