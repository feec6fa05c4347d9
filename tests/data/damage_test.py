import pytest

from sagan_tf.data import damage


@pytest.mark.parametrize(
    ("pictures", "share", "allowed"),
    [
        (4, 0.001, 1),
        (40, 0.001, 2),
        (657, 0.001, 10),
        (20_000, 0.001, 20),
        (1_281_167, 0.001, 1281),
        (40, 0.5, 20),
        (657, 0.0, 0),
    ],
)
def test_few_pictures_may_have_some_damaged_ones(pictures, share, allowed):
    assert damage.DamageLimit(pictures, share, is_shuffled=True).allowed == allowed


def first_stop(step, **options):
    """Pictures that are looked at before the limit is broken, where every step-th is damaged."""
    limit = damage.DamageLimit(1_281_167, 0.001, **options)
    for seen in range(step, 1_281_167, step):
        limit.add([("name", "why")], step)
        if limit.is_broken:
            return seen
    return None


def test_twice_as_many_as_allowed_are_noticed_early():
    """Of k among 500 k, k - 4 sqrt(k) reaches half of k at k = 64."""
    assert first_stop(500, is_shuffled=True) == 64 * 500
    assert first_stop(500, is_shuffled=False) == 1282 * 500


def test_as_many_as_allowed_are_no_reason_to_stop():
    assert first_stop(1001, is_shuffled=True) is None
