import pytest

from sagan_tf import config, distribution


@pytest.mark.parametrize(("devices", "towers"), [(1, 4), (2, 2), (4, 1)])
def test_towers_are_shared_evenly(devices, towers):
    train = config.TrainConfig(num_towers=4, num_devices=devices)
    strategy = distribution.make_strategy(train)
    assert strategy.num_replicas_in_sync == devices
    assert distribution.towers_per_replica(train, strategy) == towers


def test_towers_that_do_not_divide_are_refused():
    with pytest.raises(config.UserError, match=(
            r"--num_towers=4: the towers do not divide evenly over 3 devices; set --num_towers to "
            r"a multiple of 3 or --num_devices to a divisor of 4")):
        distribution.make_strategy(config.TrainConfig(num_towers=4, num_devices=3))


def test_too_many_devices_are_refused():
    with pytest.raises(config.UserError, match="--num_devices=8: TensorFlow has started with 4"):
        distribution.make_strategy(config.TrainConfig(num_towers=8, num_devices=8))
