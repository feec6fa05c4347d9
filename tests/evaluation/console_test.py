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
