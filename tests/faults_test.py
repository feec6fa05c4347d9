"""What can happen to a run in two weeks: real processes, real files, real disks."""

import os
import signal
import subprocess
import sys
import time

import pytest
import tensorflow as tf

from tests import processes
from tests.conftest import ROOT
from tests.testing import make_data, random_images, write_records

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
    code, out, err = processes.run("train_imagenet.py",
                                   *flags(tmp_path, data, *more, f"--max_steps={step}"))
    assert code == 0, err
    assert out.rstrip().endswith(f"done: step {step}, {tmp_path}/imagenet_2")
    return out


@pytest.fixture(name="small_disk")
def fixture_small_disk(tmp_path):
    """A disk of 256 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)],
            capture_output=True, check=False).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


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


def test_kill_inside_a_save_leaves_a_checkpoint_whole_or_invisible(tmp_path, data):
    program = tmp_path / "program.py"
    program.write_text(KILL_INSIDE_SAVE.format(
        root=str(ROOT), run=str(tmp_path / "imagenet_2"), script=str(ROOT / "train_imagenet.py")))
    process = subprocess.run(
        [sys.executable, str(program), *flags(tmp_path, data, "--save_checkpoint_secs=0")],
        capture_output=True, text=True, timeout=200, check=False)
    assert process.returncode == -signal.SIGKILL, process.stderr
    assert [name for name in os.listdir(tmp_path / "imagenet_2") if "ckpt-3" in name]
    assert last_checkpoint(tmp_path) == 2
    out = finishes(tmp_path, data)
    assert "continuing from step 2\n" in out
    assert "passed over" not in out
    left = [name for name in os.listdir(tmp_path / "imagenet_2") if "ckpt-3" in name]
    assert sorted(left) in ([], ["ckpt-3.data-00000-of-00001", "ckpt-3.index"])


# The clock of the whole process jumps by years, forwards and back.
JUMPING_CLOCK = """
import itertools, time
real, jumps = time.time, itertools.cycle([0, 3e8, -3e8, 86400, -7200])
time.time = lambda: real() + next(jumps)
"""


@pytest.fixture(name="alive")
def fixture_alive(tmp_path, data, small_disk):
    """A run with a jumping clock and a full disk for TensorBoard, at its twentieth step."""
    (tmp_path / "sitecustomize.py").write_text(JUMPING_CLOCK)
    (small_disk / "filler").write_bytes(b"x" * 200_000)
    process = processes.start(
        "train_imagenet.py", *flags(tmp_path, data, f"--summary_dir={small_disk}",
                                    "--save_checkpoint_secs=2", "--sample_every=5"),
        env=processes.environment(PYTHONPATH=f"{tmp_path}:{ROOT}"))
    line = processes.wait_for(process, f"{small_disk}: cannot be written to")
    assert "training goes on without what would be written there" in line
    processes.wait_for(process, "step 20/")
    yield process
    process.kill()
    process.communicate()


def test_run_outlives_full_tensorboard_disk_and_clock_jumps_and_keeps_others_out(
        tmp_path, data, alive):
    line = processes.error_line(processes.run("train_imagenet.py", *flags(tmp_path, data)))
    assert "imagenet_2: another run is at work there; wait for its end" in line
    (tmp_path / "disk" / "filler").unlink()
    processes.wait_for(alive, f"{tmp_path}/disk: can be written to again")
    step = int(processes.wait_for(alive, "step ").split()[1].split("/")[0])
    alive.send_signal(signal.SIGTERM)
    out, err = alive.communicate(timeout=60)
    assert alive.returncode == 128 + signal.SIGTERM, out + err
    saved = last_checkpoint(tmp_path)
    assert saved >= step
    assert err.rstrip().endswith(f"SIGTERM: saved step {saved}; the same command continues")
    times = [row["time"] for row in processes.rows(tmp_path / "imagenet_2")]
    assert max(times) - min(times) > 1e8  # the clock did jump
    assert [row["step"] for row in processes.rows(tmp_path / "imagenet_2")] == list(
        range(1, saved + 1))
    # The lock died with the run.
    assert f"continuing from step {saved}\n" in finishes(tmp_path, data)


def test_signal_before_the_first_step_ends_at_once(tmp_path, data):
    process = processes.start("train_imagenet.py", *flags(tmp_path, data))
    processes.wait_for(process, f"{tmp_path}/imagenet_2: starting")
    time.sleep(3)  # it is tracing now
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert err.rstrip().endswith("SIGTERM: nothing was under way yet; the same command continues")


def change_removed(path):
    path.unlink()


def change_replaced(path):
    """By other records of the same sizes, as a copy does it."""
    other = path.parent / "other"
    write_records(other, random_images(32, seed=9), [0] * 32)
    assert other.stat().st_size == path.stat().st_size
    other.rename(path)


@pytest.mark.parametrize(("change", "expected"), [
    (change_removed, "it was there when the run began, and is gone; put it back"),
    (change_replaced, "it has changed since the run began (")])
def test_data_that_changes_under_the_run_is_named_and_put_back(tmp_path, change, expected):
    data = tmp_path / "data"
    make_data(data, count=64)
    path = data / "part-1.tfrecords"
    original = path.read_bytes()
    process = processes.start("train_imagenet.py",
                              *flags(tmp_path, data, "--save_checkpoint_secs=1"))
    processes.wait_for(process, "step 20/")
    change(path)
    out, err = process.communicate(timeout=100)
    line = processes.error_line((process.returncode, out, err))
    assert f"{path}: {expected}" in line
    assert last_checkpoint(tmp_path) >= 1
    if change is change_replaced:
        path.write_bytes(original)
        assert "continuing from step " in finishes(tmp_path, data)


def test_rollbacks_are_counted_and_end(tmp_path, data):
    result = processes.run("train_imagenet.py", *flags(
        tmp_path, data, "--generator_learning_rate=1e30", "--on_nonfinite=rollback",
        "--max_rollbacks=1"))
    line = processes.error_line(result)
    assert "is not finite" in line
    assert line.endswith("; --max_rollbacks=1 are used up")
    notes = [line for line in result[1].splitlines() if "with other random numbers" in line]
    assert len(notes) == 1
    assert "; rollback 1 of at most 1: continuing from step 0 " in notes[0]
    assert last_checkpoint(tmp_path) == 0
