from sagan_tf import config
from sagan_tf.benchmarks import operation_count, step_report
from sagan_tf.benchmarks.setting import Setting
from tests.testing import PLAIN_MODEL

SETTING = Setting(PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=2))


def test_summary_by_hand():
    cost = operation_count.Cost({"Conv2D": 6, "MatMul": 2}, 20)
    row = step_report.summary(
        SETTING, [2.0, 1.0, 4.0], cost=cost, ceiling={"conv": 8.0, "matmul": 16.0}
    )
    assert (row["median_seconds"], row["min_seconds"], row["max_seconds"]) == (2, 1, 4)
    assert (row["batch"], row["images_per_second"]) == (4, 2)
    assert (row["flop_per_second"], row["bytes_per_second"]) == (4, 10)
    assert (row["share_of_conv_ceiling"], row["share_of_matmul_ceiling"]) == (0.5, 0.25)
    assert "2 s (median of 3; 1 to 4), 2 images/s" in step_report.describe("train", row)
