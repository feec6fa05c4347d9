import math

import pytest

from sagan_tf import config, errors

KINDS = [
    (config.SampleConfig, {"run": "x"}),
    (config.AttentionConfig, {"run": "x"}),
    (config.ExportConfig, {"run": "x", "out": "y"}),
    (config.EvalConfig, {}),
]


@pytest.mark.parametrize(("kind", "needed"), KINDS)
def test_flags_ask_for_truncation_and_statistics(kind, needed):
    def sampling(**flags):
        return kind(**needed, **flags).sampling

    assert sampling() == config.Sampling() == config.Sampling(0.0, 0, 0, 0)
    assert sampling(truncation=0.7) == config.Sampling(0.7, 16)
    assert sampling(standing_statistics=True) == config.Sampling(0.0, 16)
    assert sampling(truncation=0.7, standing_batches=0) == config.Sampling(0.7)
    asked = sampling(standing_statistics=True, standing_batches=9, standing_seed=4)
    assert asked == config.Sampling(0.0, 9, seed=4)


@pytest.mark.parametrize(
    "sampling",
    [
        config.Sampling(),
        config.Sampling(0.7),
        config.Sampling(0.7, 16),
        config.Sampling(0.7, 9, seed=3),
        config.Sampling(0.0, 16),
        config.Sampling(0.0, 9, seed=4),
    ],
)
def test_flags_of_a_sampling_ask_for_it(sampling):
    assert config.EvalConfig(**sampling.flags).sampling == sampling
    assert config.EvalConfig(**config.Sampling().flags) == config.EvalConfig()


@pytest.mark.parametrize(("kind", "needed"), KINDS)
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"truncation": -1.0}, "--truncation=-1.0: expected a number from 0.001 on"),
        ({"truncation": math.inf}, "--truncation=inf: expected"),
        ({"truncation": math.nan}, "--truncation=nan: expected"),
        ({"standing_batches": -1, "truncation": 1.0}, "--standing_batches=-1: expected"),
        (
            {"standing_batches": 0, "standing_statistics": True},
            "--standing_batches=0: expected 1 or more with --standing_statistics",
        ),
        ({"standing_batches": 9}, "--standing_batches=9: expected --standing_statistics or --tr"),
        ({"standing_seed": 9}, "--standing_seed=9: expected --standing_statistics or --trunc"),
        (
            {"standing_seed": 9, "truncation": 0.7, "standing_batches": 0},
            "--standing_seed=9: expected --standing_batches of 1 or more with it",
        ),
    ],
)
def test_what_is_wrong_is_one_line(kind, needed, flags, message):
    with pytest.raises(errors.UserError) as error:
        kind(**needed, **flags)
    assert str(error.value).startswith(message)


def test_words_say_what_is_used():
    assert config.Sampling().z == ""
    assert config.Sampling().limit == math.inf
    assert (config.Sampling().suffix, config.Sampling(0.7, 9).suffix) == ("", "-truncation-0.7")
    assert config.Sampling().statistics == "moving statistics"
    sampling = config.Sampling(0.7, 50, 64, seed=3)
    assert sampling.z == "z truncated at 0.7"
    assert sampling.limit == 0.7
    assert sampling.statistics == "standing statistics of 50 batches of 64 images from seed 3"
    single = config.Sampling(0.0, 1, 1, seed=3)
    assert single.statistics == "standing statistics of 1 batch of 1 image from seed 3"
