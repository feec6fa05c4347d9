"""Every file in configs/ has flags that its command knows, with values that pass their checks."""

import dataclasses

import pytest

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


def settings_in(name: str) -> set[str]:
    return {line for line in lines_of(ROOT / "configs" / name) if line.startswith("--")}


def test_the_digits_of_the_comparisons_differ_in_z_and_one_rate():
    today, compared = settings_in("digits.flags"), settings_in("ablation_digits.flags")
    assert today - compared == {
        "--checkpoint_dir=checkpoint/digits",
        "--generator_learning_rate=1.5e-4",
        "--z_dim=16",
    }
    assert compared - today == {
        "--checkpoint_dir=checkpoint/ablation_digits",
        "--generator_learning_rate=1.8e-4",
    }


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
        config = kind(**values)
        assert {name: getattr(config, name) for name in values} == values


def test_flags_of_the_emoji_model_are_those_of_the_recipe_but_for_five():
    base, model = (
        values_of(ROOT / f"configs/{name}.flags", train_tool.COMMAND.kinds)
        for name in ("emoji", "emoji_model")
    )
    differs = {
        name: value
        for kind, values in model.items()
        for name, value in values.items()
        if value != base[kind].get(name)
    }
    assert differs == {
        "run_name": "emoji_model",
        "seed": 1,
        "generator_sn": False,
        "generator_learning_rate": 2e-4,
        "keep_checkpoints": 60,
    }
    assert all(set(base[kind]) <= set(values) for kind, values in model.items())


def test_file_with_an_unknown_flag_does_not_fit(tmp_path):
    (tmp_path / "x.flags").write_text("# a remark\n--batch_size=4\n--no_such=1\n")
    with pytest.raises(KeyError, match="_such"):
        values_of(tmp_path / "x.flags", train_tool.COMMAND.kinds)
