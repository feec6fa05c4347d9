import os
import re

import pytest

from sagan_tf import errors
from sagan_tf.data import dataset, faults, records
from tests.testing import make_data, random_images, write_records


def open_directory(path):
    return dataset.open_records(str(path), 32, number_classes=3)


def test_changed_files_are_named(tmp_path):
    path = tmp_path / "a.tfrecords"
    write_records(path, random_images(20), [0] * 20)
    write_records(tmp_path / "b.tfrecords", random_images(20), [0] * 20)
    opened = open_directory(tmp_path)
    assert faults.find_change(opened) is None
    os.utime(path, ns=(0, 0))
    assert faults.find_change(opened).startswith(f"{path}: it has changed since the run began (")
    path.unlink()
    assert faults.find_change(opened).startswith(f"{path}: it was there when the run began, and")
    assert faults.find_change(opened, removed=False) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "classes", "message"),
    [
        (
            64,
            3,
            r"record 0 cannot be used: its image_raw has 3072 bytes and expected are 64 x 64 x 3 "
            "= 12288",
        ),
        (
            32,
            2,
            r"part-0.tfrecords: record 1 cannot be used: its label is 2 and expected is 0 to 1",
        ),
    ],
)
def test_unfit_record_is_named(tmp_path, size, classes, message):
    make_data(tmp_path)
    files = tuple(str(path) for path in sorted(tmp_path.iterdir()))
    assert re.search(
        message,
        faults.find_fault(records.open_files(files, records.RecordParser(size, classes))),
    )


@pytest.mark.slow
def test_corrupt_and_truncated_records_are_named(tmp_path):
    make_data(tmp_path, count=12, shards=2)
    path = tmp_path / "part-1.tfrecords"
    whole = path.read_bytes()
    size = len(whole) // 6
    path.write_bytes(whole[: 3 * size + 50] + b"\xff" + whole[3 * size + 51 :])
    assert "part-1.tfrecords: record 3 cannot be used: the file is damaged" in faults.find_fault(
        open_directory(tmp_path)
    )
    path.write_bytes(whole[:-5])
    with pytest.raises(
        errors.UserError, match=("part-1.tfrecords: record 5 cannot be used: the file is damaged")
    ):
        open_directory(tmp_path)
    path.write_bytes(whole)
    assert faults.find_fault(open_directory(tmp_path)) is None
