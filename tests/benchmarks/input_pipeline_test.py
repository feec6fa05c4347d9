import numpy as np
import pytest

from sagan_tf import config
from sagan_tf.benchmarks import input_pipeline
from tests.testing import random_images, write_records


@pytest.fixture(name="data_config")
def fixture_data_config(tmp_path):
    write_records(tmp_path / "0.tfrecords", random_images(11), np.arange(11) % 2, encoding="jpeg")
    return config.DataConfig(data_dir=str(tmp_path))


@pytest.mark.slow
@pytest.mark.process
def test_row_for_each_pipeline_and_encoding(data_config, monkeypatch, capsys):
    """The first measurement is of a real process, the others are made in this one."""
    in_child = input_pipeline.measure_in_child
    measured = []

    def measure(options, data_config):
        function = input_pipeline.measure if measured else in_child
        measured.append(options.pipeline)
        return function(options, data_config)

    monkeypatch.setattr(input_pipeline, "measure_in_child", measure)
    options = config.BenchmarkInputConfig(
        batch_size=4, rounds=1, seconds=0.1, encodings="png", images=8
    )
    input_pipeline.run(options, data_config)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert measured == ["ours", "ours, floats", "plain"] * 2
    assert [row[3] for row in rows[:3]] == ["ours", "ours,", "plain"]
    assert [row[:2] for row in rows[3:]] == [["png", "ours"], ["png", "ours,"], ["png", "plain"]]
    assert all(float(row[-6].replace(",", "")) > 0 for row in rows)
    assert rows[2][-1] == rows[5][-1] == "1.00"
