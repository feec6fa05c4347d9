"""A run that begins with the networks of another one, by the training loop."""

import os

import numpy as np
import pytest

from sagan_tf import config, errors
from sagan_tf.runs import directory
from sagan_tf.training import steps as training_steps
from tests import processes
from tests.testing import make_data
from tests.training import small_runs


def test_begins_once_and_goes_on_from_its_own_checkpoint(tmp_path, tiny_run, monkeypatch):
    monkeypatch.setattr(
        training_steps, "make_train_steps", small_runs.stand_in(small_runs.quick_steps)
    )
    data = config.DataConfig(data_dir=make_data(tmp_path / "data"))
    options = {"init_from": tiny_run, "sample_every": 0, "health_every": 0}
    settings = small_runs.settings(tmp_path, **options)

    # The first checkpoint has the other run's average, the same D, and a counter of its own.
    line = f"beginning with the networks of {tiny_run}, each class as the mean of its 3\n"
    assert line in small_runs.train(data, settings)
    begun = small_runs.stored(settings, 0)
    there = processes.state(tiny_run, 5)
    for name, source in (
        ("generator.Sg_block1.Ssnconv1.Sw", "ema.Sgenerator.Sg_block1.Ssnconv1.Sw"),
        ("generator.Sg_block1.Ssnconv1.Su", "ema.Sgenerator.Sg_block1.Ssnconv1.Su"),
        ("discriminator.Sd_block2.Ssn_conv1.Sw", "discriminator.Sd_block2.Ssn_conv1.Sw"),
    ):
        ending = "/.ATTRIBUTES/VARIABLE_VALUE"
        np.testing.assert_array_equal(
            begun[f"state/{name}{ending}"], there[f"state/{source}{ending}"]
        )
    assert begun["state/global_step/.ATTRIBUTES/VARIABLE_VALUE"] == 0

    # It goes on, whatever the flag says now, and its settings keep what it began with.
    for last, source in ((6, tiny_run), (8, ""), (10, "/gone")):
        options["init_from"] = source
        printed = small_runs.train(data, small_runs.settings(tmp_path, **options, max_steps=last))
        assert f"continuing from step {last - 2}\n" in printed
        assert "beginning with" not in printed
        ignored = (
            f"--init_from=/gone: not used, this run began with {tiny_run}; give another --run_name "
            "to begin with it\n"
        )
        assert ("init_from" in printed) == (source == "/gone")
        assert (ignored in printed) == (source == "/gone")
        kept = directory.read_config(settings.run_dir, "train", kind=config.TrainConfig)
        assert kept.init_from == tiny_run


def test_a_dry_run_reads_it(tmp_path, tiny_run):
    data = config.DataConfig(data_dir=make_data(tmp_path / "data"))
    settings = small_runs.settings(tmp_path, init_from=tiny_run)
    assert "beginning with" in small_runs.train(data, settings, dry_run=True)
    gone = small_runs.settings(tmp_path, init_from="/gone")
    with pytest.raises(errors.UserError, match="^--init_from=/gone: "):
        small_runs.train(data, gone, dry_run=True)


def test_a_refusal_leaves_no_directory(tmp_path):
    data = config.DataConfig(data_dir=make_data(tmp_path / "data"))
    settings = small_runs.settings(tmp_path, init_from="/gone")
    with pytest.raises(errors.UserError, match="^--init_from=/gone: "):
        small_runs.train(data, settings)
    assert not os.path.exists(settings.run_dir)
