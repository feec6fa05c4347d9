import dataclasses
import io

import keras
import pytest

from sagan_tf import config, errors
from sagan_tf.evaluation import comparison, console, evaluate, run_settings
from sagan_tf.runs import checkpoints
from sagan_tf.runs import directory as runs_directory
from tests.evaluation.conftest import DIGITS_MODEL
from tests.testing import make_data


def none_given(_):
    return False


def make_run(path, **data):
    """A run that has nothing but settings."""
    train = config.TrainConfig(checkpoint_dir=str(path), run_name="faces")
    runs_directory.write_config(
        train.run_dir, model=DIGITS_MODEL, data=config.DataConfig(**data), train=train
    )
    return train.run_dir


def test_run_says_where_its_data_are(tmp_path):
    run_dir = make_run(tmp_path, data_dir="records/faces")
    for given in (run_dir, run_dir + "/", str(tmp_path)):
        found = run_settings.complete(config.EvalConfig(run=given), none_given)
        assert (found.run_dir, found.data_dir) == (run_dir, "records/faces")
        assert found.eval_dir == str(tmp_path / "eval" / "faces")
    named = config.EvalConfig(checkpoint_dir=str(tmp_path), run_name="faces")
    assert run_settings.complete(named, none_given).data_dir == "records/faces"
    kept = run_settings.complete(
        config.EvalConfig(run=run_dir, data_dir="other"), lambda name: name == "data_dir"
    )
    assert kept.data_dir == "other"
    (field,) = (field for field in dataclasses.fields(kept) if field.name == "data_dir")
    assert "Without this flag, the one that the run was trained on." in field.metadata["help"]


def test_exported_model_needs_a_flag_that_names_the_real_images(tmp_path):
    (tmp_path / "M").mkdir()
    (tmp_path / "M" / "generator.keras").write_bytes(b"")
    model = str(tmp_path / "M")
    line = f"--data_dir: expected the directory of the real images' records; {model} is an exported"
    for settings in (
        config.EvalConfig(run=model),
        config.EvalConfig(checkpoint_dir=str(tmp_path), run_name="M"),
        config.EvalConfig(run=model, real_split="validation"),
    ):
        with pytest.raises(errors.UserError, match=line):
            run_settings.complete(settings, none_given)

    # Each of these names them.
    named = config.EvalConfig(run=model + "/", data_dir="other")
    found = run_settings.complete(named, lambda name: name == "data_dir")
    assert (found.run, found.data_dir) == (model, "other")
    for settings in (
        config.EvalConfig(run=model + "/generator.keras", real_stats="a.npz"),
        config.EvalConfig(run=model, real_split="validation", validation_dir="v"),
    ):
        assert run_settings.complete(settings, none_given) == settings


def test_directory_without_a_run_is_refused(tmp_path):
    with pytest.raises(errors.UserError, match="no run there"):
        run_settings.complete(config.EvalConfig(run=str(tmp_path)), none_given)


@pytest.mark.parametrize(
    "flag", [{"batch_size": 64}, {"run_name": "dogs"}, {"checkpoint_dir": "checkpoint"}]
)
def test_flag_that_names_another_run_beside_run_is_refused(flag):
    ((name, value),) = flag.items()
    alone = config.EvalConfig(**flag)
    alone.require_one_run(lambda given: given == name)
    both = dataclasses.replace(alone, run="runs/cats")
    both.require_one_run(lambda given: given == "run")
    message = f"--{name}={value}: expected none with --run=runs/cats, which names the run"
    with pytest.raises(errors.UserError, match=message):
        both.require_one_run(lambda given: given in (name, "run"))


def test_as_many_images_are_generated_as_there_are_real_ones(tmp_path):
    settings = config.EvalConfig(data_dir=make_data(tmp_path / "data", count=30))
    found = comparison.open_real(settings, 32, number_classes=3)
    stream = io.StringIO()
    output = console.Console(stream)
    assert comparison.fitting(settings, found, console=output).eval_sample_size == 30
    assert "holds 30 images: as many are generated, and not 50,000" in stream.getvalue()
    for changes in ({"eval_sample_size": 30}, {"real_sample_size": 0}, {"real_sample_size": 20}):
        kept = dataclasses.replace(settings, **changes)
        assert comparison.fitting(kept, found, console=output) == kept
    assert comparison.fitting(settings, None, console=output) == settings  # With --real_stats.


@pytest.mark.slow
def test_run_is_scored_on_its_own_few_images_by_a_classifier_without_classes(tmp_path, digits_gan):
    """No flag but the classifier's: 30 images, FID and no Inception Score."""
    run_dir = make_run(tmp_path, data_dir=make_data(tmp_path / "data", count=30))
    checkpoints.Checkpoints(run_dir, digits_gan.state()).save(5)
    images = keras.Input([32, 32, 3])
    pool = keras.layers.GlobalAveragePooling2D()(images)
    keras.Model(images, pool).save(tmp_path / "means.keras")
    settings = config.EvalConfig(
        run=run_dir, inception=str(tmp_path / "means.keras"), stats_dir=str(tmp_path / "stats")
    )
    settings = run_settings.complete(settings, none_given)
    for _ in range(2):  # The second time the real statistics come from the cache.
        stream = io.StringIO()
        scores, real, held_out = evaluate.evaluate(settings, stream, may_shrink=True)
        assert (scores.images, scores.real_images) == (30, 30)
        assert real.each() == []
        assert held_out.sides == "15 against 15"
        assert "fid30" in {score.label for score in scores.each()}
        assert "incscore30" not in {score.label for score in scores.each()}
        assert "no Inception Score" in stream.getvalue()
