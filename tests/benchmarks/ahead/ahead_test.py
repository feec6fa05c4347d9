"""The command's work, with a compiler that only pretends."""

import json

import pytest

from sagan_tf import config, errors
from sagan_tf.benchmarks.ahead import ahead, compilation, programs, saved
from sagan_tf.benchmarks.setting import Setting
from tests.benchmarks.ahead.compilation_test import ASSUMED, KERNELS, ROW

SETTING = Setting(config.ModelConfig(), config.TrainConfig(mixed_precision="bfloat16"))
SAID = {name: ROW[name] for name in ("compile_seconds", "memory", "compiler")}


@pytest.fixture(name="asked", autouse=True)
def fixture_asked(monkeypatch):
    """What was compiled: the program, and the device. 9 towers or more do not fit."""
    asked = []

    def program(setting, what, *, kind, replicas=1):
        asked.append((what, setting.batch, setting.train.optimizations, kind, replicas))
        text = str(setting.train.num_towers)
        return saved.Program(text=text, arguments=[], fed_back={})

    def compiled(program, device, **options):
        if int(program.text) > 8:
            raise compilation.DoesNotFit("too large")
        return {**SAID, **compilation.counted(KERNELS, device, assumed=ASSUMED)}

    monkeypatch.setattr(programs, "program", program)
    monkeypatch.setattr(compilation, "compiled", compiled)
    monkeypatch.setattr(compilation, "require_compilers", lambda device: None)
    return asked


def test_iteration_and_generation_are_compiled(asked, capsys):
    rows = ahead.run(config.CompileAheadConfig(device="v5p"), SETTING)
    assert asked == [
        ("iteration", 256, "auto", "TPU", 1),
        ("generation", 256, "auto", "TPU", 1),
    ]
    assert [row["what"] for row in rows] == ["iteration", "generation"]
    out = capsys.readouterr().out
    assert out.count("compiled in 20 s, not run") == 2
    assert "| iteration | TPU v5p | optimizations=auto bfloat16 | 256 |" in out


def test_several_settings_a_file_and_a_refusal(asked, tmp_path, capsys):
    options = config.CompileAheadConfig(
        what="iteration",
        compare=("optimizations=none", "num_towers=16", "mixed_precision=float32"),
        json=str(tmp_path / "x.json"),
        save=str(tmp_path / "x.mlir"),
    )
    ahead.run(options, SETTING)
    assert asked == [
        ("iteration", 256, "none", "GPU", 1),
        ("iteration", 1024, "auto", "GPU", 1),
        ("iteration", 256, "auto", "GPU", 1),
    ]
    found = json.loads((tmp_path / "x.json").read_text())
    assert [row["dtype"] for row in found["results"]] == ["bf16", "bf16", "f32"]
    assert found["results"][1]["error"] == "too large"
    assert found["results"][0]["roofline_seconds"]["compute"] == pytest.approx(0.1)
    assert "| iteration | H100 SXM | num_towers=16 | 1024 | too large |" in capsys.readouterr().out

    # The first program is in the file, with what is expected of it.
    program = saved.read(str(tmp_path / "x.mlir"))
    assert program.text == "4"
    assert program.predicted["setting"] == "optimizations=none"


def test_the_largest_batch_is_searched_in_towers(asked, tmp_path, capsys):
    path = tmp_path / "x.json"
    options = config.CompileAheadConfig(what="iteration", largest_batch=True, json=str(path))
    ahead.run(options, SETTING)
    assert [batch // 64 for _, batch, *_ in asked] == [4, 1, 2, 4, 8, 16, 12, 10, 9]
    assert capsys.readouterr().out.endswith("largest batch, H100 SXM: 512 images fit, 576 do not\n")
    assert json.loads(path.read_text())["largest_batch"] == {"fits": 512, "does_not_fit": 576}


@pytest.mark.parametrize(
    ("changes", "replicas", "tried"),
    [
        ("accumulate=2", 1, [2, 4, 8, 16, 12, 10]),
        ("bn_group=128", 1, [2, 4, 8, 16, 12, 10]),
        ("num_towers=8", 8, [8, 16]),
    ],
)
def test_the_largest_batch_is_searched_in_what_shares_the_towers(
    asked, changes, replicas, tried, capsys
):
    options = config.CompileAheadConfig(
        what="iteration", largest_batch=True, replicas=replicas, most_towers=64
    )
    ahead.run(options, SETTING.changed(changes))
    assert [batch // 64 for _, batch, *_ in asked[1:]] == tried
    assert {replicas for *_, replicas in asked} == {replicas}
    assert "largest batch, H100 SXM: 512 images fit" in capsys.readouterr().out


def test_the_largest_batch_is_searched_below_one_that_does_not_fit(asked, capsys):
    options = config.CompileAheadConfig(what="iteration", largest_batch=True)
    ahead.run(options, SETTING.changed("num_towers=9"))
    assert "largest batch, H100 SXM: 512 images fit" in capsys.readouterr().out


def test_replicas_share_the_towers(asked):
    ahead.run(config.CompileAheadConfig(replicas=8), SETTING.changed("num_towers=8"))
    assert [replicas for *_, replicas in asked] == [8, 1]
    for change, message in (
        (
            "accumulate=1",
            "--replicas=8 --accumulate=1: expected --num_towers to be a multiple of 8",
        ),
        ("num_towers=8 accumulate=2", "to be a multiple of 16, got 8"),
        ("num_towers=8 bn_group=128", "--bn_group=128: groups do not fit the 64 images"),
    ):
        with pytest.raises(errors.UserError, match=message):
            ahead.run(config.CompileAheadConfig(replicas=8), SETTING.changed(change))


def test_nothing_compiled_is_an_error():
    with pytest.raises(errors.UserError, match="too large"):
        ahead.run(config.CompileAheadConfig(), SETTING.changed("num_towers=9"))
