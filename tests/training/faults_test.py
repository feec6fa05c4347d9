"""What can happen to a run in two weeks: real processes, real files, real disks.

One run meets one fault after another. What its data can do to it is in loop_test.
"""

import os
import signal

import pytest

from sagan_tf import config
from sagan_tf.training import steps as training_steps
from tests import processes
from tests.conftest import ROOT
from tests.testing import NO_DISK, PLAIN_MODEL, make_data, small_disk
from tests.training import small_runs

pytestmark = [pytest.mark.process, pytest.mark.slow]
SCRIPT = str(ROOT / "train_imagenet.py")
FLAGS = (*processes.PLAIN, "--steps_per_loop=1", "--max_steps=100000", "--num_towers=2")


@pytest.fixture(name="data", scope="module")
def fixture_data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("records"), count=64)


@pytest.fixture(name="disk", scope="module")
def fixture_disk(tmp_path_factory):
    """A disk of 256 kB, or None."""
    with small_disk(tmp_path_factory.mktemp("mounted") / "disk", "256k") as disk:
        yield disk


# The command, in a process whose clock jumps by years, forwards and back.
JUMPING_CLOCK = """
import itertools, runpy, sys, time
real, jumps = time.time, itertools.cycle([0, 3e8, -3e8, 86400, -7200])
time.time = lambda: real() + next(jumps)
sys.argv[0] = {script!r}
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.fixture(name="outlived", scope="module")
def fixture_outlived(tmp_path_factory, data, disk):
    """A run with a jumping clock and a full disk for TensorBoard.

    After a few steps it stands still while another command comes into its directory; then there is
    space again; then it gets SIGTERM.
    """
    path = tmp_path_factory.mktemp("outlived")
    program = path / "jumping_clock.py"
    program.write_text(JUMPING_CLOCK.format(script=SCRIPT))
    if disk:
        (disk / "filler").write_bytes(b"x" * 200_000)
    flags = [
        *FLAGS,
        f"--data_dir={data}",
        f"--checkpoint_dir={path}",
        f"--summary_dir={disk or path}",
    ]
    process = processes.start(program, *flags, "--save_checkpoint_secs=2", "--sample_every=5")
    found = {"path": path, "flags": flags}
    try:
        if disk:
            found["full"] = processes.wait_for(process, f"{disk}: cannot be written to")
        processes.wait_for(process, "step 8/")
        process.send_signal(signal.SIGSTOP)  # It would take the other's time.
        found["another"] = processes.run("train_imagenet.py", *flags)
        process.send_signal(signal.SIGCONT)
        if disk:
            (disk / "filler").unlink()
            found["space"] = processes.wait_for(process, f"{disk}: can be written to again")
        found["step"] = int(processes.wait_for(process, "step ").split()[1].split("/")[0])
        process.send_signal(signal.SIGTERM)
        _, found["err"] = process.communicate(timeout=300)
    finally:
        process.kill()
        process.communicate()
    found["code"] = process.returncode
    found["saved"] = small_runs.newest_checkpoint(path / "imagenet_2")
    found["rows"] = processes.rows(path / "imagenet_2")
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


# Kills the run when the first file of the checkpoint of a step appears.
KILL_INSIDE_SAVE = """
import os, runpy, signal, sys, threading
def watch():
    while True:
        try:
            if any("ckpt-{step}" in name for name in os.listdir({run!r})):
                os.kill(os.getpid(), signal.SIGKILL)
        except FileNotFoundError:
            pass
import tensorflow as tf
write = tf.train.Checkpoint.write
def slow_write(self, path, *args):
    if path.endswith("ckpt-{step}"):
        threading.Thread(target=watch, daemon=True).start()
    result = write(self, path, *args)
    import time; time.sleep(1)
    return result
tf.train.Checkpoint.write = slow_write
sys.argv[0] = {script!r}
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.fixture(name="killed", scope="module")
def fixture_killed(outlived):
    """The same command goes on, on two devices, and is killed while it saves its second step.

    Returns: that step, what was printed, and names of the files of that step.
    """
    path = outlived["path"]
    run_dir = path / "imagenet_2"
    step = outlived["saved"] + 2
    program = path / "program.py"
    program.write_text(
        KILL_INSIDE_SAVE.format(run=str(run_dir), step=step, script=SCRIPT), encoding="utf-8"
    )
    flags = [*outlived["flags"], "--num_devices=2", "--save_checkpoint_secs=0"]
    code, out, err = processes.run(program, *flags)
    assert code == -signal.SIGKILL, err
    return step, out, files_of_step(run_dir, step)


def files_of_step(run_dir, step: int) -> list[str]:
    return sorted(name for name in os.listdir(run_dir) if f"ckpt-{step}" in name)


def test_sigterm_saves_and_the_same_command_continues_on_two_devices(outlived, killed):
    assert outlived["code"] == 128 + signal.SIGTERM, outlived["err"]
    saved = outlived["saved"]
    assert saved >= outlived["step"]
    last_line = f"SIGTERM: saved step {saved}; the same command continues"
    assert outlived["err"].rstrip().endswith(last_line)
    # The lock died with the run.
    _, out, _ = killed
    assert f"continuing from step {saved}\n" in out
    assert f"step {saved + 1}/" in out


def test_kill_inside_a_save_leaves_a_checkpoint_whole_or_invisible(
    outlived, killed, data, monkeypatch
):
    """The run goes on from the checkpoint before, without a word about the broken one."""
    path = outlived["path"]
    step, _, left = killed
    assert left
    assert small_runs.newest_checkpoint(path / "imagenet_2") == step - 1

    monkeypatch.setattr(training_steps, "make_iteration", small_runs.small_iteration)
    train_config = config.TrainConfig(
        checkpoint_dir=str(path),
        batch_size=2,
        num_towers=2,
        num_devices=2,
        ema_decay=0.9,
        sample_every=0,
        max_steps=step,
    )
    out = small_runs.train(config.DataConfig(data_dir=data), train_config, PLAIN_MODEL)
    assert f"continuing from step {step - 1}\n" in out
    assert "; skipped" not in out
    assert out.rstrip().endswith(f"done: step {step}, {path}/imagenet_2")
    assert files_of_step(path / "imagenet_2", step) == [
        f"ckpt-{step}.data-00000-of-00001",
        f"ckpt-{step}.index",
    ]
