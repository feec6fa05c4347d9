"""The programs that a device would run, as StableHLO."""

import re

import numpy as np
import pytest

from sagan_tf import config, errors, model
from sagan_tf.benchmarks.ahead import programs
from sagan_tf.benchmarks.setting import Setting

SETTING = Setting(
    config.ModelConfig(
        image_size=32,
        z_dim=8,
        gf_dim=4,
        df_dim=4,
        number_classes=3,
        generator_type="baseline",
        discriminator_type="baseline",
    ),
    config.TrainConfig(
        batch_size=2, num_towers=8, mixed_precision="bfloat16", optimizations="auto"
    ),
)


@pytest.mark.parametrize(
    ("text", "device", "found"),
    [
        (
            "auto",
            "GPU",
            "none,relu,one_pass,kernel_sums,up_conv:0,down_conv:0,attention,shortcut,joint_batch,"
            "spectral_norm,batch_norm,adam",
        ),
        ("none", "TPU", "none"),
        # A size of 0 is said: without it a CPU would take its own.
        ("none,up_conv", "TPU", "none,up_conv:0"),
        ("none,down_conv:64", "GPU", "none,down_conv:64"),
    ],
)
def test_optimizations_are_those_of_the_device(text, device, found):
    assert programs.optimizations(text, device) == found
    # The CPU, which makes the program, reads the same.
    assert config.optimizations(found, "CPU") == config.optimizations(text, device, compiled=True)


@pytest.mark.slow
def test_an_iteration_takes_and_gives_all_state():
    setting = SETTING.changed("num_towers=1 optimizations=none")
    program = programs.program(setting, programs.ITERATION, kind="TPU")
    names = [one.name for one in program.arguments]
    assert names[:2] == ["images", "labels"]
    assert program.arguments[0].shape == (2, 32, 32, 3)
    assert program.arguments[1].below == 3

    # Both networks, both Adams and the counter; every one comes back.
    assert "global_step" in names
    assert "discriminator_optimizer/m" not in names
    beginnings = {name.split("/")[0] for name in names[2:]}
    assert beginnings == {
        "global_step",
        "generator",
        "discriminator",
        "g_optimizer",
        "d_optimizer",
    }
    assert len(set(names)) == len(names)
    assert sorted(program.fed_back.values()) == list(range(2, len(names)))
    assert sorted(program.fed_back) == list(range(1, len(names) - 1))

    # The arguments are the module's, in its order.
    header = re.search(r"func\.func @main\((.*?)\) ->", program.text, re.DOTALL)[1]
    types = re.findall(r"tensor<([^>]*)>", header)
    kinds = {"float32": "f32", "int64": "i64", "int32": "i32", "uint8": "ui8"}
    assert types == [
        "x".join([*map(str, one.shape), kinds[one.dtype]]) for one in program.arguments
    ]
    assert "mhlo.copy " not in program.text

    # Adam's moments begin with 0, SN's kernels do not.
    by_name = {one.name: one for one in program.arguments}
    moment = next(one for name, one in by_name.items() if name.startswith("g_optimizer/m/"))
    assert (moment.mean, moment.deviation) == (0, 0)
    kernel = by_name["discriminator/d_block2/sn_conv1/w"]
    assert kernel.deviation > 0.01


@pytest.mark.slow
def test_generation_changes_nothing():
    program = programs.program(SETTING, programs.GENERATION, kind="GPU")
    names = [one.name for one in program.arguments]
    assert names[:2] == ["z", "labels"]
    assert program.arguments[0].shape == (16, 8)
    assert not program.fed_back
    assert {name.split("/")[0] for name in names[2:]} == {"generator"}


@pytest.mark.slow
def test_a_replica_has_its_share_and_a_sum_for_each_gradient_and_value():
    program = programs.program(SETTING, programs.ITERATION, kind="TPU", replicas=8)
    assert program.arguments[0].shape == (2, 32, 32, 3)
    sums = re.findall(r'"stablehlo\.all_reduce"', program.text)

    # G's step reduces its gradients and its states; D's step also moves the states of G.
    gan = model.SAGAN(*SETTING.changed("num_towers=1"))
    of_g = len(gan.generator.trainable_variables) + len(gan.generator.states())
    of_d = len(gan.discriminator.trainable_variables) + len(gan.discriminator.states())
    assert len(sums) == of_g + of_d + len(gan.generator.states())
    assert "[0, 1, 2, 3, 4, 5, 6, 7]" in program.text


def test_a_sum_goes_in_front_of_a_marked_product_alone():
    text = """#loc1 = loc("mean_over_replicas")
#loc2 = loc("mean_over_replicas_12")
#loc3 = loc("mean_over_all")
#loc4 = loc(fused[#loc2, #loc3])
  %3 = stablehlo.multiply %1, %2 : tensor<4xf32> loc(#loc4)
  %4 = stablehlo.multiply %3, %2 : tensor<4xf32> loc(#loc3)
  %5 = stablehlo.multiply %4, %cst_7 : tensor<f32> loc(#loc1)
"""
    found = programs.reduced(text, 2)
    assert found.count("stablehlo.all_reduce") == 2
    assert '%total_3 = "stablehlo.all_reduce"(%1)' in found
    assert "%3 = stablehlo.multiply %total_3, %2 : tensor<4xf32> loc(#loc4)" in found
    assert "%4 = stablehlo.multiply %3, %2 : tensor<4xf32> loc(#loc3)" in found
    assert "%5 = stablehlo.multiply %total_5, %cst_7 : tensor<f32> loc(#loc1)" in found
    assert "dense<[[0, 1]]> : tensor<1x2xi64>" in found


def test_what_xla_cannot_take_is_one_line(monkeypatch):
    monkeypatch.setattr(programs, "_function", lambda *_, **__: (np.linalg.eig, []))
    with pytest.raises(errors.UserError, match="the generation cannot be handed to XLA"):
        programs.program(SETTING, programs.GENERATION, kind="GPU")
