import json
import re

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.benchmarks import training_step
from sagan_tf.benchmarks.setting import Setting
from sagan_tf.data import prepare
from tests import processes
from tests.testing import PLAIN_MODEL

SETTING = Setting(
    PLAIN_MODEL, config.TrainConfig(batch_size=2, num_towers=1, graph_optimizer=False)
)


def run(**options):
    return training_step.run(
        config.BenchmarkStepConfig(**{"rounds": 2, **options}),
        SETTING,
        data_config=config.DataConfig(),
        random_images=True,
    )


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


@pytest.mark.slow
def test_two_settings_are_compared(tmp_path, capsys):
    path = tmp_path / "out" / "result.json"
    run(
        json=str(path),
        what="discriminator",
        profile=True,
        compare="optimizations=none",
        against="optimizations=auto,down_conv:0",
    )
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
    out = capsys.readouterr().out
    ratio = float(re.search(r"auto,down_conv:0: ([\d.]+) times the images/s of", out).group(1))
    expected = np.median(np.divide(first["seconds"], second["seconds"]))
    assert ratio == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"compare": "optimizations=none"},
            "--compare=optimizations=none --against=: expected two",
        ),
        (
            {"compare": "deterministic=true", "against": "deterministic=false"},
            "deterministic holds for the whole process",
        ),
        ({"rounds": 0}, "--rounds=0: expected a number above 0"),
        (
            {"compare": "gf_dim=16", "against": "optimizations=fast"},
            "=fast: expected auto, none, or",
        ),
        ({"compare": "gf_dim=16", "against": "number_classes=4"}, "the same image_size and"),
        ({"json": "/proc/none/x.json"}, "/proc/none/x.json"),
    ],
)
def test_what_is_wrong_is_named(options, message):
    with pytest.raises(errors.UserError, match=re.escape(message)):
        run(**options)


@pytest.mark.process
@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--what=everything", "--what=everything: expected one of train, generator"),
        ("--optimizations=fast", "--optimizations=fast: expected auto, none, or"),
    ],
)
def test_command_names_what_is_wrong(flag, message):
    result = processes.run("-m", "sagan_tf.tools.benchmark", flag)
    assert message in processes.error_line(result)


@pytest.mark.process
def test_records_say_their_side_and_classes(tmp_path):
    # Prepare a picture of each of two classes.
    for name in ("a", "b"):
        picture = tmp_path / "pictures" / name / "1.png"
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (40, 40), "red").save(picture)
    data = str(tmp_path / "data")
    prepare.prepare(config.PrepareConfig(source=str(tmp_path / "pictures"), out=data, size=32))

    # A class more is refused.
    words = ("-m", "sagan_tf.tools.benchmark", f"--data_dir={data}")
    message = processes.error_line(processes.run(*words, "--number_classes=3"))
    assert message.startswith("error: --number_classes=3: ")
    assert "says 2; leave the flag out" in message

    # The side is known without a flag: the default networks need a larger one.
    message = processes.error_line(processes.run(*words))
    assert message.startswith("error: --generator_type=test: ")
    assert "exists at --image_size=32;" in message
