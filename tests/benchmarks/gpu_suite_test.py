import dataclasses
import json
import re

import pytest

from sagan_tf import config, errors
from sagan_tf.benchmarks import gpu_suite
from sagan_tf.benchmarks.setting import Setting
from sagan_tf.runtime import environment
from tests.testing import PLAIN_MODEL

SETTING = Setting(PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=2))
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


@pytest.mark.slow
@pytest.mark.process
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
    with pytest.raises(errors.UserError, match="--flags=: this machine has no GPU"):
        gpu_suite.run(config.GpuSuiteConfig(str(tmp_path / "gpu.json")))
    assert not list(tmp_path.iterdir())


@pytest.mark.process
def test_gpu_suite_waits_for_a_measurement_no_longer_than_its_limit():
    options = config.GpuSuiteConfig(limit=1, rounds=10**6)
    assert gpu_suite.measure([*TINY], options) == {"error": "not done after --limit=1 seconds"}


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
