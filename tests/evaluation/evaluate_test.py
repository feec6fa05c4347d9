import io
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator

from sagan_tf import config, errors, model
from sagan_tf.evaluation import evaluate as evaluation_evaluate
from sagan_tf.evaluation import inception
from sagan_tf.runs import checkpoints, metric_writer
from sagan_tf.runs import directory as runs_directory
from tests import processes
from tests.evaluation.conftest import DIGITS_MODEL, make_run


def evaluate(eval_config):
    stream = io.StringIO()
    return evaluation_evaluate.evaluate(eval_config, stream), stream.getvalue()


@pytest.mark.slow
def test_scores_are_printed_and_recorded_with_their_protocol(run, first):
    scores, printed, row = first
    names = [score.name for score in scores]
    assert names == ["step 5", "real images", "real, held out", "untrained"]
    assert 1 <= scores[0].inception_score < scores[1].inception_score <= 10
    assert scores[0].fid > 0
    assert scores[1].fid is None
    assert f"{scores[0].inception_score:.4f}" in printed
    assert printed.splitlines()[-1].startswith(f"samples: {run}/eval/imagenet_64/samples-")
    assert row["eval/incscore120"] == pytest.approx(scores[0].inception_score)
    assert row["eval/fid120"] == pytest.approx(scores[0].fid)
    assert row[f"eval/intra_fid{scores[0].intra_counts[2]}"] == pytest.approx(
        np.mean(list(scores[0].intra_fids.values()))
    )
    assert {
        "eval/kid120",
        "eval/precision120",
        "eval/recall120",
        "eval/density120",
        "eval/coverage120",
        "eval/incscore120_10_splits",
    } <= set(row)
    assert row["version"] == 2
    assert row["scores"]["fid"] == {"value": pytest.approx(scores[0].fid), "images": 120}
    assert row["scores"]["incscore_splits"]["splits"] == 10
    assert row["scores"]["intra_fid"]["images"] == scores[0].intra_counts[2]
    assert row["comparison"]["untrained"]["fid120"] == pytest.approx(scores[3].fid)
    held_out = row["comparison"]["real, held out"]
    assert held_out["fid60"] == pytest.approx(scores[2].fid)
    assert 0 < scores[2].fid < scores[0].fid
    assert "60 against 60" in printed
    # TensorBoard has the scores where it is started on the run's directory, too.
    beside_training = event_accumulator.EventAccumulator(str(run / "imagenet_64/eval")).Reload()
    assert {"eval/fid120", "eval/incscore120"} <= set(beside_training.Tags()["tensors"])
    events = event_accumulator.EventAccumulator(str(run / "eval/imagenet_64")).Reload()
    assert {"eval/fid120", "eval/incscore120", "eval_vis/generated_images_grid"} <= set(
        events.Tags()["tensors"]
    )


@pytest.mark.slow
def test_record_says_what_the_numbers_depend_on(run, first):
    protocol = first[2]["protocol"]
    assert protocol["name"] == "reference"
    assert protocol["departures"] == {"eval_sample_size": 120}
    assert protocol["checkpoint_step"] == 5
    assert protocol["checkpoint_sha256"] == checkpoints.Checkpoints(
        str(run / "imagenet_64"), {}
    ).sha256(5)
    assert protocol["real"] == {
        "source": "data/digits",
        "images": 120,
        "split": "train",
        "fingerprint": protocol["real"]["fingerprint"],
    }
    assert protocol["real"]["fingerprint"].startswith("crc32c:")
    assert protocol["classifier"] == {
        "handle": "data/digits_classifier",
        "input_size": 32,
        "resize": "legacy",
        "dtype": "float32",
        "sha256": inception.load("data/digits_classifier").sha256,
    }
    assert (protocol["batch_norm"], protocol["ema"], protocol["seed"], protocol["is_splits"]) == (
        "moving statistics",
        False,
        0,
        1,
    )
    assert set(protocol["versions"]) == {
        "sagan_tf",
        "python",
        "tensorflow",
        "numpy",
        "tensorflow-gan",
    }
    assert set(first[2]["seconds_per_1000_images"]) == {
        "read",
        "classify",
        "generate and classify",
        "statistics",
    }
    citation = first[2]["citation"]
    assert "\n" not in citation
    for part in (
        f"FID120 {first[0][0].fid:.2f}",
        "protocol reference, eval_sample_size 120",
        "against 120 train images crc32c:",
        "moving statistics, no EMA, not quantized",
    ):
        assert part in citation


@pytest.mark.slow
def test_scores_do_not_depend_on_batch_size_or_devices(settings, first):
    (second, *_), printed = evaluate(settings(dcgan_generator_batch_size=37, num_devices=2))
    assert second.inception_score == pytest.approx(first[0][0].inception_score, rel=1e-4)
    assert second.fid == pytest.approx(first[0][0].fid, rel=1e-3)
    assert second.kid == pytest.approx(first[0][0].kid, rel=1e-3)
    assert second.manifold == pytest.approx(first[0][0].manifold, abs=0.02)
    assert second.intra_fids == pytest.approx(first[0][0].intra_fids, rel=1e-3)
    assert ".npz\n" in printed  # The real images were not read again.
    assert "read" not in printed.splitlines()[-2]


@pytest.mark.slow
def test_checkpoint_step_is_the_one_scored(settings, first):
    (scores, *_), printed = evaluate(settings(checkpoint_step=0))
    assert "scoring step 0" in printed
    assert scores.name == "step 0"
    assert not np.isclose(scores.fid, first[0][0].fid, rtol=1e-3)


@pytest.mark.slow
def test_intra_images_are_generated_for_each_class(settings, first):
    (scores, *_), _ = evaluate(settings(intra_images=30))
    assert set(scores.intra_fids) == set(range(10))
    assert scores.intra_counts[2:] == (30, 30)
    assert scores.fid == pytest.approx(first[0][0].fid, rel=1e-4)
    table = pathlib.Path(settings().eval_dir, "intra_fid-00000005.csv")
    lines = table.read_text().splitlines()
    assert lines[0] == "class,name,fid"
    assert len(lines) == 11


@pytest.mark.slow
def test_truncated_evaluation_overwrites_nothing_of_another_one(tmp_path, settings, digits_gan):
    """Files and tags carry the truncation; the keys of the row do not, because the row says it."""
    run = make_run(tmp_path, digits_gan)
    plain = settings(checkpoint_dir=str(run))
    truncated = settings(checkpoint_dir=str(run), truncation=0.7, standing_batches=0)
    evaluate(plain)
    folder = run / "eval/imagenet_64"
    names = ("samples-00000005{}.png", "intra_fid-00000005{}.csv")
    before = [(folder / name.format("")).read_bytes() for name in names]
    _, printed = evaluate(truncated)
    assert [(folder / name.format("")).read_bytes() for name in names] == before
    for name, content in zip(names, before):
        assert (folder / name.format("-truncation-0.7")).read_bytes() != content
    assert printed.splitlines()[-1] == f"samples: {folder}/samples-00000005-truncation-0.7.png"
    rows = processes.rows(folder)
    assert [row["protocol"]["departures"].get("truncation") for row in rows] == [None, 0.7]
    assert "eval/fid120" in rows[1]

    # TensorBoard, also beside the training.
    for place in (folder, run / "imagenet_64/eval"):
        events = event_accumulator.EventAccumulator(str(place)).Reload()
        for tag, row in zip(("eval/fid120", "eval/fid120-truncation-0.7"), rows):
            (event,) = events.Tensors(tag)
            value = float(tf.make_ndarray(event.tensor_proto))
            assert value == pytest.approx(row["eval/fid120"], rel=1e-6)


@pytest.mark.slow
def test_average_is_scored_if_asked_for(tmp_path, settings, digits_gan):
    """The average of one run is the generator of another: the same scores."""
    gan = digits_gan
    gan.generator.snconv_last.bias.assign([0.5, -0.5, 0.0])
    other = model.SAGAN(DIGITS_MODEL)
    for v, average in zip(other.generator.weights, gan.averaged.weights):
        v.assign(average)
    for name, one in (("with", gan), ("other", other)):
        run_dir = config.run_directory(str(tmp_path / name), 64)
        runs_directory.write_config(run_dir, model=DIGITS_MODEL)
        checkpoints.Checkpoints(run_dir, one.state()).save(7)
    (average, *_), said = evaluate(settings(checkpoint_dir=str(tmp_path / "with"), use_ema=True))
    assert said.count("--use_ema: the average's moving statistics lag behind it;") == 1
    (expected, *_), said_of_other = evaluate(settings(checkpoint_dir=str(tmp_path / "other")))
    (itself, *_), _ = evaluate(settings(checkpoint_dir=str(tmp_path / "with")))
    assert "--use_ema" not in said_of_other
    assert average.fid == expected.fid
    assert average.inception_score == expected.inception_score
    assert not np.isclose(average.fid, itself.fid, rtol=1e-3)
    assert [
        row["protocol"]["ema"] for row in processes.rows(tmp_path / "with/eval/imagenet_64")
    ] == [True, False]


@pytest.mark.slow
def test_damaged_latest_checkpoint_is_passed_over(tmp_path, settings, digits_gan):
    path = make_run(tmp_path, digits_gan) / "imagenet_64" / "ckpt-5.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:100])
    (first, *_), printed = evaluate(settings(checkpoint_dir=str(tmp_path)))
    assert first.name == "step 0"
    assert "ckpt-5: the checkpoint cannot be read" in printed


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"use_ema": True}, "--use_ema: .*ckpt-5 holds no moving average; train with --ema_decay"),
        (
            {"checkpoint_step": 3},
            r"--checkpoint_step=3: .* no checkpoint of that step, but of 0, 5",
        ),
        ({"checkpoint_dir": "absent"}, "absent/imagenet_64: no run there"),
        ({"gf_dim": 64}, "--gf_dim=64: the run in .* was trained with 8"),
        ({"generator_type": "test"}, "--generator_type=test: the run in .* with baseline"),
        ({"num_classes": 1000}, "--num_classes=1000: .* was trained with 10"),
        ({"eval_sample_size": 2000}, "--eval_sample_size=2000: data/digits holds 1797 images"),
        ({"real_sample_size": 1798}, "--real_sample_size=1798: data/digits holds 1797 images"),
        ({"data_dir": "absent"}, "--data_dir=absent: no such directory"),
        ({"inception": "absent"}, "--inception=absent: expected a TF-Hub handle"),
        ({"inception_sha256": "0" * 64}, "--inception=data/digits_classifier: its SHA-256 is"),
        ({"real_stats": "absent.npz"}, "--real_stats=absent.npz: expected an .npz with mu"),
        (
            {"density_k": 120},
            "--density_k=120: expected fewer neighbours than the 120 images of a s",
        ),
        ({"eval_sample_size": 4}, "--density_k=5: expected fewer neighbours than the 4 images"),
        (
            {"real_split": "validation", "validation_dir": "absent"},
            "--validation_dir=absent: no such",
        ),
        ({"num_devices": 2, "strategy": "one_device"}, "--num_devices=2: expected 0 or 1"),
    ],
)
def test_bad_input_is_one_line(settings, changes, message):
    with pytest.raises(errors.UserError, match=message) as error:
        evaluate(settings(**changes))
    assert "\n" not in str(error.value)


def test_run_without_checkpoint_is_refused(tmp_path, settings):
    runs_directory.write_config(config.run_directory(str(tmp_path), 64), model=DIGITS_MODEL)
    with pytest.raises(errors.UserError, match="holds no checkpoint to score; train first"):
        evaluate(settings(checkpoint_dir=str(tmp_path)))


def test_scores_from_before_the_copy_come_to_the_runs_tensorboard(tmp_path):
    """Those of this run, under the evaluation's tags; the evaluation's rows stay."""
    # Score three times, once of another run.
    record = {"name": "reference", "departures": {}, "real": {}, "classifier": {}}
    record["checkpoint_sha256"] = "ab"
    writer = metric_writer.MetricWriter(str(tmp_path / "eval"))
    for step, run, sampling in ((1, "a", {}), (2, "a", {"truncation": 0.7}), (3, "b", {})):
        written = {**record, "sampling": sampling} if sampling else record
        scores = {"fid": {"value": 10.0 + step, "images": 5000}}
        writer.write_scalars(step, {}, version=2, run=run, protocol=written, scores=scores)
    before = (tmp_path / "eval/metrics.jsonl").read_bytes()

    # Open the evaluation again, with a copy; and once more.
    for _ in range(2):
        copied = metric_writer.MetricWriter(
            str(tmp_path / "eval"), copy_dir=str(tmp_path / "run/eval")
        )
        evaluation_evaluate.copy_earlier_scores(copied, "a")
    assert (tmp_path / "eval/metrics.jsonl").read_bytes() == before
    events = event_accumulator.EventAccumulator(str(tmp_path / "run/eval")).Reload()
    found = {
        tag: [
            (event.step, float(tf.make_ndarray(event.tensor_proto)))
            for event in events.Tensors(tag)
        ]
        for tag in events.Tags()["tensors"]
    }
    assert found == {"eval/fid5k": [(1, 11.0)], "eval/fid5k-truncation-0.7": [(2, 12.0)]}
