import numpy as np
import pytest

from sagan_tf import config, errors, model, reference_checkpoint
from sagan_tf.runs import conversion
from tests.testing import TINY_MODEL


def test_reference_checkpoint_becomes_a_run_and_comes_back(tmp_path):
    train = config.TrainConfig(checkpoint_dir=str(tmp_path), batch_size=2, num_towers=1)
    gan = model.SAGAN(TINY_MODEL, train)
    gan.g_step(np.ones((2, 8), np.float32), [0, 1])
    gan.step.assign(1234)
    source, back = str(tmp_path / "a.ckpt"), str(tmp_path / "b.ckpt")
    reference_checkpoint.write(gan, source)
    assert conversion.import_run(source, TINY_MODEL, train_config=train) == 1234
    assert conversion.export_run(back, train) == 1234
    copy = model.SAGAN(TINY_MODEL, train)
    reference_checkpoint.read(copy, back)
    expected = reference_checkpoint.variables(gan, optimizer=True)
    for name, value in reference_checkpoint.variables(copy, optimizer=True).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    with pytest.raises(errors.UserError, match="imagenet_2: holds a run already"):
        conversion.import_run(source, TINY_MODEL, train_config=train)


def test_export_without_a_run_is_one_line(tmp_path):
    with pytest.raises(errors.UserError, match="no run there"):
        conversion.export_run("x", config.TrainConfig(checkpoint_dir=str(tmp_path)))
