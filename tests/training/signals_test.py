import os
import signal

import pytest

from sagan_tf import errors
from sagan_tf.training import signals


def test_signal_is_noted_once_and_the_handlers_come_back():
    with signals.StopSignals() as stop:
        stop.wait_for_steps()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # the second one ends at once
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_signal_before_the_steps_ends_at_once():
    with (
        pytest.raises(errors.Interrupted, match="SIGTERM: training had not begun") as error,
        signals.StopSignals(),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert error.value.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
