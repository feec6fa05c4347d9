"""A run that begins with the networks of another one, by the training loop."""

import numpy as np

from sagan_tf import config
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

    # The same command goes on.
    longer = small_runs.settings(tmp_path, **options, max_steps=6)
    printed = small_runs.train(data, longer)
    assert "continuing from step 4\n" in printed
    assert "beginning with" not in printed
