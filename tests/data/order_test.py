import itertools

import numpy as np
import pytest

from sagan_tf.data import order

# Records of nine blocks, and blocks of a window: three windows of 4, 4 and 1 blocks.
COUNTS = np.array([3, 16, 1, 16, 7, 16, 16, 2, 5])
TOTAL, PER_WINDOW = 82, 4


def take_windows(start, number, seed=5, counts=COUNTS, per_window=PER_WINDOW):
    return list(itertools.islice(order.windows(counts, per_window, seed=seed, start=start), number))


def sequence(start, length, seed=5):
    """(block, number in the block) of each record, as a reader of the windows would give them."""
    found = []
    for window in order.windows(COUNTS, PER_WINDOW, seed=seed, start=start):
        records = [(int(block), i) for block in window.blocks for i in range(COUNTS[block])]
        shuffle = np.random.RandomState(window.seed).permutation(len(records))
        found += [records[i] for i in shuffle][window.skip :]
        if len(found) >= length:
            return found[:length]
    raise AssertionError("the windows came to an end")


@pytest.mark.parametrize("count", [0, 1, 2, 17, 10_000])
def test_permutation_holds_each_number_once(count):
    found = order.permutation(count, 2, 1)
    assert found.dtype == np.int64
    assert np.array_equal(np.sort(found), np.arange(count))


def test_permutation_is_fixed_for_ever():
    """The numbers of np.random.RandomState([7, 3]).permutation(10), which NumPy never changes."""
    assert order.permutation(10, 7, 3).tolist() == [7, 4, 1, 6, 8, 3, 5, 2, 9, 0]


def test_permutation_depends_on_every_number_of_the_key():
    keys = [(7, 3), (7, 4), (8, 3), (3, 7), (7,), (7, 3, 1), (2**32 - 1, 3)]
    assert len({tuple(order.permutation(50, *key)) for key in keys}) == len(keys)
    assert order.permutation(50, 7, 3).tolist() == order.permutation(50, 7, 3).tolist()


def test_windows_are_fixed_for_ever():
    """RandomState([5, epoch]).permutation(5), RandomState([5, epoch, number]).randint(2**31)."""
    found = take_windows(0, 6, counts=np.full(5, 10), per_window=2)
    assert [window.blocks.tolist() for window in found] == [
        [1, 3],
        [4, 2],
        [0],
        [2, 0],
        [1, 4],
        [3],
    ]
    assert [window.seed for window in found] == [
        753709249,
        45433779,
        340032240,
        1749891040,
        1771352045,
        1783732589,
    ]
    assert [window.skip for window in found] == [0] * 6


def test_windows_cover_each_epoch_exactly_once():
    found = take_windows(0, 9)
    assert [len(window.blocks) for window in found] == [4, 4, 1] * 3
    for epoch in range(3):
        blocks = np.concatenate([window.blocks for window in found[3 * epoch : 3 * epoch + 3]])
        assert sorted(blocks.tolist()) == list(range(9))


def test_every_record_comes_once_an_epoch():
    everything = sorted((block, i) for block in range(9) for i in range(COUNTS[block]))
    found = sequence(0, 3 * TOTAL)
    for epoch in range(3):
        assert sorted(found[epoch * TOTAL : (epoch + 1) * TOTAL]) == everything


def test_starting_anywhere_equals_skipping():
    whole = sequence(0, 4 * TOTAL)
    for start in range(3 * TOTAL):
        assert sequence(start, TOTAL) == whole[start : start + TOTAL], start


def test_epochs_differ_in_windows_and_in_their_shuffles():
    found = take_windows(0, 9)
    firsts = {tuple(found[3 * epoch].blocks) for epoch in range(3)}
    assert len(firsts) == 3
    assert len({frozenset(first) for first in firsts}) == 3  # not only the order in a window
    assert len({window.seed for window in found}) == 9
    assert all(0 <= window.seed < 2**31 for window in found)


def test_seeds_differ():
    one, other = take_windows(0, 3, seed=5), take_windows(0, 3, seed=2**32 - 1)
    assert [w.blocks.tolist() for w in one] != [w.blocks.tolist() for w in other]
    assert not {w.seed for w in one} & {w.seed for w in other}


@pytest.mark.parametrize("epoch", [1, 2])
def test_start_at_the_end_of_an_epoch_is_the_next_ones_first_window(epoch):
    (window,) = take_windows(epoch * TOTAL, 1)
    expected = take_windows(0, 3 * epoch + 1)[-1]
    assert window.blocks.tolist() == expected.blocks.tolist()
    assert (window.seed, window.skip) == (expected.seed, 0)


def test_start_at_the_end_of_a_window_is_the_next_one():
    first, second = take_windows(0, 2)
    (window,) = take_windows(COUNTS[first.blocks].sum(), 1)
    assert window.blocks.tolist() == second.blocks.tolist()
    assert (window.seed, window.skip) == (second.seed, 0)


def test_start_in_the_last_short_window():
    expected = take_windows(0, 4)
    last, following = take_windows(TOTAL - 1, 2)
    assert last.blocks.tolist() == expected[2].blocks.tolist()
    assert (len(last.blocks), last.seed) == (1, expected[2].seed)
    assert last.skip == COUNTS[expected[2].blocks[0]] - 1
    assert following.blocks.tolist() == expected[3].blocks.tolist()
    assert following.skip == 0


def test_one_window_may_hold_everything():
    for epoch, window in enumerate(take_windows(20, 2, per_window=1000)):
        assert window.blocks.tolist() == np.random.RandomState([5, epoch]).permutation(9).tolist()
        assert window.skip == (20 if epoch == 0 else 0)


def test_far_start_is_found_without_going_there():
    """Epoch four billion: whoever walked there would not come back."""
    epoch = 4_000_000_000
    (window,) = take_windows(epoch * TOTAL, 1)
    expected = np.random.RandomState([5, epoch]).permutation(9)[:PER_WINDOW]
    assert window.blocks.tolist() == expected.tolist()
    assert window.skip == 0


def test_balanced_repeats_records_of_small_classes():
    """Of 6, 2, 4 and 0 records the second comes three times; 6 / 4 = 1.5 is rounded to 2."""
    labels = np.array([0, 1, 0, 2, 0, 0, 2, 0, 1, 2, 0, 2])
    found = order.balanced(labels)
    assert found.tolist() == [0, 1, 1, 1, 2, 3, 3, 4, 5, 6, 6, 7, 8, 8, 8, 9, 9, 10, 11, 11]
    assert np.bincount(labels[found]).tolist() == [6, 6, 8]
    assert order.balanced(np.array([3, 1])).tolist() == [0, 1]


@pytest.mark.parametrize("count", range(1, 60))
def test_balanced_classes_come_two_to_four_thirds_as_often_as_the_largest(count):
    found = order.balanced(np.repeat([0, 1], [60, count]))
    share = np.sum(found >= 60) / 60
    assert 2 / 3 <= share <= 4 / 3
