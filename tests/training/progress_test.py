import io

from sagan_tf.training import progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_worker_that_follows_prints_its_notes_only():
    stream = io.StringIO()
    line = progress.Progress(10, 1, stream=stream, clock=Clock(), worker="worker 1")
    line.start(0)
    line.show(5, {"g_loss": 0.5}, keep=True)
    line.note("starting")
    assert stream.getvalue() == "worker 1: starting\n"


def test_progress_line_away_from_a_terminal():
    stream, clock = io.StringIO(), Clock()
    line = progress.Progress(1000, 256, stream=stream, clock=clock)
    line.start(100)
    clock.now = 50.0
    line.show(150, {"g_loss": 0.5}, keep=False)
    assert stream.getvalue() == ""
    clock.now = 100.0
    line.show(200, {"g_loss": 0.5}, keep=True)
    # 100 steps of 256 images in 100 s; 800 steps are left.
    assert stream.getvalue() == "step 200/1000  g_loss 0.5000  256.0 images/s  ETA 0:13:20\n"


def test_progress_line_renews_itself_on_a_terminal():
    stream, clock = Terminal(), Clock()
    line = progress.Progress(10, 1, stream=stream, clock=clock)
    line.start(0)
    for step in (1, 2):
        clock.now += 1.0
        line.show(step, {}, keep=False)
    line.note("saved")
    assert stream.getvalue().count("\n") == 2
    assert stream.getvalue().count("\r") == 2
    assert stream.getvalue().endswith("\nsaved\n")


def test_line_is_ended_before_another_stream_goes_on():
    """The line of a signal goes to standard error, on the same terminal."""
    stream = Terminal()
    line = progress.Progress(10, 1, stream=stream, clock=Clock())
    line.show(1, {}, keep=False)
    line.close()
    line.close()
    assert stream.getvalue().endswith("ETA ?\n")


def test_nothing_is_printed_after_the_reader_has_ended():
    """As of a pipe: the text is taken, and to flush it fails."""
    stream = io.StringIO()

    def flush():
        raise BrokenPipeError

    stream.flush = flush
    line = progress.Progress(10, 1, stream=stream, clock=Clock())
    assert line.has_reader
    line.note("starting")
    assert not line.has_reader
    line.show(1, {}, keep=True)
    line.note("saved")
    assert stream.getvalue() == "starting\n"


def test_eta_in_days():
    stream, clock = io.StringIO(), Clock()
    line = progress.Progress(1_000_000, 256, stream=stream, clock=clock)
    line.start(0)
    clock.now = 1.0
    line.show(1, {}, keep=True)
    assert stream.getvalue().endswith("ETA 11d 13:46:39\n")
