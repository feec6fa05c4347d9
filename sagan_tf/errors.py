"""Errors that the user can act on, and the exit codes of the commands."""

import signal
from typing import Optional

# Exit code of a run that has to be started again as it was (EX_TEMPFAIL of sysexits.h).
RESTART = 75


class UserError(Exception):
    """Something that the user can correct.

    The message is one line that names the flag or the file, its value and what would be right.
    Entry points print it and leave with exit code 1.
    """


class MachineError(UserError):
    """This machine has too little of something; what TensorFlow logged may say why."""


class UnusableCheckpoint(UserError):
    """One checkpoint, or what its generator makes, cannot be scored; others may be."""


class WorkerLost(Exception):
    """Another worker of this run has died or does not answer.

    The user need not correct anything: the same command on every worker continues. Entry points
    leave with exit code `RESTART`.
    """


class Interrupted(BaseException):
    """A run was asked to stop, has saved what there was to save, and leaves.

    No Exception, as KeyboardInterrupt: TensorFlow and Keras would wrap one raised while they trace.

    Attributes:
      signal: number of the signal. Entry points leave with exit code 128 + this.
    """

    def __init__(self, number: int, step: Optional[int] = None):
        what = "training had not begun" if step is None else f"saved step {step}"
        super().__init__(f"{signal.Signals(number).name}: {what}; the same command continues")
        self.signal = number
