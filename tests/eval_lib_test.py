import io
import json

import numpy as np
import pytest
from tensorboard.backend.event_processing import event_accumulator

from sagan_tf import checkpoints, config, eval_lib, model

DIGITS_MODEL = config.ModelConfig(image_size=32, z_dim=8, gf_dim=8, df_dim=8, number_classes=10,
                                  attention_resolution=16)


@pytest.fixture(name="run")
def fixture_run(tmp_path):
    """A run directory with checkpoints of steps 0 and 5 whose weights differ."""
    gan = model.SAGAN(DIGITS_MODEL)
    run_dir = config.run_directory(str(tmp_path), 64)
    checkpoints.write_config(run_dir, model=DIGITS_MODEL)
    saved = checkpoints.Checkpoints(run_dir, gan.state())
    saved.save(0)
    gan.generator.snconv_last.bias.assign([0.5, -0.5, 0.0])
    saved.save(5)
    return tmp_path


def settings(run, **changes):
    return config.EvalConfig(**{
        "data_dir": "data/digits", "checkpoint_dir": str(run),
        "inception": "data/digits_classifier", "eval_sample_size": 120,
        "dcgan_generator_batch_size": 50, **changes})


def evaluate(eval_config):
    stream = io.StringIO()
    return eval_lib.evaluate(eval_config, stream), stream.getvalue()


def test_scores_are_printed_and_recorded_with_their_protocol(run):
    scores, printed = evaluate(settings(run, compare_untrained=True))
    assert [score.name for score in scores] == ["step 5", "real images", "untrained"]
    assert 1 <= scores[0].inception_score < scores[1].inception_score <= 10
    assert scores[0].fid > 0
    assert scores[1].fid is None
    assert f"{scores[0].inception_score:.4f}" in printed
    assert printed.splitlines()[-1].startswith(f"samples: {run}/eval/imagenet_64/samples-")
    (row,) = [json.loads(line)
              for line in (run / "eval/imagenet_64/metrics.jsonl").read_text().splitlines()]
    assert row["eval/incscore"] == pytest.approx(scores[0].inception_score)
    assert row["eval/fid"] == pytest.approx(scores[0].fid)
    assert row["protocol"]["samples"] == 120
    assert row["protocol"]["splits"] == 1
    assert row["protocol"]["classifier"] == "data/digits_classifier"
    assert "align_corners=False" in row["protocol"]["resize"]
    events = event_accumulator.EventAccumulator(str(run / "eval/imagenet_64")).Reload()
    assert {"eval/fid", "eval/incscore", "eval_vis/generated_images_grid"} <= set(
        events.Tags()["tensors"])


def test_scores_do_not_depend_on_the_batch_size(run):
    (first, *_), _ = evaluate(settings(run))
    (second, *_), _ = evaluate(settings(run, dcgan_generator_batch_size=37))
    assert second.inception_score == pytest.approx(first.inception_score, rel=1e-4)
    assert second.fid == pytest.approx(first.fid, rel=1e-3)


def test_checkpoint_step_is_the_one_scored(run):
    (latest, *_), _ = evaluate(settings(run))
    (first, *_), printed = evaluate(settings(run, checkpoint_step=0))
    assert "scoring step 0" in printed
    assert first.name == "step 0"
    assert not np.isclose(first.fid, latest.fid, rtol=1e-3)


def test_average_is_scored_if_asked_for(tmp_path):
    """The average of one run is the generator of another: the same scores."""
    gan = model.SAGAN(DIGITS_MODEL, config.TrainConfig(ema_decay=0.9))
    gan.generator.snconv_last.bias.assign([0.5, -0.5, 0.0])
    other = model.SAGAN(DIGITS_MODEL)
    for v, average in zip(other.generator.weights, gan.averaged.weights):
        v.assign(average)
    for name, one in (("with", gan), ("other", other)):
        run_dir = config.run_directory(str(tmp_path / name), 64)
        checkpoints.write_config(run_dir, model=DIGITS_MODEL)
        checkpoints.Checkpoints(run_dir, one.state()).save(7)
    (average, *_), _ = evaluate(settings(tmp_path / "with", use_ema=True))
    (expected, *_), _ = evaluate(settings(tmp_path / "other"))
    (itself, *_), _ = evaluate(settings(tmp_path / "with"))
    assert average.fid == expected.fid
    assert average.inception_score == expected.inception_score
    assert not np.isclose(average.fid, itself.fid, rtol=1e-3)
    record = tmp_path / "with/eval/imagenet_64/metrics.jsonl"
    assert [json.loads(line)["protocol"]["ema"] for line in record.read_text().splitlines()] == [
        True, False]


def test_damaged_latest_checkpoint_is_passed_over(run):
    path = run / "imagenet_64" / "ckpt-5.data-00000-of-00001"
    path.write_bytes(path.read_bytes()[:100])
    (first, *_), printed = evaluate(settings(run))
    assert first.name == "step 0"
    assert "ckpt-5: the checkpoint cannot be read" in printed


@pytest.mark.parametrize(("changes", "message"), [
    ({"use_ema": True}, "--use_ema: .*ckpt-5 holds no moving average; train with --ema_decay"),
    ({"checkpoint_step": 3}, r"--checkpoint_step=3: .* no checkpoint of that step, but of 0, 5"),
    ({"checkpoint_dir": "absent"}, "absent/imagenet_64: no run there"),
    ({"gf_dim": 64}, "--gf_dim=64: the run in .* was trained with 8"),
    ({"generator_type": "baseline"}, "--generator_type=baseline: the run in .* with test"),
    ({"num_classes": 1000}, "--num_classes=1000: .* was trained with 10"),
    ({"eval_sample_size": 2000}, "--eval_sample_size=2000: data/digits holds 1797 images"),
    ({"data_dir": "absent"}, "--data_dir=absent: no such directory"),
    ({"inception": "absent"}, "--inception=absent: expected a TF-Hub handle"),
])
def test_bad_input_is_one_line(run, changes, message):
    with pytest.raises(config.UserError, match=message) as error:
        evaluate(settings(run, **changes))
    assert "\n" not in str(error.value)


def test_run_without_checkpoint_is_refused(tmp_path):
    checkpoints.write_config(config.run_directory(str(tmp_path), 64), model=DIGITS_MODEL)
    with pytest.raises(config.UserError, match="holds no checkpoint to score; train first"):
        evaluate(settings(tmp_path))
