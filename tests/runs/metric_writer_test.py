import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from sagan_tf import errors
from sagan_tf.runs import metric_writer, tensorboard_layout


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


def test_pictures_of_one_tag_are_all_there(tmp_path):
    writer = metric_writer.MetricWriter(str(tmp_path), 0)
    pictures = np.arange(5, dtype=np.uint8).repeat(4 * 6 * 3).reshape(5, 4, 6, 3)
    writer.write_images(7, "attention_maps/generator", images=pictures)
    events = event_accumulator.EventAccumulator(str(tmp_path)).Reload()
    (event,) = events.Tensors("attention_maps/generator")
    width, height, *encoded = tf.make_ndarray(event.tensor_proto)
    assert (event.step, int(width), int(height)) == (7, 6, 4)
    assert [tf.io.decode_png(one).numpy().max() for one in encoded] == [0, 1, 2, 3, 4]


def test_names_in_tensorboard_may_end_otherwise_than_those_of_the_row(tmp_path):
    writer = metric_writer.MetricWriter(str(tmp_path / "a"), copy_dir=str(tmp_path / "b"))
    writer.write_scalars(3, {"eval/fid5k": 2.5}, tag_suffix="-x")
    (row,) = metric_writer.read_rows(str(tmp_path / "a"))
    assert row == {"step": 3, "eval/fid5k": 2.5}
    for name in ("a", "b"):
        events = event_accumulator.EventAccumulator(str(tmp_path / name)).Reload()
        assert events.Tags()["tensors"] == ["eval/fid5k-x"]


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


def test_scalars_are_copied_to_another_directory(tmp_path):
    writer = metric_writer.MetricWriter(
        str(tmp_path / "eval"), copy_dir=str(tmp_path / "run" / "eval")
    )
    writer.write_scalars(200, {"eval/fid": 30.0})
    for directory in ("eval", "run/eval"):
        events = event_accumulator.EventAccumulator(str(tmp_path / directory)).Reload()
        (event,) = events.Tensors("eval/fid")
        assert (event.step, tf.make_ndarray(event.tensor_proto)) == (200, 30.0)


def test_copy_that_cannot_be_written_is_left_out(tmp_path):
    (tmp_path / "run").write_text("a file")
    writer = metric_writer.MetricWriter(
        str(tmp_path / "eval"), copy_dir=str(tmp_path / "run" / "eval")
    )
    writer.write_scalars(200, {"eval/fid": 30.0})
    assert metric_writer.read_rows(str(tmp_path / "eval")) == [{"step": 200, "eval/fid": 30.0}]


def test_layout_stands_beside_scalars_and_their_copy(tmp_path):
    """TensorBoard's own plugin reads the charts from both directories, each chart once."""
    writer = metric_writer.MetricWriter(str(tmp_path / "eval"), copy_dir=str(tmp_path / "run/eval"))
    assert writer.copy_is_new
    writer.write_layout(tensorboard_layout.of_scores())
    for directory in ("eval", "run/eval"):
        events = event_accumulator.EventAccumulator(str(tmp_path / directory)).Reload()
        (event,) = events.Tensors("custom_scalars__config__")
        layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
        assert [category.title for category in layout.category] == ["Scores"]
        plugin = events.SummaryMetadata("custom_scalars__config__").plugin_data.plugin_name
        assert plugin == "custom_scalars"
    again = metric_writer.MetricWriter(str(tmp_path / "eval"), copy_dir=str(tmp_path / "run/eval"))
    assert not again.copy_is_new
    assert not metric_writer.MetricWriter(str(tmp_path / "eval")).copy_is_new
