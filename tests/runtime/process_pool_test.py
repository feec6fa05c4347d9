"""Worker processes import this file: no TensorFlow here."""

import itertools
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from sagan_tf import errors
from sagan_tf.runtime import process_pool

# One worker is this process itself.
ONE_AND_THREE = [1, pytest.param(3, marks=pytest.mark.process)]
ROOT = pathlib.Path(__file__).parents[2]

# What the killed process does: three workers at work on items that take for ever.
_PARENT = """
import itertools
from sagan_tf.runtime import process_pool
from tests.runtime import process_pool_test

results = process_pool.ordered_map(process_pool_test.squares_then_sleep, iter(range(10**9)),
                                   argument=lambda item: item, settings=(20,), workers=3,
                                   chunk=5)
for item, square in results:
    print(item, flush=True)
"""


def squares(numbers, offset):
    return [(number**2 + offset, os.getpid()) for number in numbers]


def squares_late_first(numbers):
    """The first chunk takes the longest."""
    time.sleep(0.5 if 0 in numbers else 0)
    return [number**2 for number in numbers]


def squares_then_sleep(numbers, limit):
    if max(numbers) >= limit:
        time.sleep(600)
    return [number**2 for number in numbers]


def die_at(numbers, fatal):
    if fatal in numbers:
        os._exit(9)
    return [-number for number in numbers]


def fail_at(numbers, fatal):
    if fatal in numbers:
        raise ValueError(f"number {fatal}")
    return [-number for number in numbers]


def on_interrupt(numbers):
    return [signal.getsignal(signal.SIGINT) is signal.SIG_IGN for _ in numbers]


class Counted:
    """An endless iterator that counts how far it was consumed (and bears no greed)."""

    def __init__(self):
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        assert self.taken < 10_000
        return self.taken - 1


def identity(item):
    return item


@pytest.mark.parametrize("count", [0, 1, 16, 100])
@pytest.mark.parametrize("number_workers", ONE_AND_THREE)
def test_results_come_with_their_items_in_order(number_workers, count):
    items = ({"place": i, "more": "kept"} for i in range(count))
    found = list(
        process_pool.ordered_map(
            squares,
            items,
            argument=lambda item: item["place"],
            settings=(1000,),
            workers=number_workers,
        )
    )
    assert [item for item, _ in found] == [{"place": i, "more": "kept"} for i in range(count)]
    assert [result for _, (result, _) in found] == [i * i + 1000 for i in range(count)]
    processes = {process for _, (_, process) in found}
    assert (os.getpid() in processes) == (number_workers == 1 and count > 0)


@pytest.mark.process
def test_order_does_not_depend_on_who_is_ready_first():
    found = process_pool.ordered_map(
        squares_late_first, iter(range(50)), argument=identity, settings=(), workers=3, chunk=4
    )
    assert [result for _, result in found] == [i * i for i in range(50)]


@pytest.mark.process
def test_only_the_argument_travels():
    """An item may be what cannot be sent to another process."""
    items = ((i, lambda: None) for i in range(20))
    found = process_pool.ordered_map(
        squares, items, argument=lambda item: item[0], settings=(0,), workers=2
    )
    assert [result for _, (result, _) in found] == [i * i for i in range(20)]


@pytest.mark.parametrize(
    ("number_workers", "ahead"), [(1, 1), pytest.param(3, 10 * 4, marks=pytest.mark.process)]
)
def test_an_endless_iterator_is_consumed_a_few_chunks_ahead(number_workers, ahead):
    items = Counted()
    found = process_pool.ordered_map(
        squares, items, argument=identity, settings=(0,), workers=number_workers, chunk=4
    )
    for i in range(60):
        assert next(found)[0] == i
        assert i + 1 <= items.taken <= i + ahead
    found.close()


@pytest.mark.process
def test_nothing_is_taken_before_somebody_asks():
    items = Counted()
    process_pool.ordered_map(squares, items, argument=identity, settings=(0,), workers=3)
    assert items.taken == 0


@pytest.mark.process
def test_dying_worker_is_an_error_that_names_the_flag():
    found = process_pool.ordered_map(
        die_at, iter(range(1000)), argument=identity, settings=(40,), workers=3, chunk=4
    )
    with pytest.raises(errors.UserError, match=r"^--workers=3: a worker process died"):
        list(found)


@pytest.mark.process
def test_results_from_before_a_workers_death_are_those_of_the_first_items():
    seen = []
    found = process_pool.ordered_map(
        die_at, itertools.count(), argument=identity, settings=(300,), workers=2, chunk=16
    )
    with pytest.raises(errors.UserError):
        seen.extend(found)
    assert seen == [(i, -i) for i in range(len(seen))]
    # The chunk that kills is the one from 288 on; it was asked for at most six chunks earlier.
    assert 288 - 6 * 16 <= len(seen) <= 288


@pytest.mark.parametrize("number_workers", ONE_AND_THREE)
def test_error_of_the_function_comes_through(number_workers):
    found = process_pool.ordered_map(
        fail_at, iter(range(100)), argument=identity, settings=(40,), workers=number_workers
    )
    with pytest.raises(ValueError, match="number 40"):
        list(found)


@pytest.mark.process
def test_workers_leave_interrupts_to_their_parent():
    found = process_pool.ordered_map(
        on_interrupt, iter(range(8)), argument=identity, settings=(), workers=2, chunk=1
    )
    assert [result for _, result in found] == [True] * 8


def descendants(process):
    """Numbers of all living processes below this one."""
    children = {}
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
        except OSError:  # It ended meanwhile.
            continue
        if state != "Z":
            children.setdefault(int(parent), []).append(int(path.parent.name))
    found, rest = [], [process]
    while rest:
        new = children.get(rest.pop(), [])
        found += new
        rest += new
    return found


def is_alive(process):
    try:
        stat = pathlib.Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def wait_until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    return condition()


@pytest.mark.process
@pytest.mark.skipif(not pathlib.Path("/proc/self/stat").exists(), reason="it looks into /proc")
def test_workers_end_when_their_parent_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    below = []
    try:
        for line in parent.stdout:  # until the last result that comes: then the workers sleep
            if int(line) == 19:
                break
        # A server that forks, and three workers at work.
        assert wait_until(lambda: len(descendants(parent.pid)) >= 4, 20)
        below = descendants(parent.pid)
        assert all(is_alive(process) for process in below)
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        assert wait_until(lambda: not any(map(is_alive, below)), 10), [
            process for process in below if is_alive(process)
        ]
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        for process in filter(is_alive, below):
            os.kill(process, signal.SIGKILL)
