"""Every checkpoint is scored once, none is missed, the best are kept, a kill costs nothing.

What the watcher keeps account of is tested with `StubEvaluation`, whose scores follow from the
checkpoint alone; two tests score real images.
"""

import io
import json
import os
import pathlib
import re
import shutil
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import config, errors, model
from sagan_tf.data import class_names
from sagan_tf.evaluation import (
    comparison,
    console,
    evaluate,
    features,
    rows,
    scores,
    watch,
)
from sagan_tf.runs import checkpoints, keep_requests, metric_writer
from sagan_tf.runs import directory as runs_directory
from tests import processes
from tests.evaluation.conftest import DIGITS_MODEL

# FID by the number in a stub's checkpoint.
STUB_FID = 10.0


@pytest.fixture(name="gan", scope="module")
def fixture_gan():
    return model.SAGAN(DIGITS_MODEL, config.TrainConfig(max_steps=9))


class Run:
    """A run whose checkpoints differ in a number: of a stub, or the colour of what G makes."""

    def __init__(self, directory, gan=None, max_steps=9):
        self.directory = directory
        self.run_dir = config.run_directory(str(directory), 64)
        self.eval_dir = config.run_directory(str(directory / "eval"), 64)
        runs_directory.write_config(
            self.run_dir, model=DIGITS_MODEL, train=config.TrainConfig(max_steps=max_steps)
        )
        if gan is None:
            self.number = tf.Variable([0.0] * 3)
            self.state = {"number": self.number}
            self.open_evaluation = StubEvaluation
        else:
            self.number = gan.generator.snconv_last.bias
            self.state = gan.state()
            self.open_evaluation = evaluate.open_evaluation
        self.saved = checkpoints.Checkpoints(self.run_dir, self.state, keep=2)

    def save(self, step, shift):
        self.number.assign([shift] * 3)
        self.saved.save(step)

    def config(self, **changes):
        return config.EvalConfig(
            **{
                "data_dir": "data/digits",
                "checkpoint_dir": str(self.directory),
                "all": True,
                "stats_dir": str(self.directory / "stats"),
                "inception": "data/digits_classifier",
                "eval_sample_size": 40,
                **changes,
            }
        )

    def score_all(self, sleep=None, **changes):
        stream = io.StringIO()
        watch.score_all(
            self.config(**changes), stream, sleep=sleep, open_evaluation=self.open_evaluation
        )
        return stream.getvalue()

    def write_rows(self, found):
        lines = [json.dumps(row) + "\n" for row in found]
        pathlib.Path(self.eval_dir, "metrics.jsonl").write_text("".join(lines))

    def fids(self):
        return {row["step"]: row["eval/fid40"] for row in processes.rows(self.eval_dir)}

    def best(self):
        content = json.loads(pathlib.Path(self.run_dir, "best/best.json").read_text())
        return {
            name.rsplit(" ", 1)[1]: [entry["step"] for entry in entries]
            for name, entries in content.items()
        }


class StubEvaluation:
    """Stands for `evaluate.Evaluation`: FID follows from the number in the checkpoint."""

    def __init__(self, eval_config, stream):
        self.config = eval_config
        self.console = console.Console(stream)
        self.model_config = DIGITS_MODEL
        self.writer = metric_writer.MetricWriter(eval_config.eval_dir, sys.maxsize)
        self._number = tf.Variable([0.0] * 3)
        self.saved = checkpoints.Checkpoints(eval_config.run_dir, {"number": self._number})

    def protocol(self):
        return {
            "name": self.config.protocol,
            "departures": self.config.departures(40),
            "seed": self.config.seed,
            "precision_k": self.config.precision_k,
            "real": {"source": "data", "images": 40, "split": "train", "fingerprint": "crc32c:0"},
            "classifier": {
                "handle": "stub",
                "sha256": "0" * 64,
                "input_size": 32,
                "resize": "legacy",
                "dtype": "float32",
            },
            "images": "stub",
            "versions": {},
        }

    def load(self, step):
        self.step = self.saved.restore(step, complete=False)

    def score(self):
        self.console.say(f"scoring step {self.step} of {self.config.run_dir} on 40 images")
        fid = STUB_FID * float(self._number[0]) ** 2 + 1
        found = scores.Scores("stub", 40, 40, 10 / fid, (10, 1.0, 0.5), fid=fid)
        record = {
            **self.protocol(),
            "checkpoint_step": self.step,
            "checkpoint_sha256": self.saved.sha256(self.step),
        }
        row = comparison.new_row([found], record, stopwatch=features.Stopwatch())
        row["run"] = runs_directory.run_id(self.config.run_dir)
        flat = {"eval/" + label: value for label, value in rows.labelled(found.each()).items()}
        self.writer.write_scalars(self.step, flat, **row)


@pytest.mark.slow
def test_all_scores_each_once_and_keeps_the_best(tmp_path, gan):
    run = Run(tmp_path, gan)
    request = keep_requests.KeepRequest(run.run_dir, "test")
    for step, shift in ((0, 3.0), (2, 0.0), (4, -3.0), (6, 0.5)):
        run.save(step, shift)
    printed = run.score_all(keep_best=2)
    request.withdraw()
    fids = run.fids()
    assert sorted(fids) == [0, 2, 4, 6]
    ranked = sorted(fids, key=fids.get)
    assert run.best() == {"fid": ranked[:2]}
    assert f"4 checkpoints scored; best by fid: {ranked[0]}, {ranked[1]}" in printed
    kept = checkpoints.Checkpoints(f"{run.run_dir}/best", run.state)
    assert kept.steps == sorted(ranked[:2])
    assert kept.restore(ranked[0]) == ranked[0]
    assert runs_directory.read_config(f"{run.run_dir}/best", "model", kind=config.ModelConfig) == (
        DIGITS_MODEL
    )
    with Image.open(f"{run.eval_dir}/curves.png") as curves:
        assert curves.size == (1100, 450)
    assert "scoring" not in run.score_all(keep_best=2)
    assert len(processes.rows(run.eval_dir)) == 4


@pytest.mark.slow
def test_best_by_is_is_the_highest_and_the_links_outlive_the_run(tmp_path):
    run = Run(tmp_path)
    for step, shift in ((0, 3.0), (2, 0.0)):
        run.save(step, shift)
    run.score_all(best_by="is", keep_best=1)
    scores = {row["step"]: row["eval/incscore40"] for row in processes.rows(run.eval_dir)}
    best = max(scores, key=scores.get)
    assert run.best() == {"is": [best]}
    for step in (4, 6):
        run.save(step, 1.0)  # Training drops 0 and 2.
    assert run.saved.steps == [4, 6]
    before = run.number.numpy()
    checkpoints.Checkpoints(f"{run.run_dir}/best", run.state).restore()
    assert not np.allclose(run.number, before)


def test_best_checkpoints_keep_the_names_of_the_classes(tmp_path):
    run = Run(tmp_path)
    names = [f"n{label}" for label in range(10)]
    class_names.write(run.run_dir, names, titles=None)
    run.save(2, 0.5)
    run.score_all(keep_best=1)
    assert class_names.read(f"{run.run_dir}/best", 10).find("n7") == [7]


@pytest.mark.slow
def test_lists_of_two_protocols_and_scores_leave_each_others_best(tmp_path):
    run = Run(tmp_path)
    for step, shift in ((0, 3.0), (2, 0.0)):
        run.save(step, shift)
    run.score_all(keep_best=1)
    (first,) = run.best()["fid"]
    (other,) = {0, 2} - {first}
    second = {"keep_best": 1, "precision_k": 4, "best_by": "is"}
    run.score_all(**second)
    found = processes.rows(run.eval_dir)
    for row in found[2:]:  # By the second protocol the other one is to be the better one.
        row["scores"]["incscore"]["value"] = 9.0 if row["step"] == other else 1.0
    run.write_rows(found)
    assert "scoring" not in run.score_all(**second)
    assert run.best() == {"fid": [first], "is": [other]}
    assert checkpoints.Checkpoints(f"{run.run_dir}/best", {}).steps == [0, 2]
    run.score_all(keep_best=1)
    assert checkpoints.Checkpoints(f"{run.run_dir}/best", {}).steps == [0, 2]


@pytest.mark.slow
def test_checkpoint_of_the_same_step_but_of_another_run_is_scored(tmp_path):
    run = Run(tmp_path)
    run.save(2, 0.0)
    run.score_all()
    first = run.fids()[2]
    run.save(2, 3.0)
    run.score_all()
    assert len(processes.rows(run.eval_dir)) == 2
    assert not np.isclose(run.fids()[2], first, rtol=1e-3)
    kept = checkpoints.Checkpoints(f"{run.run_dir}/best", {})
    assert kept.sha256(2) == run.saved.sha256(2)  # The new one, as its score.


@pytest.mark.slow
def test_rows_of_an_earlier_run_in_the_same_place_hide_no_checkpoint(tmp_path):
    run = Run(tmp_path)
    run.save(40, 0.0)
    run.score_all()
    shutil.rmtree(run.run_dir)
    run = Run(tmp_path)
    turns = iter([[(step, 0.1 * step) for step in (1, 3, 5, 9)]])

    def sleep(_):
        for step, shift in next(turns):
            run.save(step, shift)

    printed = run.score_all(sleep, watch=True, all=False)
    assert sorted(run.fids()) == [1, 3, 5, 9, 40]
    assert "4 checkpoints scored" in printed
    assert 40 not in run.best()["fid"]


@pytest.mark.slow
def test_damaged_checkpoint_and_one_of_no_numbers_are_named_and_the_others_scored(tmp_path, gan):
    run = Run(tmp_path, gan)
    request = keep_requests.KeepRequest(run.run_dir, "test")
    run.save(0, 3.0)
    run.save(2, np.nan)
    run.save(4, 0.0)
    request.withdraw()
    path = pathlib.Path(run.run_dir, "ckpt-0.data-00000-of-00001")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(errors.UserError, match="ckpt-0: the checkpoint cannot be read") as error:
        run.score_all()
    assert re.search("step 2: the classifier's features .* not finite", str(error.value))
    assert list(run.fids()) == [4]


def test_all_of_no_run_is_one_line_and_writes_nothing(tmp_path):
    with pytest.raises(errors.UserError, match="imagenet_64: no run there") as error:
        watch.score_all(config.EvalConfig(checkpoint_dir=str(tmp_path), all=True))
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_other_faults_stop_the_watch_and_leave_the_request(tmp_path, gan):
    run = Run(tmp_path, gan)
    run.save(2, 0.0)
    with pytest.raises(errors.UserError, match="--use_ema: .* holds no moving average"):
        run.score_all(watch=True, all=False, use_ema=True)
    for step in (4, 6, 8):
        run.save(step, 0.0)
    assert run.saved.steps == [2, 4, 6, 8]


@pytest.mark.slow
def test_second_watch_with_the_same_flags_is_refused_and_others_are_not(tmp_path):
    run = Run(tmp_path)
    run.save(9, 0.0)
    refused = []

    def sleep(_):
        with pytest.raises(errors.UserError, match="another --watch or --all .* is at work"):
            run.score_all()
        refused.append("scoring step 2" in run.score_all(seed=1))
        run.save(9, 0.0)

    run.saved.remove(9)
    run.save(2, 0.0)
    run.score_all(sleep, watch=True, all=False)
    assert refused == [True]


def test_request_is_there_before_anything_that_takes_long(tmp_path):
    run = Run(tmp_path)
    run.save(2, 0.0)

    def stop(*_):
        raise KeyboardInterrupt

    run.open_evaluation = stop
    with pytest.raises(KeyboardInterrupt):
        run.score_all()
    for step in (4, 6, 8):
        run.save(step, 0.0)
    assert run.saved.steps == [2, 4, 6, 8]


def test_two_names_of_one_run_are_one_watch(tmp_path, monkeypatch):
    run = Run(tmp_path)
    monkeypatch.chdir(tmp_path)
    watches = []
    ways = ({}, {"run_name": "imagenet_64"}, {"run": run.run_dir}, {"run": "imagenet_64"})

    def stop(*_):
        watches.append({name for name in os.listdir(run.eval_dir) if name.endswith(".lock")})
        raise KeyboardInterrupt

    run.open_evaluation = stop
    for way in ways:
        with pytest.raises(KeyboardInterrupt):
            run.score_all(**way)
    assert len(set.union(*watches)) == 1
    assert len(watches) == len(ways)


def test_watch_waits_for_a_run_that_has_not_begun(tmp_path):
    found = []

    def sleep(_):
        run = Run(tmp_path)
        run.save(9, 0.0)
        found.append(run)

    settings = config.EvalConfig(checkpoint_dir=str(tmp_path), watch=True)
    stream = io.StringIO()
    watch.wait_for_run(settings, stream, sleep=sleep)
    assert stream.getvalue() == f"waiting for a run in {tmp_path}/imagenet_64\n"
    found[0].score_all(watch=True, all=False)
    assert list(found[0].fids()) == [9]


def test_watch_of_a_directory_with_several_runs_is_refused_and_does_not_wait(tmp_path):
    for name in ("cats", "dogs"):
        runs_directory.write_config(str(tmp_path / name), model=DIGITS_MODEL)
    stream = io.StringIO()
    with pytest.raises(errors.UserError, match=r"several runs are there; name one of .*cats, "):
        watch.wait_for_run(config.EvalConfig(run=str(tmp_path), watch=True), stream, sleep=None)
    assert not stream.getvalue()


@pytest.mark.slow
def test_watch_scores_what_comes_and_training_keeps_it_until_then(tmp_path):
    """The run saves four times while the watch is busy, and keeps two of its own accord."""
    run = Run(tmp_path)
    run.save(0, 3.0)
    turns = iter([[(2, 0.0), (4, 1.0), (6, -1.0), (7, 0.1)], [], [(9, 2.0)]])

    def sleep(_):
        for step, shift in next(turns, []):
            run.save(step, shift)

    printed = run.score_all(sleep, watch=True, all=False, keep_best=1)
    assert sorted(run.fids()) == [0, 2, 4, 6, 7, 9]
    assert printed.count("scoring step") == 6
    assert not [name for name in os.listdir(run.run_dir) if name.startswith("keep-for-")]
    run.save(10, 0.0)
    assert run.saved.steps == [9, 10]


def test_request_to_keep_is_heeded_for_a_day(tmp_path):
    run = Run(tmp_path)
    for step in (0, 2):
        run.save(step, 0.0)
    one, other = (keep_requests.KeepRequest(run.run_dir, who) for who in ("one", "other"))
    one.move(2)
    other.move(4)
    (tmp_path / "imagenet_64" / "keep-for-nobody.json").write_text("damaged")
    for step in (4, 6, 8):
        run.save(step, 0.0)
    assert run.saved.steps == [2, 4, 6, 8]
    yesterday = time.time() - 25 * 3600
    os.utime(f"{run.run_dir}/keep-for-one.json", (yesterday, yesterday))
    run.save(9, 0.0)
    assert run.saved.steps == [4, 6, 8, 9]
    one.withdraw()
    other.withdraw()
    run.save(10, 0.0)
    assert run.saved.steps == [9, 10]


OLD_PROTOCOL = {
    "name": "reference",
    "departures": {"eval_sample_size": 40},
    "seed": 0,
    "precision_k": 3,
    "real": {"source": "moved", "images": 40, "split": "train", "fingerprint": "crc32c:0"},
    "classifier": {
        "handle": "moved",
        "sha256": "0" * 64,
        "input_size": 32,
        "resize": "legacy",
        "dtype": "float32",
    },
    "images": "stub",
    "versions": {"tensorflow": "2.16.0"},
}


def test_rows_of_an_older_release_count_as_scored(tmp_path):
    """Their scores are in flat keys alone, whose order says nothing."""
    run = Run(tmp_path)
    run.save(2, 0.0)
    run.save(4, 0.0)
    old = [
        {
            "step": step,
            "eval/incscore40_10_splits": 1.5,
            "eval/incscore40_10_splits_deviation": 0.25,
            "eval/intra_fid3": 1.0,
            "eval/incscore40": inception_score,
            "eval/fid40": fid,
            "protocol": {
                **OLD_PROTOCOL,
                "checkpoint_step": step,
                "checkpoint_sha256": run.saved.sha256(step),
            },
            "citation": f"step {step}",
            "run": runs_directory.run_id(run.run_dir),
        }
        for step, fid, inception_score in ((2, 30.0, 2.0), (4, 20.0, 1.0))
    ]
    os.makedirs(run.eval_dir)
    run.write_rows(old)
    printed = run.score_all(keep_best=1)
    assert "scoring" not in printed
    assert "2 checkpoints scored; best by fid: 4" in printed
    run.score_all(keep_best=1, best_by="is")
    assert run.best() == {"fid": [4], "is": [2]}
    content = json.loads(pathlib.Path(run.run_dir, "best/best.json").read_text())
    entries = {entry["step"]: entry for entries in content.values() for entry in entries}
    assert (entries[4]["fid"], entries[4]["inception_score"]) == (20.0, 1.0)
    assert (entries[2]["fid"], entries[2]["inception_score"]) == (30.0, 2.0)
