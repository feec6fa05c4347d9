"""A run with residual blocks and a generator without SN, from its first step to its scores."""

import dataclasses
import io
import json
import os

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.evaluation import evaluate
from sagan_tf.runs import directory
from sagan_tf.viewing import attention_maps, export, sample, trained
from tests import processes
from tests.testing import TINY_MODEL
from tests.training import small_runs

MODEL = dataclasses.replace(TINY_MODEL, number_classes=10, block="residual", generator_sn=False)
DIGITS = config.DataConfig(data_dir="data/digits", shuffle_buffer_size=100)


@pytest.fixture(name="run", scope="module")
def fixture_run(tmp_path_factory):
    """(settings of the training, what was printed) of one step, and another one."""
    train_config = small_runs.settings(
        tmp_path_factory.mktemp("residual"),
        num_towers=1,
        max_steps=1,
        save_summaries_steps=1,
        attention_every=1,
        health_every=1,
    )
    small_runs.train(DIGITS, train_config, MODEL)
    longer = dataclasses.replace(train_config, max_steps=2)
    return longer, small_runs.train(DIGITS, longer, MODEL)


@pytest.mark.slow
def test_run_continues_with_its_rows(run):
    train_config, printed = run
    assert "continuing from step 1" in printed
    rows = small_runs.rows(train_config)
    assert [row["step"] for row in rows] == [1, 2]
    assert directory.read_config(train_config.run_dir, "model", kind=config.ModelConfig) == MODEL

    # What the generator does not have is not in the rows; the discriminator has all of it.
    ratios = {name for name in rows[-1] if name.endswith("sigma_ratio")}
    assert ratios == {f"model/{network}_residual/sigma_ratio" for network in "gd"}
    assert rows[-1]["model/g_residual/sigma_ratio"] != 0
    assert not {name for name in rows[-1] if name.startswith("sigma/g_")}
    assert "health/generator_largest_norm" not in rows[-1]
    assert rows[-1]["health/discriminator_largest_norm"] > 0
    assert rows[-1]["sigma/d_residual/sn_conv2"] > 0


@pytest.mark.slow
def test_samples_of_the_exported_model_are_those_of_the_run(run, tmp_path):
    out = str(tmp_path / "model")
    export.export(config.ExportConfig(run=run[0].run_dir, out=out), io.StringIO())
    signatures = tf.saved_model.load(out).signatures
    assert "attention" not in signatures
    protocol = json.loads(signatures["card"]()["json"].numpy())["protocol"]
    assert protocol["spectral_norm"].startswith("none")

    live, _ = trained.open_generator(run[0].run_dir)
    z = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    labels = np.array([0, 9, 4], np.int32)
    expected = live(z, labels, training=False).numpy()
    found = signatures["floats"](z=z, labels=labels)["images"]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    of_file = trained.open_model(os.path.join(out, trained.KERAS_FILE)).generate(z, labels)
    np.testing.assert_allclose(of_file, expected, atol=1e-5)


@pytest.mark.slow
def test_run_is_sampled_with_standing_statistics(run, tmp_path):
    picture = str(tmp_path / "sheet.png")
    sample.sample(
        config.SampleConfig(
            run=run[0].run_dir, out=picture, classes="3", seeds="1", standing_statistics=True
        ),
        io.StringIO(),
    )
    assert os.path.getsize(picture) > 0


@pytest.mark.slow
def test_run_is_scored(run, tmp_path):
    scores, *_ = evaluate.evaluate(
        config.EvalConfig(
            run=run[0].run_dir,
            data_dir="data/digits",
            inception="data/digits_classifier",
            stats_dir=str(tmp_path),
            eval_sample_size=20,
            dcgan_generator_batch_size=20,
        ),
        io.StringIO(),
    )
    assert scores.name == "step 2"
    assert scores.fid > 0
    (row,) = processes.rows(os.path.join(run[0].checkpoint_dir, "eval", "imagenet_2"))
    assert row["step"] == 2


@pytest.mark.slow
def test_there_is_no_attention_to_draw(run, tmp_path):
    for network in ("generator", "discriminator"):
        settings = config.AttentionConfig(
            run=run[0].run_dir, out=str(tmp_path / "a.png"), network=network
        )
        text = rf"^--network={network}: .* \(its block is residual; there is no attention to draw"
        with pytest.raises(errors.UserError, match=text):
            attention_maps.draw(settings, io.StringIO())
