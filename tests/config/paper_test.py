"""Every row of the paper: its flagfile, and the number of parameters of its networks."""

import dataclasses
import pathlib

import pytest

from sagan_tf import config
from sagan_tf.gan import discriminator, generator
from sagan_tf.tools import train as train_tool
from tests.config.flagfiles_test import values_of
from tests.conftest import ROOT

# What docs/paper.md says of G and D at 128 px, width 64, 1,000 classes.
PARAMETERS = {
    "table1_none": (41_996_931, 39_443_137),
    "table1_attention8": (43_307_652, 39_770_818),
    "table1_attention16": (42_324_612, 39_525_058),
    "table1_attention32": (42_078_852, 39_463_618),
    "table1_attention64": (42_017_412, 39_448_258),
    "table1_residual8": (43_307_652, 39_770_818),
    "table1_residual16": (42_324_612, 39_525_058),
    "table1_residual32": (42_078_852, 39_463_618),
    "table1_residual64": (42_017_412, 39_448_258),
    "table2_acgan": (41_996_931, 39_444_137),
    "table2_sngan_projection": (41_996_931, 39_443_137),
    "table2_sagan": (42_017_412, 39_448_258),
    "figure_sn_d": (41_996_931, 39_443_137),
    "figure_sn_both": (41_996_931, 39_443_137),
    "figure_sn_both_ttur": (41_996_931, 39_443_137),
    "paper": (42_017_412, 39_448_258),
    "reference": (42_078_852, 39_463_618),
}


def settings_of(name: str) -> dict[type, dict]:
    """Values that a flagfile of configs/paper gives, by config class and field."""
    return values_of(ROOT / "configs" / "paper" / f"{name}.flags", train_tool.COMMAND.kinds)


def inserted(channels: int, side: int, attention_side: int | None) -> int:
    """Weights of the block on a map, attention or residual: 1.25 C^2 and its scale."""
    return 5 * channels**2 // 4 + 1 if side == attention_side else 0


def convolutions(channels: int, filters: int) -> int:
    """Weights and biases of a block's two 3x3 convolutions and of its 1x1 shortcut."""
    three = (9 * channels + 1) * filters + (9 * filters + 1) * filters
    return three + (channels + 1) * filters


def of_generator(model: config.ModelConfig) -> int:
    """The number of G's parameters, from the architecture's description alone."""
    width = model.gf_dim
    channels = 16 * width
    side = 4
    count = (model.z_dim + 1) * 16 * channels
    for filters in (16 * width, 8 * width, 4 * width, 2 * width, width):
        gains_and_biases = 2 * model.number_classes * (channels + filters)
        count += gains_and_biases + convolutions(channels, filters)
        side *= 2
        channels = filters
        count += inserted(channels, side, model.attention_side("generator"))
    return count + 2 * width + (9 * width + 1) * 3


def of_discriminator(model: config.ModelConfig) -> int:
    """The number of D's parameters, from the architecture's description alone."""
    width = model.df_dim
    channels = 3
    side = 128
    count = 0
    for filters in (width, 2 * width, 4 * width, 8 * width, 16 * width):
        count += convolutions(channels, filters)
        side //= 2
        channels = filters
        count += inserted(channels, side, model.attention_side("discriminator"))
    count += 2 * (9 * channels + 1) * channels
    count += channels + 1
    classes = {"projection": channels, "auxiliary_classifier": channels + 1}
    return count + model.number_classes * classes[model.conditioning]


def size_of(network) -> int:
    return sum(variable.shape.num_elements() for variable in network.trainable_variables)


def test_every_file_is_counted():
    found = {path.stem for path in (ROOT / "configs" / "paper").glob("*.flags")}
    assert found == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters_at_full_size(name):
    model = config.ModelConfig(**settings_of(name)[config.ModelConfig])
    assert (of_generator(model), of_discriminator(model)) == PARAMETERS[name]


@pytest.mark.parametrize("name", PARAMETERS)
def test_networks_have_the_parameters_of_the_formula(name):
    """At a width and a number of classes that are quick to make."""
    small = {"gf_dim": 8, "df_dim": 8, "number_classes": 3, "z_dim": 5}
    model = config.ModelConfig(**settings_of(name)[config.ModelConfig], **small)
    networks = [generator.Generator(model), discriminator.Discriminator(model)]
    for network in networks:
        network.build()
    expected = [of_generator(model), of_discriminator(model)]
    assert [size_of(network) for network in networks] == expected


@pytest.mark.parametrize("name", PARAMETERS)
def test_file_says_what_was_published_and_how_to_start_it(name):
    path = pathlib.Path("configs/paper") / f"{name}.flags"
    text = (ROOT / path).read_text(encoding="utf-8")
    assert "\n# Published: " in text
    assert f"--flagfile={path} --data_dir=DATA\n" in text


def configs_without_name(name: str) -> dict:
    """The configs that a file makes, by class, without the name of its run."""
    settings = settings_of(name)
    settings[config.TrainConfig]["run_name"] = "run"
    return {kind: kind(**values) for kind, values in settings.items()}


@pytest.mark.parametrize("name", PARAMETERS)
def test_run_has_the_name_of_the_file(name):
    """Otherwise one row would go on with the weights of another."""
    assert settings_of(name)[config.TrainConfig]["run_name"] == name


def test_parameters_are_those_of_the_page():
    """Of the cells of docs/paper.md; "as `attention8`" stands for the numbers of that row."""
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    shown = {cells[0].strip("`"): cells[-2:] for cells in rows if len(cells) > 3}
    numbers = {name: cells for name, cells in shown.items() if name in PARAMETERS}
    assert sum(name.startswith("table") for name in numbers) == 12
    for name, cells in numbers.items():
        if name.startswith("table1_residual"):
            twin = name.replace("residual", "attention")
            assert cells == [f"as `{twin.removeprefix('table1_')}`"] * 2
        elif name.startswith("table"):
            assert cells == [f"{number:,}" for number in PARAMETERS[name]]


def test_rows_that_are_one_run_say_so():
    same = ("table1_none", "figure_sn_both_ttur"), ("paper", "table2_sagan")
    for one, other in same:
        assert configs_without_name(one) == configs_without_name(other)

    # Attention at 64 is a type of network, or the map's side beside another type.
    row, paper = map(configs_without_name, ("table1_attention64", "paper"))
    model = row.pop(config.ModelConfig)
    paper_model = paper.pop(config.ModelConfig)
    for network in ("generator", "discriminator"):
        assert model.attention_side(network) == paper_model.attention_side(network) == 64
    plain = {f"{network}_type": "test" for network in ("generator", "discriminator")}
    plain["attention_resolution"] = 0
    assert dataclasses.replace(model, **plain) == dataclasses.replace(paper_model, **plain)
    assert row == paper

    # Each names the others.
    for names in (same[0], ("paper", "table2_sagan", "table1_attention64")):
        for name in names:
            text = (ROOT / "configs" / "paper" / f"{name}.flags").read_text(encoding="utf-8")
            assert all(f"{other}.flags" in text for other in names)


def test_paper_and_reference_differ_where_the_docs_say():
    """PAPER and code: beta2, attention's map, iterations."""
    paper = settings_of("paper")
    reference = settings_of("reference")
    differences = {
        name: (value, reference[kind][name])
        for kind, values in paper.items()
        for name, value in values.items()
        if value != reference[kind][name]
    }
    assert differences == {
        "run_name": ("paper", "reference"),
        "generator_type": ("test_64", "test"),
        "discriminator_type": ("test_64", "test"),
        "beta2": (0.9, 0.999),
        "max_steps": (1_000_000, 2_000_000),
    }


def test_rows_of_sngan_projection_differ_in_the_class_alone():
    """And have the moving statistics of its code: Chainer's default decay."""
    sngan = settings_of("table2_sngan_projection")
    acgan = settings_of("table2_acgan")
    model = sngan[config.ModelConfig]
    assert (model["cbn_decay"], model["bn_decay"]) == (0.9, 0.9)
    assert acgan[config.ModelConfig] == {**model, "conditioning": "auxiliary_classifier"}
    assert acgan[config.TrainConfig] == {
        **sngan[config.TrainConfig],
        "run_name": "table2_acgan",
        "max_steps": 450_000,
    }
