"""The layout of a help text, and what each flag must say."""

import dataclasses
import re

import pytest

from sagan_tf import config
from sagan_tf.config import fields, help_text
from sagan_tf.tools import main


@dataclasses.dataclass(frozen=True)
class Oven:
    bread: str = fields.option("", "The loaf.", required="a loaf", group="Run")
    minutes: int = fields.option(40, "Minutes of heat.", group="Run", reference="book.py:7")
    steam: bool = fields.option(False, "Let steam in.", group="Output")
    kind: str = fields.option("rye", "Kind of flour.", choices=("rye", "oat"), group="Data")
    racks: int = fields.option(0, "Number of racks.", group="Data", meaning="all of them")
    notes: str = fields.option("", "First line.\nSecond line.")


COMMAND = help_text.Command(
    about="Bakes a loaf. It takes a while.",
    example="loaf --minutes=30",
    kinds=(Oven,),
    argument="bread",
)


def test_text():
    assert help_text.text(COMMAND, "bake").startswith(
        """\
usage: bake [BREAD] [--flag=value ...]

Bakes a loaf. It takes a while.

Example:
  bake loaf --minutes=30

Run:
  --bread=TEXT, or BREAD by itself
      The loaf.
      Required.
  --minutes=N
      Minutes of heat.
      Default: 40, as in the reference's book.py:7.

Data:
  --kind=rye|oat
      Kind of flour.
      Default: rye.
  --racks=N
      Number of racks.
      Default: 0 (all of them).

Output:
  --[no]steam
      Let steam in.
      Default: off.

Other flags:
  --notes=TEXT
      First line.
      Second line.
      Default: none.

General:
"""
    )
    assert COMMAND.summary == "Bakes a loaf."


def test_no_line_is_wider_than_a_terminal():
    for name, text in main.all_texts().items():
        assert not [line for line in text.splitlines() if len(line) > 80], name


@pytest.mark.parametrize("kind", [config.ModelConfig, config.ScoreImagesConfig])
def test_image_size_and_classes_say_that_dataset_json_decides(kind):
    for field in dataclasses.fields(kind):
        if field.name in ("image_size", "number_classes"):
            assert "dataset.json" in field.metadata["help"]
            assert "dataset.json" in field.metadata["meaning"]


def test_every_flag_has_a_group_and_short_sentences():
    names = [main.module_of(name) for name in main.COMMANDS]
    for name in [*names, *main.BENCHMARKS.values()]:
        for kind in main.load(name).COMMAND.kinds:
            for field in dataclasses.fields(kind):
                assert field.metadata["group"] in help_text.GROUPS, field.name
                for sentence in re.split(r"[.;:]\s+|\n", field.metadata["help"]):
                    assert len(sentence.split()) <= 25, sentence


def test_defaults_that_name_a_line_of_the_reference():
    """brain-research/self-attention-gan at ad9612e."""
    lines = {
        field.name: field.metadata["reference"]
        for kind in (config.ModelConfig, config.DataConfig, config.TrainConfig)
        for field in dataclasses.fields(kind)
    }
    assert lines["batch_size"] == "train_imagenet.py:42"
    assert lines["discriminator_learning_rate"] == "model.py:38"
    assert lines["seed"] == ""


def test_argument_with_several_values():
    @dataclasses.dataclass(frozen=True)
    class Ovens:
        loaves: tuple[str, ...] = fields.option((), "The loaves.", group="Run")

    command = help_text.Command("Bakes.", "a b", kinds=(Ovens,), argument="loaves")
    text = help_text.text(command, "bake")
    assert text.startswith("usage: bake [LOAVES ...] [--flag=value ...]\n")
    assert "  --loaves=TEXT, or LOAVES by themselves\n" in text
