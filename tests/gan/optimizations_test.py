from sagan_tf.gan.optimizations import Optimizations


def test_applies_from_the_smallest_side_on():
    found = Optimizations({"up_conv": 16, "adam": 0})
    assert [found.applies("up_conv", side) for side in (15, 16, 32)] == [False, True, True]
    assert found.applies("adam", 0)
    assert not found.applies("down_conv", 1000)


def test_nothing_is_in_force_by_default_and_a_copy_is_kept():
    sides = {"adam": 0}
    found = Optimizations(sides)
    sides["shortcut"] = 0
    assert dict(found) == {"adam": 0}
    assert dict(Optimizations()) == dict(Optimizations(None)) == {}
    assert Optimizations(found) == found == {"adam": 0}
