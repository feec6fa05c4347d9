import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.benchmarks import kernels, training_step, workload
from sagan_tf.benchmarks.setting import Setting
from tests.testing import PLAIN_MODEL

SETTING = Setting(
    PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=2, graph_optimizer=False)
)


@pytest.mark.slow
def test_step_is_that_of_the_training_loop():
    with workload.random_records(SETTING) as data:
        measured = workload.Workload(SETTING, "train", data_config=data, iterations=2)
        assert measured.gan.step.numpy() == 2
        (times,) = training_step.measure([measured], 3)
        assert measured.gan.step.numpy() == 8
        assert len(times) == 3
        kinds = kernels.kernel_classes(measured.seconds, False)
        assert measured.gan.step.numpy() == 10
        assert kinds["convolution"] > 0
        assert {"optimizer", "product", "element by element"} <= set(kinds)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["generator", "discriminator", "generate"])
def test_forward_passes_of_the_networks(what):
    with workload.random_records(SETTING) as data:
        measured = workload.Workload(SETTING, what, data_config=data)
        before = [v.numpy() for v in measured.gan.state().values()]
        measured.seconds()
        for old, v in zip(before, measured.gan.state().values()):
            np.testing.assert_array_equal(old, v)  # G's moving statistics are not for this


def test_too_little_memory_is_one_line_that_names_the_flags():
    with (
        pytest.raises(errors.UserError, match="batch_size=2 --num_towers=2: they need more memory"),
        workload.enough_memory(SETTING.train),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
