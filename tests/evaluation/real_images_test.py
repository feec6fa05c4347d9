"""The real side: computed once, for the images that were chosen, and kept."""

import numpy as np
import pytest

from sagan_tf import errors
from sagan_tf.data import dataset
from sagan_tf.data import records as data_records
from tests.evaluation.conftest import COUNT
from tests.testing import random_images, write_records


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.slow
def test_statistics_are_those_of_the_chosen_images(obtain, real_side, tmp_path):
    stats, _, _ = obtain()
    records = dataset.open_records(str(tmp_path / "data"), 32, number_classes=3)
    batches = list(dataset.evaluation_batches(records, COUNT, batch_size=7, seed=0))
    pool = np.concatenate(
        [real_side.classifier(data_records.to_float(images))[0] for images, _ in batches]
    )
    np.testing.assert_allclose(stats.features.pool, pool, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(stats.moments.mu, pool.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        stats.moments.sigma, np.cov(pool, rowvar=False), rtol=1e-3, atol=1e-5
    )
    np.testing.assert_array_equal(
        stats.features.labels, np.concatenate([labels for _, labels in batches])
    )


def test_second_time_reads_no_image_and_gives_the_same(obtain, tmp_path):
    first, lines, read = obtain()
    assert read
    assert lines[-1].startswith(f"real statistics: computed, and kept in {tmp_path}/stats/")
    second, lines, read = obtain()
    assert not read
    assert lines == [f"real statistics: {second.source}"]
    np.testing.assert_array_equal(second.moments.sigma, first.moments.sigma)
    np.testing.assert_array_equal(second.features.pool, first.features.pool)
    np.testing.assert_array_equal(second.features.labels, first.features.labels)
    assert second.features.inception_score == first.features.inception_score
    assert not list((tmp_path / "stats").glob("*.tmp"))


def test_same_images_elsewhere_are_the_same_data(obtain_again, tmp_path):
    (tmp_path / "moved").mkdir()
    for path in (tmp_path / "data").iterdir():
        path.rename(tmp_path / "moved" / path.name.replace("part", "shard"))
    _, _, read = obtain_again(tmp_path / "moved")
    assert not read


@pytest.mark.parametrize(
    "changes", [{"count": COUNT - 1}, {"seed": 1}, {"is_splits": 5}, {"stats_dir": ""}]
)
def test_other_settings_are_other_statistics(obtain_again, changes):
    _, _, read = obtain_again(**changes)
    assert read


@pytest.mark.slow
def test_all_images_are_the_same_with_another_seed(obtain):
    first, _, _ = obtain(count=COUNT + 9)
    cached, _, read = obtain(count=COUNT + 9, seed=1)
    assert not read
    computed, _, read = obtain(count=COUNT + 9, seed=1, stats_dir="")
    assert read
    np.testing.assert_allclose(
        computed.features.inception_score, first.features.inception_score, rtol=1e-6
    )
    assert cached.features.inception_score == first.features.inception_score


def test_split_is_said_and_does_not_decide(obtain_again):
    assert obtain_again()[0].about["split"] == "train"
    stats, _, read = obtain_again(real_split="validation", validation_dir="elsewhere")
    assert not read
    assert stats.about["split"] == "validation"


def test_other_images_under_the_same_names_are_other_statistics(obtain_again, tmp_path):
    first, _, _ = obtain_again()
    path = tmp_path / "data" / "part-0.tfrecords"
    size = path.stat().st_size
    write_records(path, random_images(35, seed=8), np.arange(35) % 3)
    assert path.stat().st_size == size
    second, _, read = obtain_again()
    assert read
    assert second.about["fingerprint"] != first.about["fingerprint"]


@pytest.mark.slow
def test_damaged_record_is_named_and_leaves_nothing(obtain, tmp_path):
    path = tmp_path / "data" / "part-0.tfrecords"
    flip_a_bit(path)
    with pytest.raises(errors.UserError, match=f"^{path}: record 17 cannot be used: the file is"):
        obtain(count=COUNT + 9)
    assert list((tmp_path / "stats").iterdir()) == []
