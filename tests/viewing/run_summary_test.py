"""How a run is, told from what it has left, without being in its way."""

import json

import numpy as np
import pytest

from sagan_tf import config, errors
from sagan_tf.evaluation import protocol
from sagan_tf.runs import directory
from sagan_tf.runtime import files
from sagan_tf.viewing import run_summary

START = {"event": "start", "time": 0, "step": 0, "text": "step 0"}
PROTOCOL = {
    "name": "reference",
    "departures": {},
    "checkpoint_sha256": "0",
    "real": {"source": "data"},
    "classifier": {"handle": "inception"},
}


def end(reason, text="", step=5):
    return {"event": "end", "time": 60, "step": step, "text": text, "reason": reason}


@pytest.mark.parametrize(
    ("events", "step", "locked", "name", "text"),
    [
        ([START], 5, True, "running", "step 5 of 9"),
        ([START, end("done")], 5, True, "running", "step 5 of 9"),  # again, with more steps
        ([START], 5, False, "killed", "after a start on 1970-01-01 00:00 UTC"),
        ([START, end("done"), START], 5, False, "killed", "no end was recorded"),
        ([START, {"event": "warning", "time": 9}], 5, False, "killed", "no end was recorded"),
        ([START, end("done", step=9)], 9, False, "done", "step 9, 1970-01-01 00:01 UTC"),
        ([START, end("Interrupted", "SIGTERM: saved")], 5, False, "stopped", "SIGTERM: saved"),
        ([START, end("NotFinite", "step 5: g_loss")], 5, False, "stopped", "step 5: g_loss"),
        ([], 5, True, "running", "step 5 of 9"),
        ([], 9, False, "done", "it has no history"),
        ([], 5, False, "not recorded", "the run has no history"),
    ],
)
def test_state_follows_from_history_and_lock(events, step, locked, name, text):
    state = run_summary.state_of(events, step, max_steps=9, locked=locked)
    assert state.name == name
    assert text in state.text


def test_history_is_told_with_the_ends_that_nobody_could_record():
    events = [
        START,
        {"event": "warning", "time": 30, "text": "low", "step": 1200},
        START,
        end("NotFinite", "g_loss"),
        START,
        end("Interrupted", "SIGTERM"),
        START,
        end("done", "done"),
        START,
    ]
    killed = run_summary.State(run_summary.KILLED, "")
    kinds = [event.kind for event in run_summary.describe_events(events, killed)]
    assert kinds == [
        "start",
        "warning",
        "killed",
        "start",
        "fault",
        "start",
        "end",
        "start",
        "end",
        "start",
        "killed",
    ]
    running = run_summary.State(run_summary.RUNNING, "")
    described = run_summary.describe_events(events, running)
    assert [event.kind for event in described] == kinds[:-1]
    assert described[1] == ("1970-01-01 00:00 UTC", "warning", "1,200", "low")
    assert described[4].words == "NotFinite: g_loss"


def test_lock_is_seen_and_not_taken(tmp_path):
    path = str(tmp_path / "lock")
    assert not directory.is_locked(path)
    with files.locked(path, "taken"):
        assert directory.is_locked(path)
        assert not directory.is_locked(str(tmp_path))
        with pytest.raises(errors.UserError, match="taken"), files.locked(path, "taken"):
            pass
    assert not directory.is_locked(path)
    with files.locked(path, "taken"):
        pass


def test_only_scores_of_this_run_are_its_own():
    def row(step, run="this", **more):
        return {"step": step, "run": run, "protocol": PROTOCOL, **more}

    rows = [
        row(8, fid=1),
        row(4, fid=2),
        row(4, run="other"),
        {"step": 3},
        row(8, fid=3),
        {"step": 2, "run": "this", "protocol": {"samples": 5}},
        {"step": 2, "run": "this", "protocol": {"checkpoint_sha256": "0"}},
        {**row(6), "protocol": {**PROTOCOL, "seed": 1}},
    ]
    own, others = protocol.own_scores(rows, "this")
    assert [(found["step"], found.get("fid")) for found in own] == [(4, 2), (6, None), (8, 3)]
    assert others == 4
    of_old_run = [{"step": 1, "protocol": PROTOCOL}, row(1)]
    assert protocol.own_scores(of_old_run, None) == (of_old_run[:1], 1)


def test_column_has_the_rows_that_recorded_it():
    rows = [
        {"step": 1, "a": 2.0},
        {"step": 2},
        {"step": 3, "a": None},
        {"step": 4, "a": "x"},
        {"step": 5, "a": float("nan")},
        {"step": 6, "a": 3},
    ]
    steps, values = run_summary.column(rows, "a")
    assert steps.tolist() == [1, 5, 6]
    np.testing.assert_array_equal(values, [2, np.nan, 3])
    assert run_summary.column(rows, "b")[0].shape == (0,)


def test_time_left_follows_from_the_last_rows(tmp_path):
    run_dir = tmp_path / "runs" / "imagenet_64"
    train = config.TrainConfig(max_steps=1000, batch_size=64, num_towers=4)
    directory.write_config(
        str(run_dir), model=config.ModelConfig(), data=config.DataConfig(), train=train
    )
    rates = [1.0, 500.0, 512.0, float("nan"), 512.0, 520.0]
    rows = [{"step": 100 * (i + 1), "images_per_second": rate} for i, rate in enumerate(rates)]
    (run_dir / "metrics.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 700, "g_l'
    )
    run = run_summary.read(f"{run_dir}/", now=0.0)
    assert (run.step, run.rate, run.name) == (600, 512.0, "runs/imagenet_64")
    assert run.seconds_left() == 400 * 256 / 512
    assert run.eval_dir == str(tmp_path / "runs" / "eval" / "imagenet_64")


def test_no_run_and_a_damaged_one_are_one_line(tmp_path):
    with pytest.raises(errors.UserError, match=r"^--run=.*: no run there"):
        run_summary.read(str(tmp_path))
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(errors.UserError, match="config.json: expected a run's settings") as error:
        run_summary.read(str(tmp_path))
    assert "\n" not in str(error.value)
