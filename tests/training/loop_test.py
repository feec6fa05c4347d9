import dataclasses
import io
import itertools
import os
import pathlib
import re
import signal
import threading
import time

import numpy as np
import pytest

from sagan_tf import config, errors
from sagan_tf.data import order
from sagan_tf.runs import checkpoints, history
from sagan_tf.training import loop
from sagan_tf.training import steps as training_steps
from tests.testing import (
    NO_DISK,
    PLAIN_MODEL,
    make_data,
    random_images,
    small_disk,
    write_records,
)
from tests.training import small_runs
from tests.training.small_runs import METRICS, settings, stored, train


@pytest.fixture(name="data")
def fixture_data(tmp_path):
    return config.DataConfig(data_dir=make_data(tmp_path / "data"), shuffle_buffer_size=100)


def test_loop_stops_at_everything_that_is_to_be_written():
    train_config = config.TrainConfig(save_summaries_steps=200, sample_every=300, max_steps=1000)

    def count(step, seconds_per_step):
        return loop.steps_before_next_look(train_config, step, seconds_per_step=seconds_per_step)

    assert count(0, None) == 1  # nothing is known of the speed
    assert count(0, 0.1) == 20  # two seconds
    assert count(0, 0.001) == 100  # at most
    assert count(195, 0.001) == 5  # a row of losses
    assert count(290, 0.001) == 10  # samples
    assert count(999, 0.001) == 1  # the end
    assert count(0, 60.0) == 1


@pytest.mark.slow
def test_weights_that_are_not_finite_are_not_saved(tmp_path, data, monkeypatch):
    def spoils_a_weight(gan):
        def steps(_, count):
            gan.step.assign_add(int(count))
            if gan.step == 2:
                gan.discriminator.sn_linear.bias.assign([np.nan])
            return METRICS, -1

        return steps

    monkeypatch.setattr(training_steps, "make_train_steps", small_runs.stand_in(spoils_a_weight))
    train_config = settings(tmp_path, steps_per_loop=1, save_checkpoint_secs=0, sample_every=0)
    with pytest.raises(
        errors.UserError,
        match=(r"step 2: discriminator/d_sn_linear/bias is not finite; .* of steps \[0, 1\]"),
    ):
        train(data, train_config)
    assert checkpoints.Checkpoints(train_config.run_dir, {}).steps == [0, 1]


@pytest.mark.slow
def test_losses_that_are_not_finite_stop_the_run(tmp_path, data, monkeypatch):
    """Losses that are so by themselves come below."""
    monkeypatch.setattr(training_steps, "make_train_steps", small_runs.steps_that_fail_at(3))
    train_config = settings(tmp_path, max_steps=20)
    with pytest.raises(
        errors.UserError,
        match=(r"step 3: d_loss is not finite; .* its checkpoints of steps \[0\]$"),
    ):
        train(data, train_config)
    assert checkpoints.Checkpoints(train_config.run_dir, {}).steps == [0]


@pytest.mark.slow
def test_rollbacks_are_counted_and_end(tmp_path, data):
    """The losses of a learning rate that is far too high."""
    train_config = settings(
        tmp_path,
        num_towers=1,
        generator_learning_rate=1e30,
        on_nonfinite="rollback",
        max_rollbacks=1,
        steps_per_loop=1,
        sample_every=0,
        max_steps=100_000,
    )
    stream = io.StringIO()
    with pytest.raises(errors.UserError) as error:
        train(data, train_config, PLAIN_MODEL, stream=stream)
    assert re.search(
        r"step \d+: (logit_fake|g_loss) is not finite; .* its checkpoints of steps "
        r"\[0\]; --max_rollbacks",
        str(error.value),
    )
    assert str(error.value).endswith("; --max_rollbacks=1 is used up")
    lines = stream.getvalue().splitlines()
    notes = [line for line in lines if "with other random numbers" in line]
    assert len(notes) == 1
    assert "; rollback 1 of at most 1: continuing from step 0 " in notes[0]
    assert small_runs.newest_checkpoint(train_config.run_dir) == 0


@pytest.mark.slow
def test_signal_saves_and_leaves(tmp_path, data, monkeypatch):
    """After the step in which it comes; faults_test has it on a real run."""

    def signalled(gan):
        def steps(_, count):
            gan.step.assign_add(int(count))
            if gan.step == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return METRICS, -1

        return steps

    monkeypatch.setattr(training_steps, "make_train_steps", small_runs.stand_in(signalled))
    train_config = settings(tmp_path, max_steps=100_000, steps_per_loop=1, sample_every=0)
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    with pytest.raises(errors.Interrupted, match="SIGTERM: saved step 5") as stop:
        train(data, train_config, stream=terminal)
    # The line about the signal, on standard error, has a line of its own.
    *_, last = terminal.getvalue().split("\r")
    assert "step 5/100000" in last
    assert last.endswith("\n")
    assert stop.value.signal == signal.SIGTERM
    assert checkpoints.Checkpoints(train_config.run_dir, {}).steps == [0, 5]
    end = history.read(train_config.run_dir)[-1]
    assert (end["event"], end["reason"], end["step"]) == ("end", "Interrupted", 5)
    assert end["text"].startswith("SIGTERM: saved step 5")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.slow
def test_reader_that_ends_saves_and_leaves(tmp_path, data, monkeypatch):
    """As `train_imagenet.py ... | head`."""

    def reader_ends():
        raise BrokenPipeError

    monkeypatch.setattr(
        training_steps, "make_train_steps", small_runs.stand_in(small_runs.quick_steps)
    )
    train_config = settings(
        tmp_path, max_steps=100, steps_per_loop=1, save_summaries_steps=1, sample_every=0
    )
    stream = small_runs.ActAtLine("step 5/", reader_ends)
    with pytest.raises(errors.Interrupted, match="SIGPIPE: saved step 5; the same") as stop:
        train(data, train_config, stream=stream)
    assert stop.value.signal == signal.SIGPIPE
    assert checkpoints.Checkpoints(train_config.run_dir, {}).steps == [0, 5]


@pytest.mark.slow
def test_signal_while_steps_are_traced_ends_the_run_at_once(tmp_path, data, monkeypatch):
    """TensorFlow wraps an Exception that is raised while it traces, but not this one."""

    def signalled(gan, seed):
        del gan, seed

        def iteration(_):
            # The thread that Python's handlers run in; a replica is traced in another one, and that
            # one waits.
            time.sleep(0.5)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
            time.sleep(5)  # Python's handler comes between two of that thread's instructions.
            raise AssertionError("the signal was not heard")

        return iteration

    monkeypatch.setattr(training_steps, "make_iteration", signalled)
    with pytest.raises(errors.Interrupted) as stop:
        train(data, settings(tmp_path), PLAIN_MODEL)
    assert stop.value.signal == signal.SIGTERM
    assert str(stop.value) == "SIGTERM: training had not begun; the same command continues"


def test_damaged_record_met_in_training_is_named(tmp_path, data):
    path = tmp_path / "data" / "part-1.tfrecords"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(errors.UserError, match=r"part-1.tfrecords: record 5 cannot be used: "):
        train(data, settings(tmp_path))


@pytest.mark.slow
def test_record_met_late_keeps_the_steps_before_it(tmp_path, monkeypatch):
    """A damaged record stops the run when its window is read, and the steps before are kept."""
    monkeypatch.setattr(training_steps, "make_iteration", small_runs.small_iteration)
    path = make_data(tmp_path / "data", count=96, shards=1)
    data = config.DataConfig(data_dir=path, shuffle_buffer_size=1)
    # Six blocks of 16 records, each shuffled for itself. The preview shows the first 64 records.
    blocks = [
        int(window.blocks[0])
        for window in itertools.islice(order.windows(np.full(6, 16), 1, seed=0, start=0), 6)
    ]
    place = max(blocks.index(4), blocks.index(5))
    steps, number = place * 16 // 4, blocks[place] * 16 + 3
    one_tower = {"batch_size": 4, "num_towers": 1, "sample_every": 0, "health_every": 0}
    whole = settings(tmp_path / "whole", max_steps=steps, **one_tower)
    train(data, whole, PLAIN_MODEL)
    file = tmp_path / "data" / "part-0.tfrecords"
    content = bytearray(file.read_bytes())
    content[len(content) // 96 * number + 50] ^= 1
    file.write_bytes(content)
    broken = settings(tmp_path / "broken", max_steps=30, **one_tower)
    with pytest.raises(errors.UserError, match=f"part-0.tfrecords: record {number} cannot be used"):
        train(data, broken, PLAIN_MODEL)
    assert checkpoints.Checkpoints(broken.run_dir, {}).steps == [0, steps]
    kept, expected = stored(broken, steps), stored(whole, steps)
    for name, value in expected.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=name)


@pytest.mark.slow
def test_data_that_change_under_the_run_are_named_and_can_be_put_back(tmp_path, monkeypatch):
    """A file is replaced by other records of the same sizes, put back, and removed."""
    monkeypatch.setattr(training_steps, "make_iteration", small_runs.small_iteration)
    path = make_data(tmp_path / "data", count=64)
    data = config.DataConfig(data_dir=path, shuffle_buffer_size=10)
    train_config = settings(
        tmp_path,
        batch_size=8,
        num_towers=1,
        sample_every=0,
        save_summaries_steps=1,
        steps_per_loop=1,
        save_checkpoint_secs=0,
        max_steps=100_000,
    )
    file = pathlib.Path(path) / "part-1.tfrecords"
    original = file.read_bytes()

    def replace():
        """As a copy does it."""
        write_records(tmp_path / "other", random_images(32, seed=9), [0] * 32)
        assert (tmp_path / "other").stat().st_size == file.stat().st_size
        (tmp_path / "other").rename(file)

    with pytest.raises(errors.UserError) as error:
        train(data, train_config, PLAIN_MODEL, stream=small_runs.ActAtLine("step 4/", replace))
    assert f"{file}: it has changed since the run began (" in str(error.value)
    step = small_runs.newest_checkpoint(train_config.run_dir)
    assert step == 3
    assert str(error.value).endswith(f"from step {step}")

    file.write_bytes(original)
    seldom = dataclasses.replace(train_config, save_checkpoint_secs=1000)
    stream = small_runs.ActAtLine(f"step {step + 2}/", file.unlink)
    with pytest.raises(errors.UserError) as error:
        train(data, seldom, PLAIN_MODEL, stream=stream)
    assert f"continuing from step {step}\n" in stream.getvalue()
    assert f"{file}: it was there when the run began, and is gone; put it back" in str(error.value)
    assert small_runs.newest_checkpoint(train_config.run_dir) > step


@pytest.mark.slow
def test_full_disk_is_one_line_and_keeps_the_last_checkpoint(tmp_path, data, monkeypatch):
    monkeypatch.setattr(training_steps, "make_iteration", small_runs.small_iteration)
    with small_disk(tmp_path / "disk", "4m") as disk:
        if not disk:
            pytest.skip(NO_DISK)
        train_config = settings(
            tmp_path,
            checkpoint_dir=str(disk),
            num_towers=1,
            ema_decay=0.9,
            sample_every=0,
            save_summaries_steps=1,
            steps_per_loop=1,
            save_checkpoint_secs=0,
            keep_checkpoints=100_000,
            max_steps=100_000,
        )
        with pytest.raises(errors.UserError) as error:
            train(data, train_config, PLAIN_MODEL)
        assert f"{disk}/imagenet_2: cannot be written to" in str(error.value)
        assert "\n" not in str(error.value)
        # The same command would go on from here; starting it once more is resume_test's.
        steps = checkpoints.Checkpoints(train_config.run_dir, {}).steps
        assert len(stored(train_config, steps[-1])) > 100
