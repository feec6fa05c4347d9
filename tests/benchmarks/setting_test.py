import re

import pytest

from sagan_tf import config, errors
from sagan_tf.benchmarks.setting import Setting
from tests.testing import PLAIN_MODEL

SETTING = Setting(PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=2))


def test_setting_is_changed_by_the_names_of_flags():
    changed = SETTING.changed("gf_dim=16 mixed_precision=bfloat16 jit_compile=true beta1=0.5")
    assert (changed.model.gf_dim, changed.train.mixed_precision) == (16, "bfloat16")
    assert (changed.train.jit_compile, changed.train.beta1) == (True, 0.5)
    assert changed.model.df_dim == SETTING.model.df_dim
    assert SETTING.changed("") == SETTING
    assert SETTING.changed("run_name=a").train.run_name == "a"  # It is None before.
    assert changed.batch == 4
    # No word of these fits the setting without the others.
    both = Setting(config.ModelConfig(), config.TrainConfig()).changed(
        "accumulate=8 image_size=32 num_towers=8 generator_type=baseline "
        "discriminator_type=baseline"
    )
    assert (both.model.image_size, both.train.accumulate) == (32, 8)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("speed=9", "--compare=speed=9: expected name=value of training's flags, got speed=9"),
        ("num_blocks=3", "got num_blocks=3"),
        ("jit_compile", "got jit_compile"),
        ("gf_dim=wide", "--compare=gf_dim=wide: wide is not of type int"),
        ("jit_compile=maybe", "maybe is not of type bool"),
        (
            "mixed_precision=int8",
            "--mixed_precision=int8: expected one of float32, bfloat16, float16",
        ),
    ],
)
def test_setting_that_does_not_fit_is_named(text, message):
    with pytest.raises(errors.UserError, match=re.escape(message)):
        SETTING.changed(text)
