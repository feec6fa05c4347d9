"""SIGTERM and SIGINT as a request to save and stop."""

import signal
import threading

from sagan_tf import errors


class StopSignals:
    """A context in which SIGTERM and SIGINT ask the run to stop.

    Until `wait_for_steps` a signal ends the run at once, by `errors.Interrupted`. After it the
    signal is only noted: the loop ends its step, saves, and leaves. A second signal does what it
    does without this class.

    Attributes:
      number: the signal that came, or 0.
    """

    def __init__(self):
        self.number = 0
        self._at_once = True
        self._handlers_before = {}

    def __enter__(self) -> "StopSignals":
        # Python lets no other thread set handlers.
        if threading.current_thread() is not threading.main_thread():
            return self

        # A signal that is ignored (nohup), or whose handler is not Python's own, stays so.
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._handlers_before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)

    def wait_for_steps(self) -> None:
        """From here on a signal waits until the step has ended and was saved."""
        self._at_once = False

    def _receive(self, number: int, _) -> None:
        self.number = number
        signal.signal(number, self._handlers_before[number])
        if self._at_once:
            raise errors.Interrupted(number)
