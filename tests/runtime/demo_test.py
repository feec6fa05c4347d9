import os
import signal
import subprocess
import sys

import pytest

from sagan_tf import config, errors
from sagan_tf.runtime import demo
from tests.conftest import ROOT


def test_files_of_a_checkout_and_of_an_installed_package(tmp_path):
    assert demo.folder() == ROOT
    installed = tmp_path / "site-packages" / "sagan_tf"
    with pytest.raises(errors.UserError, match="the digits are not there"):
        demo.folder(installed)
    (installed / "demo" / "data" / "digits").mkdir(parents=True)
    assert demo.folder(installed) == installed / "demo"


def test_commands_name_files_that_are_there_and_take_the_options():
    options = config.DemoConfig(checkpoint_dir="here", max_steps=20, seed=7)
    train, evaluate = demo.commands(options, demo.folder())
    assert (train[0], evaluate[0]) == ("train", "eval")
    assert {"--max_steps=20", "--seed=7", "--checkpoint_dir=here"} <= set(train)
    assert {"--run=here/imagenet_12", "--stats_dir=here/real_statistics"} <= set(evaluate)
    for flag in (*train, *evaluate):
        name, _, value = flag.partition("=")
        if name in ("--flagfile", "--data_dir", "--inception"):
            assert os.path.isabs(value)
            assert os.path.exists(value)


def test_command_that_fails_ends_the_demo_with_its_code(monkeypatch, capsys):
    ran = []
    monkeypatch.setattr(demo, "finish", lambda command: ran.append(command) or 130)
    with pytest.raises(SystemExit) as ended:
        demo.run(config.DemoConfig(max_steps=20))
    assert ended.value.code == 130
    assert [command[2] for command in ran] == ["sagan_tf.tools.train"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "On two CPU cores that takes about 1 minute."
    assert lines[2] == f"Everything goes into {ROOT / 'checkpoint' / 'digits'}."


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("raise SystemExit(7)", 7),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
        # The demo itself is asked to end, and passes that on.
        (
            "import os, signal, time; time.sleep(0.3); os.kill(os.getppid(), signal.SIGTERM); "
            "signal.pause()",
            143,
        ),
    ],
)
def test_exit_code_of_a_command(program, code):
    before = signal.getsignal(signal.SIGINT)
    try:
        assert demo.finish([sys.executable, "-c", program]) == code
    finally:
        signal.signal(signal.SIGINT, before)


def test_log_of_a_command_goes_where_python_prints_errors(tmp_path, monkeypatch):
    """Not to file descriptor 2, behind which the demo's own filter would hold it back."""
    with open(tmp_path / "errors", "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        before = signal.getsignal(signal.SIGINT)
        demo.finish([sys.executable, "-c", "import os; os.write(2, b'its log')"])
        signal.signal(signal.SIGINT, before)
    assert (tmp_path / "errors").read_text() == "its log"


@pytest.mark.process
def test_wheel_holds_the_demo_and_every_command(tmp_path):
    """What goes into a wheel, as `build_py` lays it out."""
    built = tmp_path / "built"
    subprocess.run(
        [sys.executable, "setup.py", "-q", "build_py", f"--build-lib={built}"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    assert demo.folder(built / "sagan_tf") == built / "sagan_tf" / "demo"
    demo_files = built / "sagan_tf" / "demo"
    for name in (
        "data/digits/digits-00003-of-00004.tfrecords",
        "data/digits_classifier/saved_model.pb",
        "data/digits_classifier/variables/variables.index",
        "data/README.md",
        "configs/digits.flags",
        "configs/digits_eval.flags",
    ):
        assert (demo_files / name).read_bytes() == (ROOT / name).read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "sagan_tf.tools.main", "train", "-h"],
        cwd=built,
        env={**os.environ, "PYTHONPATH": str(built)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("usage: sagan train [--flag=value ...]\n")
