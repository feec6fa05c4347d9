"""SIGTERM and SIGINT as a request to save and stop."""

import signal
import threading

from sagan_tf import errors


class StopSignals:
    """SIGTERM and SIGINT: at once while nothing is under way, then after the step; twice as usual.

    Attributes:
      number: the signal that came, or 0.
    """

    def __init__(self):
        self.number = 0
        self._at_once = True
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                # One that is ignored (nohup), or not Python's own, stays so.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def wait_for_steps(self) -> None:
        """From here on a signal waits until the step has ended and was saved."""
        self._at_once = False

    def _note(self, number, _):
        self.number = number
        signal.signal(number, self._before[number])
        if self._at_once:
            raise errors.Interrupted(number)
