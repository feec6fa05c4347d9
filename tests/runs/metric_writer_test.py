import io
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from sagan_tf import errors
from sagan_tf.runs import metric_writer
from sagan_tf.training import progress as training_progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_rows_and_events_hold_what_was_written(tmp_path):
    writer = metric_writer.MetricWriter(str(tmp_path), 0)
    writer.write_scalars(200, {"d_loss": 1.5, "g_loss": -0.25}, note="x")
    writer.write_image(
        200, "generator_grid", image=np.zeros((4, 6, 3), np.uint8), filename="samples/a.png"
    )
    assert [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()] == [
        {"step": 200, "d_loss": 1.5, "g_loss": -0.25, "note": "x"}
    ]
    assert (tmp_path / "samples/a.png").read_bytes().startswith(b"\x89PNG")
    events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    assert {"d_loss", "g_loss", "generator_grid"} <= set(events.Tags()["tensors"])
    (event,) = events.Tensors("d_loss")
    assert (event.step, float(tf.make_ndarray(event.tensor_proto))) == (200, 1.5)


def test_rows_after_the_restored_step_and_torn_rows_are_dropped(tmp_path):
    rows = tmp_path / "metrics.jsonl"
    rows.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    metric_writer.MetricWriter(str(tmp_path), 2)
    assert rows.read_text() == '{"step": 1}\n{"step": 2}\n'


def test_unwritable_directory_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.UserError, match="file/run: cannot be written to") as error:
        metric_writer.MetricWriter(str(tmp_path / "file" / "run"))
    assert "\n" not in str(error.value)


def test_with_somebody_to_warn_nothing_is_an_error(tmp_path):
    """The summary directory cannot be made at first; rows are written all the same."""
    (tmp_path / "summaries").write_text("in the way")
    lines = []
    writer = metric_writer.MetricWriter(
        str(tmp_path / "run"), 0, summary_dir=str(tmp_path / "summaries"), warn=lines.append
    )
    for step in (1, 2):
        writer.write_scalars(step, {"d_loss": 1.0})
        writer.write_image(
            step, "grid", image=np.zeros((4, 6, 3), np.uint8), filename="samples/a.png"
        )
    assert len(lines) == 1
    assert lines[0].startswith(f"{tmp_path}/summaries: cannot be written to (")
    assert lines[0].endswith("; training goes on without what would be written there")
    (tmp_path / "summaries").unlink()
    writer.write_scalars(3, {"d_loss": 0.5})
    assert lines[1:] == [f"{tmp_path}/summaries: can be written to again"]
    assert [
        json.loads(line)["step"]
        for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    ] == [1, 2, 3]
    events = event_accumulator.EventAccumulator(str(tmp_path / "summaries")).Reload()
    assert [event.step for event in events.Tensors("d_loss")] == [3]


def test_worker_that_follows_prints_its_notes_only():
    stream = io.StringIO()
    progress = training_progress.Progress(10, 1, stream=stream, clock=Clock(), worker="worker 1")
    progress.start(0)
    progress.show(5, {"g_loss": 0.5}, keep=True)
    progress.note("starting")
    assert stream.getvalue() == "worker 1: starting\n"


def test_progress_line_away_from_a_terminal():
    stream, clock = io.StringIO(), Clock()
    progress = training_progress.Progress(1000, 256, stream=stream, clock=clock)
    progress.start(100)
    clock.now = 50.0
    progress.show(150, {"g_loss": 0.5}, keep=False)
    assert stream.getvalue() == ""
    clock.now = 100.0
    progress.show(200, {"g_loss": 0.5}, keep=True)
    # 100 steps of 256 images in 100 s; 800 steps are left.
    assert stream.getvalue() == "step 200/1000  g_loss 0.5000  256.0 images/s  ETA 0:13:20\n"


def test_progress_line_renews_itself_on_a_terminal():
    stream, clock = Terminal(), Clock()
    progress = training_progress.Progress(10, 1, stream=stream, clock=clock)
    progress.start(0)
    for step in (1, 2):
        clock.now += 1.0
        progress.show(step, {}, keep=False)
    progress.note("saved")
    assert stream.getvalue().count("\n") == 2
    assert stream.getvalue().count("\r") == 2
    assert stream.getvalue().endswith("\nsaved\n")


def test_eta_in_days():
    stream, clock = io.StringIO(), Clock()
    progress = training_progress.Progress(1_000_000, 256, stream=stream, clock=clock)
    progress.start(0)
    clock.now = 1.0
    progress.show(1, {}, keep=True)
    assert stream.getvalue().endswith("ETA 11d 13:46:39\n")
