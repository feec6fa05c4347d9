import dataclasses
import io
import itertools
import json
import os
import pathlib
import shutil
import signal
import time
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.compat.proto import event_pb2

from sagan_tf import config, errors, model
from sagan_tf.data import class_names, dataset, order
from sagan_tf.runs import checkpoints, directory, history
from sagan_tf.training import loop, progress, signals
from sagan_tf.training import steps as training_steps
from sagan_tf.training import train as training_train
from tests.testing import PLAIN_MODEL, TINY_MODEL, make_data, make_run, random_images

# What an iteration without a fault gives.
METRICS = {**dict.fromkeys(training_steps.METRICS, 1.0), "input_wait": 0.0}


@pytest.fixture(name="data")
def fixture_data(tmp_path):
    return config.DataConfig(data_dir=make_data(tmp_path / "data"), shuffle_buffer_size=100)


def settings(tmp_path, **changes):
    return config.TrainConfig(
        **{
            "checkpoint_dir": str(tmp_path / "runs"),
            "batch_size": 2,
            "num_towers": 2,
            "max_steps": 4,
            "save_summaries_steps": 2,
            "sample_every": 4,
            "steps_per_loop": 3,
            "graph_optimizer": False,
            **changes,
        }
    )


@pytest.fixture(autouse=True, scope="module")
def fixture_graph_optimizer():
    """Other tests find TensorFlow as it was."""
    yield
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False})


def train(data, train_config, model_config=TINY_MODEL, **options):
    stream = io.StringIO()
    training_train.train(model_config, data, train_config=train_config, stream=stream, **options)
    return stream.getvalue()


def rows(train_config):
    with open(os.path.join(train_config.run_dir, "metrics.jsonl")) as file:
        return [json.loads(line) for line in file]


def stored(train_config, step):
    reader = tf.train.load_checkpoint(os.path.join(train_config.run_dir, f"ckpt-{step}"))
    return {
        name: reader.get_tensor(name)
        for name in reader.get_variable_to_shape_map()
        if name.startswith("state/")
    }


@pytest.fixture(name="finished", scope="module")
def fixture_finished(tmp_path_factory):
    """A whole run of four steps: (its data, its settings, what it printed)."""
    path = tmp_path_factory.mktemp("finished")
    data = config.DataConfig(data_dir=make_data(path / "data"), shuffle_buffer_size=100)
    train_config = settings(path, attention_every=4)
    return data, train_config, train(data, train_config)


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
    assert Image.open(run / "samples" / "step-00000004.png").size == (320, 96)
    assert Image.open(run / "samples" / "real.png").size == (96, 128)
    state = stored(train_config, 4)
    steps = [name for name in state if "global_step" in name or "iterations" in name]
    assert [state[name] for name in steps] == [4, 4, 4]
    assert list(run.glob("events.out.tfevents.*"))
    assert checkpoints.Checkpoints(str(run), {}).steps == [0, 4]


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


def test_history_has_start_end_and_environment(finished):
    events = history.read(finished[1].run_dir)
    assert [(event["event"], event["step"]) for event in events[:2]] == [("start", 0), ("end", 4)]
    assert events[0]["environment"]["tensorflow"] == tf.__version__
    assert events[0]["environment"]["devices"] == "CPU:0"
    assert events[0]["environment"]["optimizations"].startswith("up_conv from 16 px, down_conv")
    assert events[1]["reason"] == "done"


def test_classes_of_the_data_are_kept_with_the_run(tmp_path):
    make_data(tmp_path / "data")
    for name, known in (("named", True), ("nameless", False)):
        gan = model.SAGAN(PLAIN_MODEL, settings(tmp_path / name, num_towers=1))
        records = dataset.open_records(str(tmp_path / "data"), 32, number_classes=3)
        if known:
            records = dataclasses.replace(
                records, info=types.SimpleNamespace(class_names=("a", "b", "c"), class_titles=None)
            )
        training_train._open_run(gan, records, config.DataConfig(), progress.Progress(4, 2))
        found = class_names.read(gan.train_config.run_dir, 3).names
        assert found == (("a", "b", "c") if known else ("0", "1", "2"))


def test_finished_run_has_nothing_to_do(finished):
    data, train_config, _ = finished
    assert "nothing to do: step 4 of --max_steps=4 is reached" in train(data, train_config)


def test_signal_is_noted_once_and_the_handlers_come_back():
    with signals.StopSignals() as stop:
        stop.wait_for_steps()
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL  # the second one ends at once
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    with (
        pytest.raises(errors.Interrupted, match="SIGTERM: nothing was under way") as error,
        signals.StopSignals(),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert error.value.signal == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_other_model_is_refused(finished):
    data, train_config, _ = finished
    other = config.ModelConfig(
        image_size=32, z_dim=8, gf_dim=16, df_dim=8, number_classes=3, attention_resolution=16
    )
    with pytest.raises(errors.UserError, match=r"another model \(gf_dim: 8 there, 16 here\)"):
        train(data, train_config, other)


def test_dry_run_says_all_and_writes_nothing(tmp_path, data):
    printed = train(data, settings(tmp_path), dry_run=True)
    for line in (
        "image_size: 32",
        "batch_size: 2",
        "generator parameters: ",
        "devices: 1 (",
        "2 towers of 2 images on each",
        "data records: 12",
        "data encoding: image_raw",
        "optimizations in force: up_conv from 16 px, down_conv from 16 px, wide_conv, ",
    ):
        assert line in printed
    assert not (tmp_path / "runs").exists()


def test_damaged_record_met_in_training_is_named(tmp_path, data):
    path = tmp_path / "data" / "part-1.tfrecords"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(errors.UserError, match=r"part-1.tfrecords: record 5 cannot be used: "):
        train(data, settings(tmp_path))


def test_record_met_late_keeps_the_steps_before_it(tmp_path):
    """A damaged record stops the run when its window is read, and the steps before are kept."""
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


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    gan = model.SAGAN(TINY_MODEL, settings(tmp_path))
    saved = checkpoints.Checkpoints(gan.train_config.run_dir, gan.state())
    trainer = loop.Trainer(
        gan, None, data_config=None, saved=saved, writer=None, progress=progress.Progress(1, 1)
    )
    trainer._save(1)
    gan.discriminator.sn_linear.bias.assign([np.nan])
    with pytest.raises(
        errors.UserError,
        match=(r"step 2: discriminator/d_sn_linear/bias is not finite; .* of steps \[1\]"),
    ):
        trainer._save(2)
    assert saved.steps == [1]


def test_loop_stops_at_everything_that_is_to_be_written():
    gan = model.SAGAN(
        TINY_MODEL, config.TrainConfig(save_summaries_steps=200, sample_every=300, max_steps=1000)
    )
    trainer = loop.Trainer(
        gan, None, data_config=None, saved=None, writer=None, progress=progress.Progress(1, 1)
    )
    assert trainer._count(0, None) == 1  # nothing is known of the speed
    assert trainer._count(0, 0.1) == 20  # two seconds
    assert trainer._count(0, 0.001) == 100  # at most
    assert trainer._count(195, 0.001) == 5  # a row of losses
    assert trainer._count(290, 0.001) == 10  # samples
    assert trainer._count(999, 0.001) == 1  # the end
    assert trainer._count(0, 60.0) == 1


def slowly(*batch):
    time.sleep(0.01)
    return batch


def test_inner_loop_is_traced_once_whatever_its_count(tmp_path):
    """Six iterations of two steps of D and one of G: in loops of 1, 3 and 2, and of 1."""
    gan = model.SAGAN(PLAIN_MODEL, settings(tmp_path, num_towers=1, d_step=2))
    steps = training_steps.make_train_steps(gan, seed=0)
    images, labels = random_images(24), np.arange(24, dtype=np.int32) % 3
    batches = tf.data.Dataset.from_tensor_slices((images, labels)).batch(2, drop_remainder=True)
    batches = batches.map(lambda *batch: tf.numpy_function(slowly, batch, (tf.uint8, tf.int32)))
    batches = batches.map(
        lambda pixels, labels: (
            tf.ensure_shape(pixels, [2, 32, 32, 3]),
            tf.ensure_shape(labels, [2]),
        )
    )
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False  # nothing beforehand
    batches = batches.with_options(options)
    begin, found = {name: v.numpy() for name, v in gan.state().items()}, []
    for counts in ((1, 3, 2), (1,) * 6):
        for name, v in gan.state().items():
            v.assign(begin[name])
        iterator = iter(batches)
        began = time.monotonic()
        metrics = [steps(iterator, tf.constant(count))[0] for count in counts]
        losses = [one["d_loss"].numpy() for one in metrics]
        # Twelve batches come 10 ms after they are asked for, at the earliest.
        assert 0.12 <= sum(one["input_wait"].numpy() for one in metrics) < time.monotonic() - began
        assert next(iterator, None) is None  # two batches an iteration
        assert gan.step.numpy() == 6
        assert gan.d_optimizer.iterations.numpy() == 12
        assert gan.g_optimizer.iterations.numpy() == 6
        found.append(dict(zip(np.cumsum(counts), losses)))
    assert steps.experimental_get_tracing_count() == 1
    for count, loss in found[0].items():
        assert loss == pytest.approx(found[1][count], rel=1e-3), count
    assert len(set(found[1].values())) == 6


def test_whole_iteration_is_one_xla_program():
    """Both steps, forward, backward, Adam, u, moving statistics and average."""
    train_config = config.TrainConfig(batch_size=2, num_towers=2, ema_decay=0.9)
    images = make_images(4, 32)
    labels = tf.constant([0, 1, 2, 0])
    found = []
    for compiled in (True, False):
        keras.utils.set_random_seed(0)
        gan = model.SAGAN(PLAIN_MODEL, train_config)  # Attention is compiled in model_test.
        iteration = training_steps.make_iteration(gan, seed=0)
        if compiled:
            iteration = tf.function(iteration, jit_compile=True)
        found.append(
            (
                iteration([(images, labels)]).numpy(),
                {name: v.numpy() for name, v in gan.state().items()},
            )
        )
    (metrics, state), (expected, expected_state) = found
    np.testing.assert_allclose(metrics, expected, rtol=1e-4, atol=1e-5)
    changed = 0
    for name, value in expected_state.items():
        if name.endswith(("/u", "/mean", "/var", "moving_mean", "moving_variance", "iterations")):
            np.testing.assert_allclose(state[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
            changed += 1
    assert changed > 60


def make_images(count, size):
    return tf.constant(random_images(count, size))


def not_finite(gan, step):
    """A stand-in for `make_train_steps`'s loop: it spoils G, and tells of a `step` gone wrong."""

    def bad_steps(*_):
        for v in gan.generator.trainable_variables:
            v.assign(np.full(v.shape, np.nan))
        gan.step.assign(step)
        return {**METRICS, "d_loss": np.nan}, step

    bad_steps.get_concrete_function = lambda *_: None
    return bad_steps


def test_signal_saves_and_leaves(tmp_path, data, monkeypatch):
    """After the step in which it comes; faults_test has it on a real run."""

    def signalled(gan, _):
        def steps(_, count):
            gan.step.assign_add(int(count))
            if gan.step == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return METRICS, -1

        steps.get_concrete_function = lambda *_: None
        return steps

    monkeypatch.setattr(training_steps, "make_train_steps", signalled)
    train_config = settings(tmp_path, max_steps=100_000, steps_per_loop=1, sample_every=0)
    with pytest.raises(errors.Interrupted, match="SIGTERM: saved step 5") as stop:
        train(data, train_config)
    assert stop.value.signal == signal.SIGTERM
    assert checkpoints.Checkpoints(train_config.run_dir, {}).steps == [0, 5]
    end = history.read(train_config.run_dir)[-1]
    assert (end["event"], end["reason"], end["step"]) == ("end", "Interrupted", 5)
    assert end["text"].startswith("SIGTERM: saved step 5")
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.fixture(name="rolled_back", scope="module")
def fixture_rolled_back(tmp_path_factory, finished):
    """The finished run goes on with an average, and step 5 is spoilt once: (settings, what was
    printed, seeds of the loops)."""
    data, whole, _ = finished
    path, made, real = tmp_path_factory.mktemp("rolled_back"), [], training_steps.make_train_steps
    shutil.copytree(whole.checkpoint_dir, path / "runs")
    again = settings(
        path,
        max_steps=6,
        save_summaries_steps=1,
        save_checkpoint_secs=0,
        sample_every=0,
        ema_decay=0.5,
        on_nonfinite="rollback",
    )

    def spoilt_once(gan, seed):
        made.append(seed)
        return real(gan, seed) if len(made) > 1 else not_finite(gan, 5)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_steps, "make_train_steps", spoilt_once)
        return again, train(data, again), made


def test_rollback_goes_on_from_the_checkpoint_with_other_numbers(rolled_back):
    again, printed, made = rolled_back
    assert "step 5: d_loss is not finite; " in printed
    assert "rollback 1 of at most 3: continuing from step 4 with other random numbers" in printed
    events = history.read(again.run_dir)[-5:]  # after the finished run's
    assert [(event["event"], event["step"]) for event in events] == [
        ("start", 4),
        ("warning", 4),
        ("warning", 4),
        ("warning", 4),
        ("end", 6),
    ]
    assert "rollback 1 of at most 3" in events[3]["text"]
    assert made == [0, 0x9E3779B9]
    assert [row["step"] for row in rows(again)] == [2, 4, 5, 6]
    assert stored(again, 6)["state/rollbacks/.ATTRIBUTES/VARIABLE_VALUE"] == 1
    assert checkpoints.Checkpoints(again.run_dir, {}).steps == [0, 4, 5, 6]


def test_average_begins_where_a_run_without_one_goes_on(rolled_back, finished):
    again, printed, _ = rolled_back
    assert "the average of the generator begins at step 4" in printed
    before, after = stored(finished[1], 4), stored(again, 5)
    name = "state/{}generator.Sg_snconv_last.Sw/.ATTRIBUTES/VARIABLE_VALUE"
    np.testing.assert_allclose(
        after[name.format("ema.S")],
        (before[name.format("")] + after[name.format("")]) / 2,
        atol=1e-6,
    )


def test_run_goes_on_in_float16_and_back(tmp_path, data):
    """From a run of float32 at step 2 two steps in float16, then one in float32."""
    make_run(tmp_path / "runs", PLAIN_MODEL, step=2, average=False)
    for end, precision in ((4, "float16"), (5, "float32")):
        train_config = settings(
            tmp_path, num_towers=1, mixed_precision=precision, max_steps=end, sample_every=0
        )
        out = train(data, train_config, PLAIN_MODEL)
        assert f"continuing from step {2 if end == 4 else 4}" in out
    scales = [row.get("loss_scale/g") for row in rows(train_config)]
    assert 1 <= scales[0] <= 32768
    assert scales[1] is None
    for step, kept in ((2, False), (4, True), (5, False)):
        assert any("loss_scale" in name for name in stored(train_config, step)) == kept


def test_losses_that_are_not_finite_stop_the_run(tmp_path, data, monkeypatch):
    """Losses that are so by themselves are faults_test's."""
    monkeypatch.setattr(training_steps, "make_train_steps", lambda gan, _: not_finite(gan, 3))
    train_config = settings(tmp_path, max_steps=20)
    with pytest.raises(
        errors.UserError,
        match=(r"step 3: d_loss is not finite; .* its checkpoints of steps \[0\]$"),
    ):
        train(data, train_config)
    assert checkpoints.Checkpoints(train_config.run_dir, {}).steps == [0]


def test_run_directory_that_cannot_be_written_to_is_named(tmp_path, data):
    (tmp_path / "runs").write_text("")
    with pytest.raises(errors.UserError, match="runs/imagenet_2: cannot be written to"):
        train(data, settings(tmp_path))


def test_sigma_ratios_by_reference_name():
    gan = model.SAGAN(TINY_MODEL)
    gan.generator.non_local.sigma_ratio.assign(0.25)
    assert model.sigma_ratios(gan) == {
        "model/g_non_local/sigma_ratio": 0.25,
        "model/d_non_local/sigma_ratio": 0.0,
    }
    assert np.isfinite(list(model.sigma_ratios(gan).values())).all()
