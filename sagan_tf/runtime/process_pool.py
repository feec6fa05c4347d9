"""Process pool that maps a function over many items, in order. Standard library only.

We tried joblib's `Parallel(return_as="generator", pre_dispatch=...)` instead. It took all items of
an endless iterator while its consumer paused, and its workers outlived a killed parent.
"""

import collections
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from multiprocessing import connection
from typing import Any, TypeVar

from sagan_tf import errors

_Item = TypeVar("_Item")
# Calls for each worker that are asked for before their results are taken.
_CALLS_AHEAD = 3


def ordered_map(
    function: Callable[..., list],
    items: Iterator[_Item],
    *,
    argument: Callable[[_Item], Any],
    settings: tuple,
    workers: int,
    chunk: int = 16,
) -> Iterator[tuple[_Item, Any]]:
    """(item, result) for each item, in order; at most a few calls ahead of the caller.

    Args:
      function: called as function([argument(item), ...], *settings); gives a list of results. Its
        module is imported by every worker.
      items: what to work on.
      argument: the part of an item that travels to the worker.
      settings: more arguments.
      workers: processes; 1: this one.
      chunk: items of one call.
    Raises:
      errors.UserError: a worker died.
    """
    # One process needs no pool.
    if workers == 1:
        for item in items:
            yield item, function([argument(item)], *settings)[0]
        return

    # Not forked from this process: threads of TensorFlow's do not survive that.
    context = multiprocessing.get_context("forkserver")
    pool = futures.ProcessPoolExecutor(workers, context, _start_worker)
    waiting: collections.deque = collections.deque()
    try:
        while True:
            # Keep the workers busy, and not more than that.
            while len(waiting) < _CALLS_AHEAD * workers and (taken := _take(items, chunk)):
                arguments = [argument(item) for item in taken]
                waiting.append((taken, pool.submit(function, arguments, *settings)))

            # Hand out the oldest call's results.
            if not waiting:
                return
            taken, result = waiting.popleft()
            yield from zip(taken, result.result())
    except futures.BrokenExecutor as error:
        raise errors.UserError(
            f"--workers={workers}: a worker process died (out of memory, or a picture crashed "
            "the decoder); start the same command again, with fewer workers if memory ran out"
        ) from error
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def available() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def _take(items: Iterator[_Item], count: int) -> list[_Item]:
    return list(itertools.islice(items, count))


def _start_worker() -> None:
    """In a worker: leaves interrupts to the parent, and dies with it however that dies."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch():
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
