import json
import pathlib

import numpy as np
import pytest

from sagan_tf.data import dataset
from sagan_tf.training import real_variety
from tests.testing import make_data, random_images


def test_variety_is_that_of_the_records_and_is_kept(tmp_path, monkeypatch):
    path = make_data(tmp_path / "data", count=12)
    records = dataset.open_records(path, 32, number_classes=3)
    images = random_images(12).astype(np.float64) * 2 / 255 - 1
    expected = np.mean([images[label::3].var(axis=0, ddof=1).mean() for label in range(3)])

    # Computed, then read.
    found = real_variety.of_run(str(tmp_path), records, print)
    assert found == pytest.approx(expected, rel=1e-5)
    kept = pathlib.Path(tmp_path / real_variety.FILENAME)
    assert json.loads(kept.read_text())["within_class"] == found
    monkeypatch.setattr(real_variety, "compute", lambda _: 7.0)
    assert real_variety.of_run(str(tmp_path), records, print) == found

    # Computed anew for other images, and where the file is damaged.
    other = dataset.open_records(make_data(tmp_path / "other", count=9), 32, number_classes=3)
    assert real_variety.of_run(str(tmp_path), other, print) == 7.0
    kept.write_text("{")
    assert real_variety.of_run(str(tmp_path), records, print) == 7.0
