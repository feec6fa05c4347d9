import io
import itertools
import json
import os
import pathlib
import shutil
import signal
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import checkpoints, config, metric_writer, model, order, train_lib
from tests.testing import TINY_MODEL, make_data, random_images


@pytest.fixture(name="data")
def fixture_data(tmp_path):
    return config.DataConfig(data_dir=make_data(tmp_path / "data"), shuffle_buffer_size=100)


def settings(tmp_path, **changes):
    return config.TrainConfig(**{
        "checkpoint_dir": str(tmp_path / "runs"), "batch_size": 2, "num_towers": 2, "max_steps": 4,
        "save_summaries_steps": 2, "sample_every": 4, "steps_per_loop": 3, **changes})


def train(data, train_config, model_config=TINY_MODEL, **options):
    stream = io.StringIO()
    train_lib.train(model_config, data, train_config, stream=stream, **options)
    return stream.getvalue()


def rows(train_config):
    with open(os.path.join(train_config.run_dir, "metrics.jsonl")) as file:
        return [json.loads(line) for line in file]


def stored(train_config, step):
    reader = tf.train.load_checkpoint(os.path.join(train_config.run_dir, f"ckpt-{step}"))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()
            if name.startswith("state/")}


@pytest.fixture(name="finished", scope="module")
def fixture_finished(tmp_path_factory):
    """A whole run of four steps: (its data, its settings, what it printed)."""
    path = tmp_path_factory.mktemp("finished")
    data = config.DataConfig(data_dir=make_data(path / "data"), shuffle_buffer_size=100)
    return data, settings(path), train(data, settings(path))


def test_run_directory_holds_everything(finished):
    _, train_config, printed = finished
    run = pathlib.Path(train_config.run_dir)
    assert f"{run}: starting" in printed
    assert "step 2/4  g_loss" in printed
    assert printed.endswith(f"done: step 4, {run}\n")
    assert checkpoints.read_config(str(run), "model", config.ModelConfig) == TINY_MODEL
    assert [row["step"] for row in rows(train_config)] == [2, 4]
    assert {"d_loss", "d_loss_real", "d_loss_fake", "g_loss", "logit_real", "logit_fake",
            "d_learning_rate", "g_learning_rate", "model/g_non_local/sigma_ratio",
            "model/d_non_local/sigma_ratio"} <= set(rows(train_config)[0])
    row = rows(train_config)[1]
    assert row["d_loss"] == pytest.approx(row["d_loss_real"] + row["d_loss_fake"], rel=1e-5)
    assert Image.open(run / "samples" / "step-00000004.png").size == (320, 96)
    assert Image.open(run / "samples" / "real.png").size == (96, 128)
    state = stored(train_config, 4)
    steps = [name for name in state if "global_step" in name or "iterations" in name]
    assert [state[name] for name in steps] == [4, 4, 4]
    assert list(run.glob("events.out.tfevents.*"))


def test_steps_per_loop_does_not_change_the_numbers(tmp_path, finished):
    data, train_config, _ = finished
    other = settings(tmp_path, steps_per_loop=1)
    train(data, other)
    assert rows(other)[1]["d_loss"] == pytest.approx(rows(train_config)[1]["d_loss"], rel=1e-3)


def test_same_command_continues_as_if_it_had_never_stopped(tmp_path, finished):
    """The images (12, in epochs of three steps), z, and fake labels go on where they were."""
    data, whole, _ = finished
    train(data, settings(tmp_path, max_steps=2))
    printed = train(data, settings(tmp_path))
    assert "continuing from step 2" in printed
    assert "changed since this run began: max_steps: 2 there, 4 here" in printed
    broken = rows(settings(tmp_path))
    assert [row["step"] for row in broken] == [2, 4]
    for name in ("g_loss", "d_loss", "logit_real"):
        assert broken[1][name] == pytest.approx(rows(whole)[1][name], rel=1e-3), name
    assert "nothing to do: step 4" in train(data, settings(tmp_path))


def test_more_steps_per_iteration(tmp_path, data):
    train_config = settings(tmp_path, d_step=2, g_step=3, max_steps=2)
    train(data, train_config)
    state = stored(train_config, 2)
    iterations = {name.split(".S")[0]: value for name, value in state.items()
                  if "iterations" in name}
    assert iterations == {"state/d_optimizer": 4, "state/g_optimizer": 6}


def test_signal_saves_and_leaves(tmp_path, data):
    train_config = settings(tmp_path, max_steps=100_000, steps_per_loop=1, save_summaries_steps=5,
                            sample_every=0)

    class Stream(io.StringIO):
        def write(self, text):
            if text.startswith("step 5/"):
                threading.Timer(0, os.kill, (os.getpid(), signal.SIGTERM)).start()
            return super().write(text)

    with pytest.raises(config.Interrupted, match="SIGTERM: saved step") as stop:
        train_lib.train(TINY_MODEL, data, train_config, stream=Stream())
    assert stop.value.signal == signal.SIGTERM
    saved = checkpoints.Checkpoints(train_config.run_dir, {}).steps
    assert saved[0] == 0
    assert 5 <= saved[-1] < 100
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_other_model_is_refused(finished):
    data, train_config, _ = finished
    other = config.ModelConfig(image_size=32, z_dim=8, gf_dim=16, df_dim=8, number_classes=3,
                               attention_resolution=16)
    with pytest.raises(config.UserError, match=r"another model \(gf_dim: 8 there, 16 here\)"):
        train(data, train_config, other)


def test_losses_that_are_not_finite_stop_the_run(tmp_path, data):
    train_config = settings(tmp_path, generator_learning_rate=1e30, max_steps=20)
    with pytest.raises(config.UserError, match=(
            r"step \d+: (logit_fake|g_loss) is not finite; .* its checkpoints of steps \[0\]")):
        train(data, train_config)


def test_dry_run_says_all_and_writes_nothing(tmp_path, data):
    printed = train(data, settings(tmp_path), dry_run=True)
    for line in ("image_size: 32", "batch_size: 2", "generator parameters: ", "devices: 1 (",
                 "2 towers of 2 images on each", "data records: 12", "data encoding: image_raw"):
        assert line in printed
    assert not (tmp_path / "runs").exists()


def test_damaged_record_met_in_training_is_named(tmp_path, data):
    path = tmp_path / "data" / "part-1.tfrecords"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(config.UserError, match=r"part-1.tfrecords: record 5 cannot be used: "):
        train(data, settings(tmp_path))


def test_record_met_late_keeps_the_steps_before_it(tmp_path):
    """A damaged record stops the run when its window is read, and the steps before are kept."""
    path = make_data(tmp_path / "data", count=96, shards=1)
    data = config.DataConfig(data_dir=path, shuffle_buffer_size=1)
    # Six blocks of 16 records, each shuffled for itself. The preview shows the first 64 records.
    blocks = [int(window.blocks[0])
              for window in itertools.islice(order.windows(np.full(6, 16), 1, 0, 0), 6)]
    place = max(blocks.index(4), blocks.index(5))
    steps, number = place * 16 // 4, blocks[place] * 16 + 3
    train(data, settings(tmp_path / "whole", max_steps=steps, sample_every=0))
    file = tmp_path / "data" / "part-0.tfrecords"
    content = bytearray(file.read_bytes())
    content[len(content) // 96 * number + 50] ^= 1
    file.write_bytes(content)
    broken = settings(tmp_path / "broken", max_steps=30, sample_every=0)
    with pytest.raises(config.UserError, match=f"part-0.tfrecords: record {number} cannot be used"):
        train(data, broken)
    assert checkpoints.Checkpoints(broken.run_dir, {}).steps == [0, steps]
    kept, expected = stored(broken, steps), stored(settings(tmp_path / "whole"), steps)
    for name, value in expected.items():
        np.testing.assert_array_equal(kept[name], value, err_msg=name)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    gan = model.SAGAN(TINY_MODEL, settings(tmp_path))
    saved = checkpoints.Checkpoints(gan.train_config.run_dir, gan.state())
    trainer = train_lib.Trainer(gan, None, None, saved, None, metric_writer.Progress(1, 1))
    trainer._save(1)
    gan.discriminator.sn_linear.bias.assign([np.nan])
    with pytest.raises(config.UserError, match=(
            r"step 2: discriminator/d_sn_linear/bias is not finite; .* of steps \[1\]")):
        trainer._save(2)
    assert saved.steps == [1]


def test_loop_stops_at_everything_that_is_to_be_written():
    gan = model.SAGAN(TINY_MODEL, config.TrainConfig(
        save_summaries_steps=200, sample_every=300, max_steps=1000))
    trainer = train_lib.Trainer(gan, None, None, None, None, metric_writer.Progress(1, 1))
    assert trainer._count(0, None) == 1         # nothing is known of the speed
    assert trainer._count(0, 0.1) == 20         # two seconds
    assert trainer._count(0, 0.001) == 100      # at most
    assert trainer._count(195, 0.001) == 5      # a row of losses
    assert trainer._count(290, 0.001) == 10     # samples
    assert trainer._count(999, 0.001) == 1      # the end
    assert trainer._count(0, 60.0) == 1


def test_inner_loop_is_traced_once(tmp_path, data):
    gan = model.SAGAN(TINY_MODEL, settings(tmp_path))
    steps = train_lib.make_train_steps(gan, seed=0)
    images = tf.zeros([4, 32, 32, 3], tf.uint8)
    batches = iter(tf.data.Dataset.from_tensors((images, tf.zeros([4], tf.int32))).repeat())
    for count in (1, 3, 2):
        steps(batches, tf.constant(count))
    assert steps.experimental_get_tracing_count() == 1
    assert gan.step.numpy() == 6


def test_whole_iteration_is_one_xla_program():
    """128 px: both steps, forward, backward, Adam, u, moving statistics and average."""
    size = config.ModelConfig(gf_dim=8, df_dim=8, z_dim=8, number_classes=3)
    train_config = config.TrainConfig(batch_size=2, num_towers=2, ema_decay=0.9)
    images = make_images(4, 128)
    labels = tf.constant([0, 1, 2, 0])
    found = []
    for compiled in (True, False):
        keras.utils.set_random_seed(0)
        gan = model.SAGAN(size, train_config)
        iteration = train_lib.make_iteration(gan, seed=0)
        if compiled:
            iteration = tf.function(iteration, jit_compile=True)
        found.append((iteration([(images, labels)]).numpy(),
                      {name: v.numpy() for name, v in gan.state().items()}))
    (metrics, state), (expected, expected_state) = found
    np.testing.assert_allclose(metrics, expected, rtol=1e-4, atol=1e-5)
    changed = 0
    for name, value in expected_state.items():
        if name.endswith(("/u", "/mean", "/var", "moving_mean", "moving_variance", "iterations")):
            np.testing.assert_allclose(state[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
            changed += 1
    assert changed > 100


def make_images(count, size):
    return tf.constant(random_images(count, size))


def test_rollback_goes_on_from_the_checkpoint_with_other_numbers(tmp_path, data, monkeypatch):
    """Step 3 is spoilt once; the run ends as one that had the other numbers from step 2 on."""
    first = settings(tmp_path / "spoilt", max_steps=2, save_summaries_steps=1)
    train(data, first)
    real = train_lib.make_train_steps
    made = []

    def spoilt(gan, seed):
        steps = real(gan, seed)
        made.append(seed)
        if len(made) > 1:
            return steps

        def bad_steps(*args):
            metrics, _ = steps(*args)
            return {**metrics, "d_loss": np.nan}, 3

        bad_steps.get_concrete_function = steps.get_concrete_function
        return bad_steps

    monkeypatch.setattr(train_lib, "make_train_steps", spoilt)
    again = settings(tmp_path / "spoilt", save_summaries_steps=1, on_nonfinite="rollback")
    printed = train(data, again)
    assert "step 3: d_loss is not finite; " in printed
    assert "rollback 1 of at most 3: continuing from step 2 with other random numbers" in printed
    assert made == [0, 0x9E3779B9]
    assert [row["step"] for row in rows(again)] == [1, 2, 3, 4]
    assert stored(again, 4)["state/rollbacks/.ATTRIBUTES/VARIABLE_VALUE"] == 1
    assert checkpoints.Checkpoints(again.run_dir, {}).steps == [0, 2, 4]


def test_average_begins_where_a_run_without_one_goes_on(tmp_path, data, finished):
    _, whole, _ = finished
    shutil.copytree(whole.checkpoint_dir, tmp_path / "runs")
    printed = train(data, settings(tmp_path, max_steps=5, ema_decay=0.5))
    assert "the average of the generator begins at step 4" in printed
    before, after = stored(whole, 4), stored(settings(tmp_path), 5)
    name = "state/{}generator.Sg_snconv_last.Sw/.ATTRIBUTES/VARIABLE_VALUE"
    np.testing.assert_allclose(
        after[name.format("ema.S")],
        (before[name.format("")] + after[name.format("")]) / 2, atol=1e-6)


def test_sigma_ratios_by_reference_name():
    gan = model.SAGAN(TINY_MODEL)
    gan.generator.non_local.sigma_ratio.assign(0.25)
    assert train_lib.sigma_ratios(gan) == {"model/g_non_local/sigma_ratio": 0.25,
                                           "model/d_non_local/sigma_ratio": 0.0}
    assert np.isfinite(list(train_lib.sigma_ratios(gan).values())).all()
