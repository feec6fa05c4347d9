import io

from sagan_tf.evaluation import console


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(stream):
    output = console.Console(stream)
    output.say("begin")
    with output.progress("step 5", 100) as progress:
        for _ in range(4):
            progress.update(25)
    output.say("end")
    return stream.getvalue()


def test_terminal_shows_what_is_done_and_how_fast():
    shown = work(Terminal())
    assert "step 5" in shown
    assert "100/100" in shown
    assert "images/s" in shown
    assert shown.endswith("\nend\n")


def test_log_file_has_lines_alone():
    assert work(io.StringIO()) == "begin\nend\n"


def test_log_file_has_a_line_of_progress_each_minute():
    """200 of 1,000 images in 80 s: 2.5 a second, and 320 s are left."""
    stream = io.StringIO()
    times = iter([0.0, 24.0, 80.0, 100.0, 139.0, 150.0])
    output = console.Console(stream, clock=lambda: next(times))
    with output.progress("step 5", 1000) as progress:
        for count in (60, 140, 50, 50, 75):
            progress.update(count)
    assert stream.getvalue() == (
        "step 5: 200/1000 images, 2.5 images/s, ETA 05:20\n"
        "step 5: 375/1000 images, 2.5 images/s, ETA 04:10\n"
    )
