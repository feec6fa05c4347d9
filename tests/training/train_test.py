import dataclasses
import io
import pathlib
import shutil

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.compat.proto import event_pb2

from sagan_tf import config, errors, model
from sagan_tf.data import class_names, prepare
from sagan_tf.gan import discriminator, generator
from sagan_tf.runs import checkpoints, directory, health, history
from sagan_tf.runtime import processor
from sagan_tf.training import steps as training_steps
from sagan_tf.training import train as training
from sagan_tf.viewing import trained
from tests.testing import PLAIN_MODEL, TINY_MODEL, make_data, make_pictures, make_run
from tests.training import small_runs
from tests.training.small_runs import rows, settings, stored, train

KINDS = ("loss", "class_loss")  # Of the terms of an AC-GAN's d_loss.


@pytest.fixture(name="data", scope="module")
def fixture_data(tmp_path_factory):
    path = make_data(tmp_path_factory.mktemp("records"))
    return config.DataConfig(data_dir=path, shuffle_buffer_size=100)


@pytest.fixture(name="finished", scope="module")
def fixture_finished(tmp_path_factory):
    """A whole run of four steps: (its data, its settings, what it printed)."""
    path = tmp_path_factory.mktemp("finished")
    data = config.DataConfig(data_dir=make_data(path / "data"), shuffle_buffer_size=100)
    train_config = settings(path, attention_every=4)
    return data, train_config, train(data, train_config)


@pytest.mark.slow
def test_run_directory_holds_everything(finished):
    _, train_config, printed = finished
    run = pathlib.Path(train_config.run_dir)
    assert f"{run}: starting" in printed
    assert "step 2/4  g_loss" in printed
    assert printed.endswith(f"done: step 4, {run}\n")
    assert directory.read_config(str(run), "model", kind=config.ModelConfig) == TINY_MODEL
    assert [row["step"] for row in rows(train_config)] == [2, 4]
    assert {
        "d_loss",
        "d_loss_real",
        "d_loss_fake",
        "g_loss",
        "logit_real",
        "logit_fake",
        "d_learning_rate",
        "g_learning_rate",
        "model/g_non_local/sigma_ratio",
        "model/d_non_local/sigma_ratio",
    } <= set(rows(train_config)[0])
    row = rows(train_config)[1]
    assert row["d_loss"] == pytest.approx(row["d_loss_real"] + row["d_loss_fake"], rel=1e-5)
    # Rows of ten samples, enlarged to 64 px, with a gap of 2 and the names of three classes.
    width, height = Image.open(run / "samples" / "step-00000004.png").size
    assert 660 < width <= 660 + 120
    assert height == 3 * 66
    # Three images in a row, enlarged to 128 px, with a margin of 2 and a caption of 16.
    assert Image.open(run / "samples" / "real.png").size == (3 * 132, 4 * 148)
    state = stored(train_config, 4)
    steps = [name for name in state if "global_step" in name or "iterations" in name]
    assert [state[name] for name in steps] == [4, 4, 4]
    assert list(run.glob("events.out.tfevents.*"))
    assert checkpoints.Checkpoints(str(run), {}).steps == [0, 4]


@pytest.mark.slow
def test_rows_hold_the_sigma_of_every_normalised_weight(finished):
    """By NumPy from the checkpoint: one power iteration from u, whatever has come before."""
    state, row = stored(finished[1], 4), rows(finished[1])[1]
    names = [name for name in state if ".Su/" in name and "ema" not in name]
    assert len(names) == len([name for name in row if name.startswith("sigma/")]) == 15 + 17
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    for layer, weight in (("g_block1.Ssnconv1", "w"), ("d_sn_linear", "Matrix")):
        start = "state/generator.S" if layer.startswith("g") else "state/discriminator.S"
        w, u = (state[f"{start}{layer}.S{name}{value}"] for name in (weight, "u"))
        w = w.reshape(-1, w.shape[-1])
        v = u @ w.T / np.linalg.norm(u @ w.T)
        assert row["sigma/" + layer.replace(".S", "/")] == pytest.approx(
            np.linalg.norm(v @ w), rel=1e-4
        )


@pytest.mark.slow
def test_tensorboard_shows_what_is_looked_for_first(finished):
    tags = set()
    for path in pathlib.Path(finished[1].run_dir).glob("events.out.tfevents.*"):
        for record in tf.data.TFRecordDataset(str(path)):
            event = event_pb2.Event.FromString(record.numpy())
            tags |= {value.tag for value in event.summary.value}
    assert {
        "g_loss",
        "d_loss",
        "logit_real",
        "logit_fake",
        "g_gradient_norm",
        "d_gradient_norm",
        "model/g_non_local/sigma_ratio",
        "model/d_non_local/sigma_ratio",
        "sigma/g_snh0",
        "sigma/d_embedding",
        "g_learning_rate",
        "d_learning_rate",
        "images_per_second",
        "input_stall",
        "generator_grid",
        "input_image_grid",
        "attention_maps/generator",
        "attention_maps/discriminator",
    } <= tags


@pytest.mark.slow
def test_history_has_start_end_and_environment(finished):
    events = history.read(finished[1].run_dir)
    assert [(event["event"], event["step"]) for event in events[:2]] == [("start", 0), ("end", 4)]
    assert events[0]["environment"]["tensorflow"] == tf.__version__
    assert events[0]["environment"]["devices"] == "CPU:0"
    assert events[0]["environment"]["optimizations"].startswith("up_conv from 16 px, down_conv")
    assert events[1]["reason"] == "done"


@pytest.mark.slow
def test_finished_run_has_nothing_to_do(finished):
    """Settings that train nothing are not those of the run."""
    data, train_config, _ = finished
    another = dataclasses.replace(train_config, seed=train_config.seed + 1)
    assert "nothing to do: step 4 of --max_steps=4 is reached" in train(data, another)
    kept = directory.read_config(train_config.run_dir, "train", kind=config.TrainConfig)
    assert kept == train_config


@pytest.mark.slow
def test_other_model_is_refused(finished):
    data, train_config, _ = finished
    other = config.ModelConfig(
        image_size=32, z_dim=8, gf_dim=16, df_dim=8, number_classes=3, attention_resolution=16
    )
    with pytest.raises(errors.UserError, match=r"another model \(gf_dim: 8 there, 16 here\)"):
        train(data, train_config, other)


@pytest.mark.slow
def test_run_with_an_auxiliary_classifier_goes_on_and_is_no_other(tmp_path, data):
    """Its rows have what is known of classes."""
    classifier = dataclasses.replace(PLAIN_MODEL, conditioning="auxiliary_classifier")
    values = {"num_towers": 1, "sample_every": 0, "health_every": 0}
    half = settings(tmp_path, max_steps=2, **values)
    printed = train(data, half, classifier)
    whole = settings(tmp_path, max_steps=4, **values)
    printed += train(data, whole, classifier)
    for text in ("step 2/2  g_loss", "step 4/4  g_loss", "  class_accuracy_real "):
        assert text in printed

    found = rows(whole)
    assert [row["step"] for row in found] == [2, 4]
    for row in found:
        parts = [row[f"d_{kind}_{which}"] for kind in KINDS for which in ("real", "fake")]
        assert row["d_loss"] == pytest.approx(sum(parts), rel=1e-5)
        assert 0 <= row["class_accuracy_real"] <= 1
        assert row["g_class_loss"] > 0
        assert "sigma/d_sn_classifier" in row
    with pytest.raises(errors.UserError, match="conditioning: auxiliary_classifier there, proj"):
        train(data, whole, PLAIN_MODEL)


@pytest.mark.slow
def test_classes_of_the_data_are_kept_with_the_run(tmp_path, data, monkeypatch):
    """Those that `dataset.json` names, and numbers where there is none."""
    monkeypatch.setattr(
        training_steps, "make_train_steps", small_runs.stand_in(small_runs.quick_steps)
    )
    make_pictures(tmp_path / "pictures", {"a": 4, "b": 4, "c": 4})
    prepare.prepare(
        config.PrepareConfig(
            source=str(tmp_path / "pictures"), out=str(tmp_path / "named"), size=32, workers=1
        ),
        io.StringIO(),
    )
    named = config.DataConfig(data_dir=str(tmp_path / "named"))
    for name, used, expected in (
        ("named", named, ("a", "b", "c")),
        ("nameless", data, ("0", "1", "2")),
    ):
        train_config = settings(tmp_path / name, num_towers=1, sample_every=0)
        train(used, train_config, PLAIN_MODEL)
        assert class_names.read(train_config.run_dir, 3).names == expected


@pytest.mark.slow
def test_folder_without_classes_trains(tmp_path):
    """Its pictures are one class, with the folder's name."""
    # Prepare a folder, and train on it.
    make_pictures(tmp_path / "all", {"flat": 12})
    options = config.PrepareConfig(
        source=str(tmp_path / "all/flat"), out=str(tmp_path / "data"), size=32, workers=1
    )
    prepare.prepare(options, io.StringIO())
    data = config.DataConfig(data_dir=options.out)
    one_class = dataclasses.replace(PLAIN_MODEL, number_classes=1)
    train_config = settings(tmp_path / "runs", num_towers=1, augment="diffaugment", mirror=True)
    assert "done: step 4, " in train(data, train_config, one_class)

    # Draw from it.
    network = trained.open_model(train_config.run_dir)
    z, labels = network.draw([3, 4])
    assert labels.numpy().tolist() == [0, 0]
    assert network.caption(0, 3) == "seed 3, flat"
    assert network.generate_pixels(z, [0, 0]).std() > 0


def test_dry_run_says_all_and_writes_nothing(tmp_path, data):
    printed = train(data, settings(tmp_path), dry_run=True)
    for line in (
        "image_size: 32",
        "batch_size: 2",
        "devices: 1 (",
        "2 towers of 2 images on each",
        "data records: 12",
        "data encoding: image_raw",
        "optimizations in force: up_conv from 16 px, down_conv from 16 px, narrow_conv, wide_conv",
    ):
        assert line in printed
    for kind in (generator.Generator, discriminator.Discriminator):
        network = kind(TINY_MODEL)
        network.build()
        count = sum(weight.shape.num_elements() for weight in network.trainable_variables)
        assert f"{kind.__name__.lower()} parameters: {count:,}\n" in printed
    assert not (tmp_path / "runs").exists()
    assert "learning rates begin" not in printed


def test_dry_run_counts_a_balanced_epoch(tmp_path):
    """Two pictures and seven: round(7 / 2) = 4 times two, and seven."""
    make_pictures(tmp_path / "all", {"few": 2, "many": 7})
    options = config.PrepareConfig(
        source=str(tmp_path / "all"), out=str(tmp_path / "data"), size=32, workers=1
    )
    prepare.prepare(options, io.StringIO())
    two_classes = dataclasses.replace(PLAIN_MODEL, number_classes=2)
    for balance_classes in (True, False):
        data = config.DataConfig(data_dir=options.out, balance_classes=balance_classes)
        printed = train(data, settings(tmp_path), two_classes, dry_run=True)
        assert ("data records of a balanced epoch: 15\n" in printed) == balance_classes
        assert ("balanced epoch" in printed) == balance_classes


def test_dry_run_says_what_the_processor_decides(tmp_path, data, monkeypatch):
    bfloat16 = settings(tmp_path, mixed_precision="bfloat16")
    for instruction, expected in (
        (
            "amx_bf16",
            "optimizations by processor: narrow_conv left out, wide_conv left out, small_conv "
            "taken: this CPU has amx_bf16\n",
        ),
        ("", "wide_conv, "),
    ):
        monkeypatch.setattr(processor, "native_bfloat16", lambda known=instruction: known)
        printed = train(data, bfloat16, dry_run=True)
        assert expected in printed
        assert ("left out" in printed) == bool(instruction)


def test_rates_that_fall_from_the_start_are_said(tmp_path, data):
    """As where a row of the paper is shortened: (max_steps - 0) / decay_steps = 4 / 50000."""
    printed = train(data, settings(tmp_path, decay_steps=50_000), dry_run=True)
    beginning = "--decay_steps=50000 is more than --max_steps=4: "
    assert f"{beginning}both learning rates begin at 8e-05 of their values\n" in printed


def test_rates_that_fall_at_once_in_a_run_that_goes_on_are_said(tmp_path, data):
    """(6 - 4) / 8 = 0.25, and with 2 steps (6 - 4) / 2 = 1."""
    make_run(tmp_path / "runs", TINY_MODEL, step=4)
    for decay_steps, is_said in ((8, True), (2, False)):
        longer = settings(tmp_path, max_steps=6, decay_steps=decay_steps)
        printed = train(data, longer, dry_run=True)
        line = "--decay_steps=8 is more than what is left (2 steps): both learning rates go on "
        assert (f"{line}at 0.25 of their values\n" in printed) == is_said
        assert ("learning rates" in printed) == is_said


def test_run_directory_that_cannot_be_written_to_is_named(tmp_path, data):
    (tmp_path / "runs").write_text("")
    with pytest.raises(errors.UserError, match="runs/imagenet_2: cannot be written to"):
        train(data, settings(tmp_path))


@pytest.fixture(name="rolled_back", scope="module")
def fixture_rolled_back(tmp_path_factory, data):
    """A run without an average, in float32, goes on at step 4 with one and in float16.

    Step 5 is spoilt once: (settings, what was printed, seeds of the loops).
    """
    path = tmp_path_factory.mktemp("rolled_back")
    run_dir = pathlib.Path(make_run(path / "runs", PLAIN_MODEL, step=4, average=False))
    (run_dir / "metrics.jsonl").write_text('{"step": 2}\n{"step": 4}\n{"step": 5}\n')
    history.History(str(run_dir)).add(history.START, step=0)
    again = settings(
        path,
        num_towers=1,
        max_steps=6,
        save_summaries_steps=1,
        save_checkpoint_secs=0,
        sample_every=0,
        ema_decay=0.5,
        on_nonfinite="rollback",
        mixed_precision="float16",
    )
    seeds = []
    real = training_steps.make_train_steps

    def spoilt_once(gan, seed):
        seeds.append(seed)
        make = real if len(seeds) > 1 else small_runs.steps_that_fail_at(5)
        return make(gan, seed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_steps, "make_train_steps", spoilt_once)
        return again, train(data, again, PLAIN_MODEL), seeds


@pytest.mark.slow
def test_rollback_goes_on_from_the_checkpoint_with_other_numbers(rolled_back):
    again, printed, seeds = rolled_back
    assert "step 5: d_loss is not finite; " in printed
    assert "rollback 1 of at most 3: continuing from step 4 with other random numbers" in printed
    events = history.read(again.run_dir)  # after an earlier run's
    assert [(event["event"], event["step"]) for event in events] == [
        ("start", 0),
        ("start", 4),
        ("warning", 4),
        ("warning", 4),
        ("warning", 4),
        ("end", 6),
    ]
    assert "rollback 1 of at most 3" in events[4]["text"]
    assert seeds == [0, 0x9E3779B9]
    assert [row["step"] for row in rows(again)] == [2, 4, 5, 6]
    assert stored(again, 6)["state/rollbacks/.ATTRIBUTES/VARIABLE_VALUE"] == 1
    assert checkpoints.Checkpoints(again.run_dir, {}).steps == [4, 5, 6]


@pytest.mark.slow
def test_average_begins_where_a_run_without_one_goes_on(rolled_back):
    again, printed, _ = rolled_back
    assert "the average of the generator begins at step 4" in printed
    before, after = stored(again, 4), stored(again, 5)
    name = "state/{}generator.Sg_snconv_last.Sw/.ATTRIBUTES/VARIABLE_VALUE"
    assert np.abs(after[name.format("")] - before[name.format("")]).max() > 1e-5
    np.testing.assert_allclose(
        after[name.format("ema.S")],
        (before[name.format("")] + after[name.format("")]) / 2,
        atol=1e-6,
    )


@pytest.mark.slow
def test_run_goes_on_in_float16_and_back(rolled_back, data, tmp_path, monkeypatch):
    """From a run of float32 at step 4 two steps in float16, then one in float32."""
    again, printed, _ = rolled_back
    assert "continuing from step 4" in printed
    shutil.copytree(again.checkpoint_dir, tmp_path / "runs")
    monkeypatch.setattr(
        training_steps, "make_train_steps", small_runs.stand_in(small_runs.quick_steps)
    )
    back = settings(tmp_path, num_towers=1, max_steps=7, sample_every=0)
    assert "continuing from step 6" in train(data, back, PLAIN_MODEL)

    scales = [row.get("loss_scale/g") for row in rows(back)]
    assert all(1 <= scale <= 32768 for scale in scales[2:4])
    assert scales[4] is None
    for step, kept in ((4, False), (6, True), (7, False)):
        assert any("loss_scale" in name for name in stored(back, step)) == kept


def test_sigma_ratios_by_reference_name():
    gan = model.SAGAN(TINY_MODEL)
    gan.generator.non_local.sigma_ratio.assign(0.25)
    assert model.sigma_ratios(gan) == {
        "model/g_non_local/sigma_ratio": 0.25,
        "model/d_non_local/sigma_ratio": 0.0,
    }
    assert np.isfinite(list(model.sigma_ratios(gan).values())).all()


@pytest.mark.slow
def test_health_check_learns_from_the_rows_that_are_there(tmp_path, data, monkeypatch):
    steps = small_runs.stand_in(small_runs.quick_steps)
    monkeypatch.setattr(training_steps, "make_train_steps", steps)
    train_config = settings(tmp_path, max_steps=1, sample_every=0)
    seen = []
    monkeypatch.setattr(health.HealthCheck, "take_up", lambda _, found: seen.extend(found))

    # A run begins at step 0: rows after it go.
    run = pathlib.Path(train_config.run_dir)
    run.mkdir(parents=True)
    (run / "metrics.jsonl").write_text('{"step": 0, "x": 1}\n{"step": 1, "x": 2}\n')
    train(data, train_config, PLAIN_MODEL)
    assert seen == [{"step": 0, "x": 1}]


def test_threads_of_another_number_are_refused(monkeypatch):
    """TensorFlow fixes them when its devices are made."""

    def refuse(threads):
        raise RuntimeError("cannot be modified after initialization")

    monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", refuse)
    with pytest.raises(errors.UserError, match="--threads_per_op=3: TensorFlow runs with another"):
        training.set_tensorflow_options(config.TrainConfig(threads_per_op=3))
