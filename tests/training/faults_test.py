"""What can happen to a run in two weeks: real processes, real files, real disks."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from tests import processes
from tests.conftest import ROOT
from tests.testing import NO_DISK, make_data, random_images, small_disk, write_records

FLAGS = (*processes.PLAIN, "--steps_per_loop=1", "--max_steps=100000")


@pytest.fixture(name="data", scope="module")
def fixture_data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("records"), count=64)


def flags(tmp_path, data, *more):
    return [*FLAGS, f"--data_dir={data}", f"--checkpoint_dir={tmp_path}", *more]


def last_checkpoint(tmp_path) -> int:
    path = tf.train.latest_checkpoint(str(tmp_path / "imagenet_2"))
    return int(path.rsplit("-", 1)[1])


def finishes(tmp_path, data, *more):
    """The same command, for a few steps more, ends well; returns its output."""
    step = last_checkpoint(tmp_path) + 2
    code, out, err = processes.run(
        "train_imagenet.py", *flags(tmp_path, data, *more, f"--max_steps={step}")
    )
    assert code == 0, err
    assert out.rstrip().endswith(f"done: step {step}, {tmp_path}/imagenet_2")
    return out


@pytest.fixture(name="disk", scope="module")
def fixture_disk(tmp_path_factory):
    """A disk of 256 kB, or None."""
    with small_disk(tmp_path_factory.mktemp("mounted") / "disk", "256k") as disk:
        yield disk


# Kills the run when the first file of the checkpoint of step 3 appears.
KILL_INSIDE_SAVE = """
import os, runpy, signal, sys, threading
sys.path.insert(0, {root!r})
def watch():
    while True:
        try:
            if any("ckpt-3" in name for name in os.listdir({run!r})):
                os.kill(os.getpid(), signal.SIGKILL)
        except FileNotFoundError:
            pass
import tensorflow as tf
write = tf.train.Checkpoint.write
def slow_write(self, path, *args):
    if path.endswith("ckpt-3"):
        threading.Thread(target=watch, daemon=True).start()
    result = write(self, path, *args)
    import time; time.sleep(1)
    return result
tf.train.Checkpoint.write = slow_write
sys.argv[0] = {script!r}
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.fixture(name="killed", scope="module")
def fixture_killed(tmp_path_factory):
    """Directory of a run that was killed while it saved step 3, and of its data."""
    path = tmp_path_factory.mktemp("killed")
    data = make_data(path / "data", count=64)
    program = path / "program.py"
    program.write_text(
        KILL_INSIDE_SAVE.format(
            root=str(ROOT), run=str(path / "imagenet_2"), script=str(ROOT / "train_imagenet.py")
        )
    )
    process = subprocess.run(
        [sys.executable, str(program), *flags(path, data, "--save_checkpoint_secs=0")],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert files_of_step_3(path)
    assert last_checkpoint(path) == 2
    return path


def files_of_step_3(path):
    return sorted(name for name in os.listdir(path / "imagenet_2") if "ckpt-3" in name)


def change_at_step(number, path, change):
    """The killed run's command again, while the data change at that step: what it printed, and the
    line that it ended with."""
    process = processes.start(
        "train_imagenet.py", *flags(path, path / "data", "--save_checkpoint_secs=1")
    )
    lines = [process.stdout.readline()]
    while lines[-1] and not lines[-1].startswith(f"step {number}/"):
        lines.append(process.stdout.readline())
    change()
    out, err = process.communicate(timeout=100)
    return "".join(lines) + out, processes.error_line((process.returncode, out, err))


@pytest.fixture(name="replaced", scope="module")
def fixture_replaced(killed):
    """The killed run goes on, and a file of its data is replaced: (what it printed, its last line,
    files of step 3 then, the file, its first content)."""
    path = killed / "data" / "part-1.tfrecords"
    original = path.read_bytes()

    def replace():
        """By other records of the same sizes, as a copy does it."""
        write_records(killed / "other", random_images(32, seed=9), [0] * 32)
        assert (killed / "other").stat().st_size == path.stat().st_size
        (killed / "other").rename(path)

    out, line = change_at_step(20, killed, replace)
    return out, line, files_of_step_3(killed), path, original


def test_kill_inside_a_save_leaves_a_checkpoint_whole_or_invisible(replaced):
    out, _, left, *_ = replaced
    assert "continuing from step 2\n" in out
    assert "passed over" not in out
    assert left in ([], ["ckpt-3.data-00000-of-00001", "ckpt-3.index"])


def test_data_that_changes_under_the_run_is_named_and_put_back(killed, replaced):
    _, line, _, path, original = replaced
    assert f"{path}: it has changed since the run began (" in line
    step = last_checkpoint(killed)
    assert step >= 3
    path.write_bytes(original)

    out, line = change_at_step(step + 20, killed, path.unlink)
    assert f"continuing from step {step}\n" in out
    assert f"{path}: it was there when the run began, and is gone; put it back" in line
    assert last_checkpoint(killed) > step


# The clock of the whole process jumps by years, forwards and back.
JUMPING_CLOCK = """
import itertools, time
real, jumps = time.time, itertools.cycle([0, 3e8, -3e8, 86400, -7200])
time.time = lambda: real() + next(jumps)
"""


@pytest.fixture(name="outlived", scope="module")
def fixture_outlived(tmp_path_factory, data, disk):
    """A run with a jumping clock and a full disk for TensorBoard; another command in its directory
    at its twentieth step; space again; SIGTERM; the same command on two devices."""
    path = tmp_path_factory.mktemp("outlived")
    (path / "sitecustomize.py").write_text(JUMPING_CLOCK)
    if disk:
        (disk / "filler").write_bytes(b"x" * 200_000)
    given = flags(path, data, f"--summary_dir={disk or path}", "--num_towers=2")
    process = processes.start(
        "train_imagenet.py",
        *given,
        "--save_checkpoint_secs=2",
        "--sample_every=5",
        env=processes.environment(PYTHONPATH=f"{path}:{ROOT}"),
    )
    found = {"path": path}
    try:
        if disk:
            found["full"] = processes.wait_for(process, f"{disk}: cannot be written to")
        processes.wait_for(process, "step 20/")
        found["another"] = processes.run("train_imagenet.py", *given)
        if disk:
            (disk / "filler").unlink()
            found["space"] = processes.wait_for(process, f"{disk}: can be written to again")
        found["step"] = int(processes.wait_for(process, "step ").split()[1].split("/")[0])
        process.send_signal(signal.SIGTERM)
        _, found["err"] = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    found["code"], found["saved"] = process.returncode, last_checkpoint(path)
    found["rows"] = processes.rows(path / "imagenet_2")
    found["out"] = finishes(path, data, "--num_towers=2", "--num_devices=2")
    return found


def test_run_outlives_a_full_tensorboard_disk(outlived):
    if "full" not in outlived:
        pytest.skip(NO_DISK)
    assert "training goes on without what would be written there" in outlived["full"]
    assert outlived["space"]


def test_run_outlives_clock_jumps(outlived):
    times = [row["time"] for row in outlived["rows"]]
    assert max(times) - min(times) > 1e8  # the clock did jump
    assert [row["step"] for row in outlived["rows"]] == list(range(1, outlived["saved"] + 1))


def test_run_keeps_others_out(outlived):
    line = processes.error_line(outlived["another"])
    assert "imagenet_2: another run is at work there; wait for its end" in line


def test_sigterm_saves_and_the_same_command_continues_on_two_devices(outlived):
    assert outlived["code"] == 128 + signal.SIGTERM, outlived["err"]
    saved = outlived["saved"]
    assert saved >= outlived["step"]
    assert (
        outlived["err"]
        .rstrip()
        .endswith(f"SIGTERM: saved step {saved}; the same command continues")
    )
    # The lock died with the run.
    assert f"continuing from step {saved}\n" in outlived["out"]


def test_signal_before_the_first_step_ends_at_once(tmp_path, data):
    process = processes.start("train_imagenet.py", *flags(tmp_path, data))
    processes.wait_for(process, f"{tmp_path}/imagenet_2: starting")
    time.sleep(3)  # it is tracing now
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.rstrip().endswith("SIGTERM: nothing was under way yet; the same command continues")


def test_rollbacks_are_counted_and_end(tmp_path, data):
    result = processes.run(
        "train_imagenet.py",
        *flags(
            tmp_path,
            data,
            "--generator_learning_rate=1e30",
            "--on_nonfinite=rollback",
            "--max_rollbacks=1",
        ),
    )
    line = processes.error_line(result)
    assert re.search(
        r"step \d+: (logit_fake|g_loss) is not finite; .* its checkpoints of steps "
        r"\[0\]; --max_rollbacks",
        line,
    )
    assert line.endswith("; --max_rollbacks=1 are used up")
    notes = [line for line in result[1].splitlines() if "with other random numbers" in line]
    assert len(notes) == 1
    assert "; rollback 1 of at most 1: continuing from step 0 " in notes[0]
    assert last_checkpoint(tmp_path) == 0
