import dataclasses
import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.tsl.profiler.protobuf import xplane_pb2

from sagan_tf import config, errors
from sagan_tf.benchmarks import gpu_suite, kernels, operation_count, training_step
from sagan_tf.runtime import environment, memory
from tests import processes
from tests.testing import PLAIN_MODEL

SETTING = training_step.Setting(
    PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=2, graph_optimizer=False)
)
TINY = (
    "--image_size=32",
    "--z_dim=8",
    "--gf_dim=8",
    "--df_dim=8",
    "--number_classes=3",
    "--batch_size=2",
    "--num_towers=1",
    "--generator_type=baseline",
    "--discriminator_type=baseline",
    "--nograph_optimizer",
    "--rounds=2",
)


def test_setting_is_changed_by_the_names_of_flags():
    changed = SETTING.changed("gf_dim=16 mixed_precision=bfloat16 jit_compile=true beta1=0.5")
    assert (changed.model.gf_dim, changed.train.mixed_precision) == (16, "bfloat16")
    assert (changed.train.jit_compile, changed.train.beta1) == (True, 0.5)
    assert changed.model.df_dim == SETTING.model.df_dim
    assert SETTING.changed("") == SETTING
    assert changed.batch == 4
    # No word of these fits the setting without the others.
    both = training_step.Setting(config.ModelConfig(), config.TrainConfig()).changed(
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
        ("gf_dim=wide", "--compare=gf_dim=wide: wide is no int"),
        ("jit_compile=maybe", "maybe is no bool"),
        (
            "mixed_precision=int8",
            "--mixed_precision=int8: expected one of float32, bfloat16, float16",
        ),
    ],
)
def test_setting_that_does_not_fit_is_named(text, message):
    with pytest.raises(errors.UserError, match=re.escape(message)):
        SETTING.changed(text)


def test_subjects_take_turns():
    calls = []

    class Fake:
        def __init__(self, name):
            self.name = name

        def seconds(self):
            calls.append(self.name)
            return float(len(calls))

    lines = []
    found = training_step.measure([Fake("a"), Fake("b")], 2, show=lines.append)
    assert calls == ["a", "a", "b", "a", "b"]  # b was measured last: a is cold.
    assert found == [[2, 4], [3, 5]]
    assert lines == ["round 1 of 2: 2 s, 3 s", "round 2 of 2: 4 s, 5 s"]


def test_summary_by_hand():
    cost = operation_count.Cost({"Conv2D": 6, "MatMul": 2}, 20)
    row = training_step.summary(
        SETTING, [2.0, 1.0, 4.0], cost=cost, ceiling={"conv": 8.0, "matmul": 16.0}
    )
    assert (row["median_seconds"], row["min_seconds"], row["max_seconds"]) == (2, 1, 4)
    assert (row["batch"], row["images_per_second"]) == (4, 2)
    assert (row["flop_per_second"], row["bytes_per_second"]) == (4, 10)
    assert (row["share_of_conv_ceiling"], row["share_of_matmul_ceiling"]) == (0.5, 0.25)
    assert "2 s (median of 3; 1 to 4), 2 images/s" in training_step.describe("train", row)


@pytest.mark.parametrize(
    ("kernel", "kind"),
    [
        (
            "sm90_xmma_dgrad_implicit_gemm_bf16bf16_bf16f32_f32_nhwckrsc_nhwc_tilesize128",
            "convolution",
        ),
        ("sm80_xmma_gemm_bf16bf16_bf16f32_f32_tn_n_tilesize128", "product"),
        ("void cutlass::Kernel2<cutlass_80_tensorop_bf16_s16816gemm_relu>", "product"),
        ("cutlass_tensorop_bf16_s16816dgrad_optimized_bf16_128x128_nhwc", "convolution"),
        ("nvjet_sm90_tst_128x256_64x4_1x2_h_bz_coopA_NNT", "product"),
        ("ampere_bf16_s16816gemm_bf16_64x64_sliced1x2_ldg8_f2f_stages_64x6_nn", "product"),
        ("volta_scudnn_128x64_relu_interior_nn_v1", "convolution"),
        ("StridedSlice", "copy"),
        ("ampere_bf16_s1688cudnn_bf16_128x128_ldg8_relu_f2f_exp_small_nhwc_tn_v1", "convolution"),
        ("loop_convert_fusion_3", "element by element"),
        ("SwapDimension1And2InTensor3", "copy"),
        ("_MklNativeConv2DBackpropFilter", "convolution"),
        ("_FusedMatMul", "product"),
        ("ncclDevKernel_AllReduce_Sum_f32_RING_LL", "communication"),
        ("loop_multiply_fusion_12", "element by element"),
        ("input_reduce_fusion_3", "reduction"),
        ("MemcpyD2D", "copy"),
        ("Conv2DBackpropFilter", "convolution"),
        ("BiasAddGrad", "reduction"),
        ("ResourceApplyAdam", "optimizer"),
        ("Maximum", "element by element"),
        ("Sum", "reduction"),
    ],
)
def test_kernels_are_known_by_their_names(kernel, kind):
    assert kernels._class_of(kernel) == kind


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK),
    reason="Linux does not let this process forget its peak",
)
def test_peak_can_begin_anew():
    block = np.ones(300_000_000, np.uint8)
    before = memory.memory_mb(peak=True)
    del block
    memory.give_back_freed_memory()
    memory.forget_peak()
    assert before - memory.memory_mb(peak=True) > 200


def test_step_is_that_of_the_training_loop():
    with training_step.random_records(SETTING) as data:
        subject = training_step.Subject(SETTING, "train", data_config=data, iterations=2)
        assert subject.gan.step.numpy() == 2
        (times,) = training_step.measure([subject], 3)
        assert subject.gan.step.numpy() == 8
        assert len(times) == 3
        kinds = kernels.kernel_classes(subject.seconds, False)
        assert subject.gan.step.numpy() == 10
        assert kinds["convolution"] > 0
        assert {"optimizer", "product", "element by element"} <= set(kinds)


@pytest.mark.parametrize("what", ["generator", "discriminator", "generate"])
def test_forward_passes_of_the_networks(what):
    with training_step.random_records(SETTING) as data:
        subject = training_step.Subject(SETTING, what, data_config=data)
        before = [v.numpy() for v in subject.gan.state().values()]
        subject.seconds()
        for old, v in zip(before, subject.gan.state().values()):
            np.testing.assert_array_equal(old, v)  # G's moving statistics are not for this


def test_command_compares_two_settings(tmp_path):
    path = tmp_path / "out" / "result.json"
    code, out, err = processes.run(
        "-m",
        "sagan_tf.tools.benchmark",
        *TINY,
        f"--json={path}",
        "--what=discriminator",
        "--profile",
        "--compare",
        "optimizations=none",
        "optimizations=auto,down_conv:0",
    )
    assert code == 0, err
    found = json.loads(path.read_text())
    first, second = found["results"]
    assert [first["name"], second["name"]] == [
        "optimizations=none",
        "optimizations=auto,down_conv:0",
    ]
    assert len(first["seconds"]) == len(second["seconds"]) == 2
    assert first["flop"] > second["flop"]
    assert first["share_of_conv_ceiling"] > 0
    assert min(first["peak_mb"], second["peak_mb"]) > 100
    for row in (first, second):  # also with the names that oneDNN gives to operations
        assert min(row["kernels"][kind] for kind in ("convolution", "product")) > 0
    ratio = float(re.search(r"auto,down_conv:0: ([\d.]+) times the images/s of", out).group(1))
    expected = np.median(np.divide(first["seconds"], second["seconds"]))
    assert ratio == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("--compare=optimizations=none",),
            "--compare=optimizations=none --against=: expected two",
        ),
        (
            ("--compare=deterministic=true", "--against=deterministic=false"),
            "deterministic holds for the whole process",
        ),
        (("--what=everything",), "--what=everything: expected one of train, generator"),
        (("--rounds=0",), "--rounds=0: expected a number above 0"),
        (("--optimizations=fast",), "--optimizations=fast: expected auto, none, or"),
        (("--json=/proc/none/x.json",), "/proc/none/x.json"),
    ],
)
def test_command_names_what_is_wrong(flags, message):
    assert message in processes.error_line(
        processes.run("-m", "sagan_tf.tools.benchmark", *TINY, *flags)
    )


def test_gpu_suite_goes_on_after_a_measurement_that_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        gpu_suite,
        "measurements",
        lambda: {"good": ["--what=generate", "--profile"], "bad": ["--mixed_precision=int8"]},
    )
    monkeypatch.setattr(gpu_suite, "largest_batch", lambda options: {"error": "none fits"})
    options = config.GpuSuiteConfig(
        str(tmp_path / "gpu.json"), " ".join((*TINY, "--noceilings")), rounds=2
    )
    gpu_suite.run(options)
    *_, good, bad, largest, kinds = capsys.readouterr().out.splitlines()
    number = r"[\d.e+]+"
    assert re.match(
        rf"\| good \| 2 \| {number} \({number} to {number}\) \| {number} \|  "
        r"\| [\d,]+ \|",
        good,
    )
    assert "int8: expected one of" in bad
    assert "none fits" in largest
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert list(found["measurements"]) == ["good", "bad", "train, bfloat16, XLA, largest batch"]
    assert kinds.startswith("time by kind of kernel, good: ")

    monkeypatch.setattr(gpu_suite, "measure", lambda *_: {"error": "again"})
    resumed = dataclasses.replace(options, resume=True)
    gpu_suite.run(resumed)
    assert json.loads((tmp_path / "gpu.json").read_text())["measurements"] == {
        **found["measurements"],
        "bad": {"error": "again"},
    }
    for changes, message in (
        ({"rounds": 3}, "expected a file of measurements with the same --flags and --rounds"),
        ({"only": "xla"}, "--only=xla: expected a part of one of these: good; bad"),
        ({"only": "bad"}, "--only=bad .*nothing could be measured"),
    ):
        with pytest.raises(errors.UserError, match=message):
            gpu_suite.run(dataclasses.replace(resumed, **changes))


def test_gpu_suite_wants_a_gpu_or_flags(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "environment", dict)
    with pytest.raises(errors.UserError, match="--flags=: there is no GPU here"):
        gpu_suite.run(config.GpuSuiteConfig(str(tmp_path / "gpu.json")))
    assert not list(tmp_path.iterdir())


def event(plane, line, name, seconds):
    number = len(plane.event_metadata) + 1
    plane.event_metadata[number].name = name
    line.events.add(metadata_id=number, duration_ps=int(seconds * 1e12))


def test_kernels_of_a_gpu_are_those_of_its_streams():
    space = xplane_pb2.XSpace()
    gpu, host = space.planes.add(name="/device:GPU:0"), space.planes.add(name="/host:CPU")
    stream, steps = gpu.lines.add(name="Stream #7(Compute)"), gpu.lines.add(name="Steps")
    event(gpu, stream, "nvjet_sm90_tst_128x256", 0.25)
    event(gpu, steps, "step 1", 1)
    event(host, host.lines.add(name="thread"), "name:Conv2D", 0.5)
    assert list(kernels._kernels(space, True)) == [("nvjet_sm90_tst_128x256", 0.25)]
    assert list(kernels._kernels(space, False)) == [("Conv2D", 0.5)]


def test_gpu_suite_waits_for_a_measurement_no_longer_than_its_limit():
    options = config.GpuSuiteConfig(limit=1, rounds=10**6)
    assert gpu_suite.measure([*TINY], options) == {"error": "not done after --limit=1 seconds"}


def test_too_little_memory_is_one_line_that_names_the_flags():
    with (
        pytest.raises(errors.UserError, match="--batch_size=2 --num_towers=2: too much for"),
        training_step._enough_memory(SETTING.train),
    ):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")


def test_every_measurement_of_the_gpu_suite_is_a_setting():
    found = set()
    for flags in gpu_suite.measurements().values():
        settings = [
            flag.removeprefix("--")
            for flag in flags
            if not flag.startswith(("--profile", "--what"))
        ]
        train = SETTING.changed(
            " ".join(text if "=" in text else f"{text}=true" for text in settings)
        ).train
        found.add((train.mixed_precision, train.tensor_float_32, train.jit_compile))
    assert found == {
        (*precision, compiled)
        for compiled in (False, True)
        for precision in (("bfloat16", False), ("float32", True), ("float32", False))
    }


def test_largest_batch_is_the_last_that_fits(monkeypatch):
    def measure(flags, _):
        towers = int(flags[-1].removeprefix("--num_towers="))
        return {"error": "error: too much"} if towers > 16 else {"results": [{"batch": towers}]}

    monkeypatch.setattr(gpu_suite, "measure", measure)
    found = gpu_suite.largest_batch(config.GpuSuiteConfig())
    assert found["results"][0]["batch"] == 16
    assert found["next"] == "32 towers: error: too much"
