"""What a page asks for is a config, and a config is a command line."""

import pytest

from sagan_tf import config, errors
from sagan_tf.viewing import explore_commands


def test_line_has_what_differs_from_the_defaults():
    request = config.SampleConfig(run="a b", step=5, classes="goldfish", seeds="0-3", sheet=True)
    assert explore_commands.line("sample", request) == (
        "sagan sample 'a b' --step=5 --classes=goldfish --seeds=0-3 --sheet"
    )
    request = config.AttentionConfig(run="r", queries="1.5,2", smooth=False)
    line = explore_commands.line("attention-maps", request)
    assert line == "sagan attention-maps r --queries=1.5,2 --nosmooth"


def test_fields_of_a_page_become_a_config():
    fields = {"step": 7, "truncation": 1, "use_ema": True, "else": "x", "run": "other"}
    found = explore_commands.read(config.SampleConfig, fields, run="r", classes="3")
    expected = config.SampleConfig(run="r", step=7, truncation=1.0, use_ema=True, classes="3")
    assert found == expected


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"step": "5"}, "--step=5: expected a whole number"),
        ({"step": True}, "--step=True: expected a whole number"),
        ({"truncation": "x"}, "--truncation=x: expected a number"),
        ({"use_ema": 1}, "--use_ema=1: expected true or false"),
        ({"seeds": 5}, "--seeds=5: expected a text"),
        ({"seeds": "x"}, "--seeds=x: expected numbers of up to"),
    ],
)
def test_other_types_are_refused(fields, sentence):
    with pytest.raises(errors.UserError) as error:
        explore_commands.read(config.SampleConfig, fields, run="r")
    assert str(error.value).startswith(sentence)


def test_statistics_are_those_that_the_command_was_started_with():
    started = config.ExploreConfig(run="r", truncation=0.7, standing_batches=3, standing_seed=4)
    usual = {"truncation": 0.0, "standing_statistics": False}
    usual.update(standing_batches=16, standing_seed=0)
    assert explore_commands.sampling(started, {}) == usual
    asked = explore_commands.sampling(started, {"truncation": 0.5})
    assert asked == {**usual, "truncation": 0.5, "standing_batches": 3, "standing_seed": 4}
    asked = explore_commands.sampling(started, {"standing_statistics": True})
    assert asked == {
        "truncation": 0.0,
        "standing_statistics": True,
        "standing_batches": 3,
        "standing_seed": 4,
    }
