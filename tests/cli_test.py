"""The two commands, as a user runs them: real processes, real exit codes.

A full disk under a run is in training/loop_test.
"""

import io
import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf

from sagan_tf import cli, config, errors
from sagan_tf.data import dataset, prepare
from tests.conftest import ROOT
from tests.processes import error_line, run, start
from tests.testing import make_pictures

COMMANDS = (
    "train_imagenet.py",
    "eval_imagenet.py",
    *(
        f"sagan_tf.tools.{path.stem}"
        for path in sorted((ROOT / "sagan_tf" / "tools").glob("*.py"))
        if not path.stem.startswith("__")
    ),
)


@pytest.fixture(name="refused", scope="module")
def fixture_refused():
    """What became of every command with a flag that it does not have; all start at once."""
    started = {
        name: start(*([name] if name.endswith(".py") else ["-m", name]), "--no_such_flag=1")
        for name in COMMANDS
    }
    return {name: (process, *process.communicate(timeout=300)) for name, process in started.items()}


@pytest.mark.process
@pytest.mark.parametrize("command", COMMANDS)
def test_unknown_flag_of_any_command_is_one_line_and_exit_code_1(refused, command):
    process, out, err = refused[command]
    line = error_line((process.returncode, out, err))
    assert "no_such_flag" in line
    assert err == f"{line}\n"


def test_all_commands_are_tried():
    assert len(COMMANDS) >= 13
    assert "sagan_tf.tools.report" in COMMANDS


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.parametrize(
    ("script", "flags", "message"),
    [
        (
            "train_imagenet.py",
            ["--generater_type=test"],
            "Unknown command line flag 'generater_type'. Did you mean: generator_type ?",
        ),
        ("train_imagenet.py", ["--batch_size=many"], "flag --batch_size=many"),
        ("train_imagenet.py", ["--mirror=maybe"], "flag --mirror=maybe: expected true or false"),
        ("train_imagenet.py", ["--nomirror=1"], "--nomirror=1 does not take an argument"),
        ("eval_imagenet.py", ["--flagfile=configs/emoji_eval.flags", ""], "'': expected flags"),
        ("train_imagenet.py", ["test"], "test: expected flags only"),
        (
            "train_imagenet.py",
            ["--generator_type=big"],
            "--generator_type=big: expected one of test, test_64, baseline",
        ),
        (
            "train_imagenet.py",
            ["--flagfile=absent.flags"],
            "error: --flagfile=absent.flags: cannot be read (No such file or directory); name ",
        ),
        ("eval_imagenet.py", ["--num_classes=x"], "flag --num_classes=x"),
        (
            "eval_imagenet.py",
            ["--data_dir=data/digits", "--checkpoint_dir=absent"],
            "absent/imagenet_64: no run there",
        ),
        # A word takes the place of the run that the flagfile names.
        (
            "eval_imagenet.py",
            ["--flagfile=configs/digits_eval.flags", "absent"],
            "--run=absent: ",
        ),
        (
            "eval_imagenet.py",
            ["--run=there", "absent"],
            "absent: expected flags only, as in --name=value, and one word without a flag",
        ),
    ],
)
def test_bad_command_is_one_line_and_exit_code_1(script, flags, message):
    assert message in error_line(run(script, *flags, cwd=ROOT))


@pytest.mark.process
def test_help_of_a_script_is_that_of_the_command():
    """The script starts as a user's does: the other tests take a copy of a process."""
    command = [sys.executable, str(ROOT / "train_imagenet.py"), "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    text = (ROOT / "docs" / "flags" / "train.txt").read_text(encoding="utf-8")
    assert done.stdout == text.replace("sagan train", f"python {ROOT / 'train_imagenet.py'}")


@pytest.mark.process
@pytest.mark.parametrize(
    ("last", "code", "words"),
    [
        ("pass", 128 + signal.SIGPIPE, ""),
        ("raise errors.UserError('--out=x: no')", 1, "error: --out=x: no\n"),
        ("print('more', flush=True)", 128 + signal.SIGPIPE, ""),
    ],
)
def test_reader_of_the_output_may_end(last, code, words):
    """As in `sagan eval ... | head -n 1`: no traceback, whatever the command prints last."""
    program = f"""
from sagan_tf import cli, errors
from sagan_tf.config import help_text

def main():
    print("the scores")
    {last}

cli.run(help_text.Command("Prints.", "", kinds=()), main)
"""
    reading_end, writing_end = os.pipe()
    os.close(reading_end)
    command = [sys.executable, "-c", program]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": ""},  # so that the last print still waits
        stdout=writing_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing_end)
    assert (done.returncode, done.stderr) == (code, words)


def test_another_broken_pipe_is_no_reader_that_ended(monkeypatch):
    """As of a worker process that died: standard output is read on."""
    reading_end, writing_end = os.pipe()
    monkeypatch.setattr(cli, "given", lambda name: True)
    with open(writing_end, "w", encoding="utf-8") as output, open(reading_end, "rb"):
        monkeypatch.setattr(sys, "stdout", output)
        with pytest.raises(BrokenPipeError, match="a worker's"):
            cli._exit_code(_lose_a_worker)


def _lose_a_worker():
    raise BrokenPipeError("a worker's")


@pytest.fixture(name="prepared", scope="module")
def fixture_prepared(tmp_path_factory):
    """A directory that was prepared as by prepare_data: 32 px, two classes."""
    path = tmp_path_factory.mktemp("prepared")
    make_pictures(path / "source", {"ant": 6, "bee": 5})
    prepare.prepare(
        config.PrepareConfig(
            source=str(path / "source"), out=str(path / "out"), size=32, encoding="jpeg"
        ),
        io.StringIO(),
    )
    return path / "out"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 3 GiB"),
        tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor with shape[64]"),
        tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
    ],
)
def test_error_about_memory_says_which_flag_needs_less(error):
    expected = r"^memory ran out \(.*(allocat|MEMORY).*\); a smaller --batch_size needs less$"
    hint = "a smaller --batch_size needs less"
    with pytest.raises(errors.UserError, match=expected), cli.within_memory(hint):
        raise error


def test_full_disk_is_no_error_about_memory():
    full = tf.errors.ResourceExhaustedError(None, None, "a.tfrecords; No space left on device")
    with pytest.raises(tf.errors.ResourceExhaustedError), cli.within_memory("take less"):
        raise full


NETWORKS = ("--gf_dim=8", "--df_dim=8", "--attention_resolution=16")


@pytest.mark.slow
@pytest.mark.process
def test_size_and_classes_need_no_flag_where_the_data_says_them(prepared):
    """The command starts as a user's does, and nothing of TensorFlow's start is shown."""
    flags = [f"--data_dir={prepared}", *NETWORKS, "--dry_run"]
    command = [sys.executable, str(ROOT / "train_imagenet.py"), *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for line in ("image_size: 32\n", "number_classes: 2\n", "data records: 11\n"):
        assert line in done.stdout


@pytest.mark.slow
def test_contradiction_to_the_data_is_an_error_with_both(prepared):
    for (side, classes), line in (
        ((64, 2), "--image_size=64: {}/dataset.json says 32;"),
        ((32, 10), "--number_classes=10: {}/dataset.json says 2;"),
    ):
        with pytest.raises(errors.UserError) as error:
            dataset.open_records(str(prepared), side, number_classes=classes)
        assert str(error.value).startswith(line.format(prepared))


@pytest.mark.slow
@pytest.mark.process
def test_contradiction_is_found_before_the_networks_are_checked(prepared):
    """No network is made for 16 px, but the data is what is contradicted."""
    result = run("train_imagenet.py", f"--data_dir={prepared}", "--image_size=16")
    assert f"--image_size=16: {prepared}/dataset.json says 32;" in error_line(result)


def test_flag_that_contradicts_the_data_names_both(prepared):
    directory = dataset.open_directory(str(prepared))
    directory.refuse_other({})
    directory.refuse_other({"image_size": 32, "number_classes": 2})
    with pytest.raises(errors.UserError, match=r"^--image_size=64: .*/dataset.json says 32;"):
        directory.refuse_other({"image_size": 64})


def test_no_records_names_the_digits_recipe(tmp_path):
    """A line of a process is in the tests of bad commands."""
    with pytest.raises(errors.UserError) as error:
        dataset.open_records(str(tmp_path), 128, number_classes=1000)
    assert str(error.value).startswith(f"--data_dir={tmp_path}: it holds no *.tfrecords;")
    assert "--flagfile=configs/digits.flags" in str(error.value)
