import pytest

from sagan_tf import config
from sagan_tf.benchmarks import step_cost
from sagan_tf.benchmarks.setting import Setting
from tests.testing import TINY_MODEL


@pytest.mark.slow
@pytest.mark.parametrize(("what", "gflop"), [("generator", 18.2), ("discriminator", 9.4)])
def test_forward_passes_at_the_paper_s_size(what, gflop):
    """An independent count by hand, attention left out (which is 0.17 GFLOP in each)."""
    setting = Setting(
        config.ModelConfig(), config.TrainConfig(batch_size=2, num_towers=1, optimizations="none")
    )
    found = step_cost.cost_of_step(setting, what)
    assert found.total_flop / 2e9 == pytest.approx(gflop + 0.17, rel=0.02)


@pytest.mark.slow
def test_rewrites_take_four_ninths_of_what_they_rewrite():
    settings = [
        Setting(TINY_MODEL, config.TrainConfig(batch_size=2, num_towers=1, optimizations=names))
        for names in ("none", "down_conv:0")
    ]
    plain, rewritten = (step_cost.cost_of_step(s, "discriminator").flop for s in settings)
    # 3x3 at 32, 16 and 8 px to 8, 16 and 32 channels, two images.
    pooled = sum(2 * 2 * side**2 * 9 * width**2 for side, width in ((32, 8), (16, 16), (8, 32)))
    assert plain["Conv2D"] - rewritten["Conv2D"] == pytest.approx(pooled * 5 / 9)
