"""Every file in configs/ has flags that its command knows, with values that pass their checks."""

import dataclasses

import pytest

from sagan_tf import config
from sagan_tf.config import help_text
from sagan_tf.tools import eval as eval_tool
from sagan_tf.tools import train as train_tool
from tests.conftest import ROOT

FILES = sorted((ROOT / "configs").rglob("*.flags"))


def parsed(value: str, kind: type):
    return {"true": True, "false": False}[value] if kind is bool else kind(value)


def lines_of(path) -> list[str]:
    """The lines of a file, and where it names another one, the lines of that in its place."""
    lines = []
    for line in path.read_text().splitlines():
        is_file = line.startswith("--flagfile=")
        lines += lines_of(ROOT / line.removeprefix("--flagfile=")) if is_file else [line]
    return lines


def values_of(path, kinds) -> dict[type, dict]:
    """Values by config class and field; raises where no class has a field of a name."""
    homes = {field.name: kind for kind in kinds for field in dataclasses.fields(kind)}
    found = {kind: {} for kind in kinds}
    for line in lines_of(path):
        if line.startswith("--"):
            name, _, value = line.removeprefix("--").partition("=")
            if name not in homes:
                name, value = name.removeprefix("no"), "false"
            kind = help_text.value_type(homes[name], name)
            found[homes[name]][name] = parsed(value or "true", kind)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_of_flags_fits_its_command(path):
    tool = eval_tool if path.stem.endswith("_eval") else train_tool
    found = values_of(path, tool.COMMAND.kinds)
    assert sum(map(len, found.values())) >= 4
    for kind, values in found.items():
        settings = kind(**values)
        assert {name: getattr(settings, name) for name in values} == values


def changed_in(base: str, other: str) -> dict:
    """Values of a file of flags that differ from those of another, all of whose flags it has."""
    of_base, of_other = (
        values_of(ROOT / f"configs/{name}.flags", train_tool.COMMAND.kinds)
        for name in (base, other)
    )
    assert all(set(of_base[kind]) <= set(values) for kind, values in of_other.items())
    return {
        name: value
        for kind, values in of_other.items()
        for name, value in values.items()
        if value != of_base[kind].get(name)
    }


def test_flags_of_the_emoji_are_those_of_the_comparisons_but_for_seven():
    assert changed_in("ablation_emoji", "emoji") == {
        "data_dir": "data/emoji",
        "balance_classes": True,
        "run_name": "emoji",
        "generator_sn": False,
        "z_dim": 32,
        "generator_learning_rate": 2e-4,
        "keep_checkpoints": 60,
    }


def test_flags_of_the_demo_are_those_of_the_comparisons_but_for_three():
    assert changed_in("ablation_digits", "digits") == {
        "checkpoint_dir": "checkpoint/digits",
        "generator_learning_rate": 1.5e-4,
        "z_dim": 16,
    }
    compared = values_of(ROOT / "configs/ablation_digits.flags", train_tool.COMMAND.kinds)
    assert compared[config.TrainConfig]["checkpoint_dir"] == "checkpoint/ablation_digits"
    assert compared[config.TrainConfig]["generator_learning_rate"] == 1.8e-4
    assert "z_dim" not in compared[config.ModelConfig]


def test_file_with_an_unknown_flag_does_not_fit(tmp_path):
    (tmp_path / "x.flags").write_text("# a remark\n--batch_size=4\n--no_such=1\n")
    with pytest.raises(KeyError, match="_such"):
        values_of(tmp_path / "x.flags", train_tool.COMMAND.kinds)
