import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.runtime import distribution, processor


@pytest.mark.parametrize(("devices", "towers"), [(1, 4), (2, 2), (4, 1)])
def test_towers_are_shared_evenly(devices, towers):
    train = config.TrainConfig(num_towers=4, num_devices=devices)
    strategy = distribution.make_strategy(train)
    assert strategy.num_replicas_in_sync == devices
    assert distribution.towers_per_replica(train, strategy) == towers


def test_towers_that_do_not_divide_are_refused():
    with pytest.raises(
        errors.UserError,
        match=(
            r"--num_towers=4: the towers do not divide evenly over 3 devices; set --num_towers to "
            r"a multiple of 3 or --num_devices to a divisor of 4"
        ),
    ):
        distribution.make_strategy(config.TrainConfig(num_towers=4, num_devices=3))


def test_too_many_devices_are_refused():
    with pytest.raises(
        errors.UserError, match="--num_devices=8: TensorFlow has already started with 4"
    ):
        distribution.make_strategy(config.TrainConfig(num_towers=8, num_devices=8))


def test_strategies_by_name():
    one = distribution.make_strategy(config.TrainConfig(strategy="one_device"))
    assert isinstance(one, tf.distribute.OneDeviceStrategy)
    both = distribution.make_strategy(config.TrainConfig(strategy="mirrored", num_devices=2))
    assert isinstance(both, tf.distribute.MirroredStrategy)
    assert all(distribution.is_chief(strategy) for strategy in (one, both))
    assert [distribution.number_of_workers(strategy) for strategy in (one, both)] == [1, 1]
    assert distribution.mean_over_workers(both, [3, 0.5]).tolist() == [3, 0.5]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"strategy": "one_device", "num_devices": 2}, "--num_devices=2: expected 0 or 1 with"),
        ({"strategy": "tpu", "num_devices": 2}, "--num_devices=2: expected 0 with --strategy=tpu"),
        ({"strategy": "tpu"}, "--strategy=tpu: expected a TPU VM with TensorFlow for TPUs"),
        ({"strategy": "multi_worker"}, "--strategy=multi_worker: expected .* TF_CONFIG"),
        ({"num_devices": 2, "accumulate": 4}, "--accumulate=4: expected a divisor of the 2 towers"),
        (
            {"accumulate": 4, "bn_group": 128},
            "--bn_group=128: with --accumulate=4 a device runs 64",
        ),
        (
            {"num_devices": 4, "bn_group": 128, "jit_compile": True},
            "--bn_group=128: with --jit_compile groups cannot span devices, "
            "which run 64 images each",
        ),
        (
            {"num_devices": 4, "num_towers": 12, "bn_group": 128},
            "--bn_group=128: groups do not fit",
        ),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, expected):
    with pytest.raises(errors.UserError, match=expected):
        distribution.make_strategy(config.TrainConfig(**settings))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"bn_group": 100}, "--bn_group=100: expected a multiple of --batch_size=64"),
        ({"bn_group": 192}, "--bn_group=192: expected .* divides the 256 images"),
        ({"accumulate": 3}, "--accumulate=3: expected a divisor of --num_towers=4"),
        ({"use_ema": True}, "--use_ema=True: expected an --ema_decay above 0"),
        ({"ema_decay": 1.0}, "--ema_decay=1.0: expected a number from 0"),
        ({"strategy": "ddp"}, "--strategy=ddp: expected one of auto, one_device"),
    ],
)
def test_wrong_settings_are_refused_before_anything_starts(settings, expected):
    with pytest.raises(errors.UserError, match=expected):
        config.TrainConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        (
            {"mixed_precision": "bfloat16"},
            "narrow_conv left out, wide_conv left out, small_conv taken",
        ),
        (
            {"mixed_precision": "bfloat16", "optimizations": "auto,wide_conv"},
            "narrow_conv left out, small_conv taken",
        ),
        ({"mixed_precision": "bfloat16", "optimizations": "adam"}, ""),
        # The instruction does not help float16 or XLA's kernels, and float32 needs none.
        ({"mixed_precision": "float16"}, ""),
        ({"mixed_precision": "bfloat16", "jit_compile": True}, ""),
        ({}, ""),
    ],
)
def test_auto_follows_the_processor(monkeypatch, settings, changes):
    train = config.TrainConfig(**settings)
    usual = config.optimizations(train.optimizations, "CPU")
    for instruction in ("avx512_bf16", ""):
        monkeypatch.setattr(processor, "native_bfloat16", lambda known=instruction: known)
        native = distribution.native_convolutions(train)
        found = distribution.optimizations(train.optimizations, native=native)
        text = distribution.chosen_by_processor(train)
        if changes and instruction:
            assert text == f"{changes}: this CPU has avx512_bf16"
            assert found == config.optimizations(train.optimizations, "CPU", native="avx512_bf16")
        else:
            assert text == ""
            assert found == usual
