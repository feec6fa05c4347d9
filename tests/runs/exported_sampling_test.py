import pytest

from sagan_tf import config, errors
from sagan_tf.data import class_names
from sagan_tf.runs import card, exported_sampling
from tests.testing import TINY_MODEL

PLAIN = config.Sampling()
MOVING = config.Sampling(0.7)
TRUNCATED = config.Sampling(0.7, 50, 64)
STANDING = config.Sampling(0.0, 80, 64, seed=3)


def fitting(has, **flags):
    """The sampling of an exported model under these flags of `sample`, and what was noted."""
    classes = class_names.Classes(("a", "b", "c"), ("", "", ""))
    about = card.Card(TINY_MODEL, classes, 5, use_ema=False, sigma_ratio=None, sampling=has)
    noted = []
    asked = config.SampleConfig(run="M", **flags).sampling
    found = exported_sampling.fitting(about, asked, path="M", note=noted.append)
    return found.sampling, noted


@pytest.mark.parametrize("has", [PLAIN, MOVING, TRUNCATED, STANDING])
def test_without_flags_a_model_is_as_it_was_exported(has):
    assert fitting(has) == (has, [])


@pytest.mark.parametrize(
    ("has", "flags"),
    [
        (TRUNCATED, {"truncation": 0.7}),
        (TRUNCATED, {"truncation": 0.7, "standing_batches": 50}),
        (TRUNCATED, {"standing_statistics": True}),
        (MOVING, {"truncation": 0.7, "standing_batches": 0}),
        (STANDING, {"standing_statistics": True}),
        (STANDING, {"standing_statistics": True, "standing_batches": 80, "standing_seed": 3}),
    ],
)
def test_flags_may_say_what_the_model_has(has, flags):
    assert fitting(has, **flags) == (has, [])


def test_truncation_with_moving_statistics_must_be_meant():
    found = config.Sampling(0.5)
    assert fitting(PLAIN, truncation=0.5, standing_batches=0) == (found, [])


def test_own_truncation_without_statistics_of_it_is_remarked_on():
    found, noted = fitting(MOVING, truncation=0.7)
    assert found == MOVING
    assert len(noted) == 1
    assert noted[0].startswith("--truncation=0.7: batch norm's statistics in M are those of z that")
    assert "export the run again with --truncation=0.7" in noted[0]


@pytest.mark.parametrize(
    ("has", "flags", "message"),
    [
        (TRUNCATED, {"truncation": 0.5}, "--truncation=0.5: M was exported for z truncated at 0.7"),
        (MOVING, {"truncation": 0.5}, "--truncation=0.5: M was exported for z truncated at 0.7"),
        (PLAIN, {"truncation": 0.5}, "--truncation=0.5: batch norm's statistics in M are those of"),
        (STANDING, {"truncation": 0.5}, "--truncation=0.5: batch norm's statistics in M are those"),
        (
            STANDING,
            {"truncation": 0.5, "standing_batches": 0},
            "--standing_batches=0: M was exported with standing statistics",
        ),
        (PLAIN, {"standing_statistics": True}, "--standing_statistics: M was exported with moving"),
        (MOVING, {"standing_statistics": True}, "--standing_statistics: M was exported with mov"),
        (
            MOVING,
            {"truncation": 0.7, "standing_batches": 9},
            "--standing_batches=9: M was exported with moving statistics; leave out the flag",
        ),
        (
            PLAIN,
            {"truncation": 0.5, "standing_seed": 3},
            "--standing_seed=3: M was exported with moving statistics; leave out the flag",
        ),
        (
            TRUNCATED,
            {"truncation": 0.7, "standing_batches": 80},
            "--standing_batches=80: M was exported with standing statistics of 50 batches of 64",
        ),
        (
            TRUNCATED,
            {"truncation": 0.7, "standing_batches": 0},
            "--standing_batches=0: M was exported with standing statistics",
        ),
        (
            TRUNCATED,
            {"standing_statistics": True, "standing_seed": 1},
            "--standing_seed=1: M was exported with standing statistics",
        ),
    ],
)
def test_what_a_model_does_not_have_is_refused(has, flags, message):
    with pytest.raises(errors.UserError) as error:
        fitting(has, **flags)
    assert str(error.value).startswith(message)
