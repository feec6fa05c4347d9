import json
import pathlib

import numpy as np
import pytest

from sagan_tf.data import dataset
from sagan_tf.training import real_variety
from tests.testing import make_data, random_images, write_records


def test_variety_is_that_of_the_records_and_is_kept(tmp_path, monkeypatch):
    path = make_data(tmp_path / "data", count=12)
    records = dataset.open_records(path, 32, number_classes=3)
    images = random_images(12).astype(np.float64) * 2 / 255 - 1
    variances = [images[label::3].var(axis=0, ddof=1).mean() for label in range(3)]
    expected = np.mean(variances)

    # Computed, then read.
    found = real_variety.of_run(str(tmp_path), records, print)
    assert found == pytest.approx(expected, rel=1e-5)
    kept = pathlib.Path(tmp_path / real_variety.FILENAME)
    assert json.loads(kept.read_text())["within_class"] == found
    monkeypatch.setattr(real_variety, "compute", lambda _: 7.0)
    assert real_variety.of_run(str(tmp_path), records, print) == found

    # The kept file of an older release, which weighed classes by size, does not count.
    content = json.loads(kept.read_text())
    assert content["data"]["classes"] == [0, 1, 2]
    content["data"]["classes"] = 100
    kept.write_text(json.dumps(content))
    assert real_variety.of_run(str(tmp_path), records, print) == 7.0

    # Computed anew for other images, and where the file is damaged.
    other = dataset.open_records(make_data(tmp_path / "other", count=9), 32, number_classes=3)
    assert real_variety.of_run(str(tmp_path), other, print) == 7.0
    kept.write_text("{")
    assert real_variety.of_run(str(tmp_path), records, print) == 7.0


def test_classes_that_a_grid_shows_count_alike(tmp_path):
    """Of 12 classes the grid shows all but numbers 2 and 9; class 0 has more images than others."""
    images = random_images(48)
    labels = np.concatenate([np.arange(36) % 12, np.zeros(12, int)])
    (tmp_path / "data").mkdir()
    write_records(tmp_path / "data/0.tfrecords", images, labels)
    records = dataset.open_records(str(tmp_path / "data"), 32, number_classes=12)
    shown = np.linspace(0, 11, 10).round().astype(int)
    floats = images.astype(np.float64) * 2 / 255 - 1
    variances = [floats[labels == label].var(axis=0, ddof=1).mean() for label in shown]
    assert real_variety.compute(records) == pytest.approx(np.mean(variances), rel=1e-5)
