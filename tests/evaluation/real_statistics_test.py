"""The real side: computed once, kept, brought, exported; a cache that lies is not believed."""

import json
import os
import time

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import config, errors
from sagan_tf.data import dataset
from sagan_tf.data import records as data_records
from sagan_tf.evaluation import features, inception, metrics, real_statistics
from sagan_tf.runtime import distribution
from tests.testing import NO_DISK, make_data, random_images, small_disk, write_records

COUNT = 60


@pytest.fixture(name="extractor", scope="module")
def fixture_extractor():
    strategy = distribution.make_evaluation_strategy(config.EvalConfig())
    with strategy.scope():
        return features.Extractor(inception.load("data/digits_classifier"), strategy, batch_size=25)


@pytest.fixture(name="obtain")
def fixture_obtain(tmp_path, extractor):
    """(settings) -> statistics, lines that were noted, whether images were read."""
    data = make_data(tmp_path / "data", count=COUNT + 9)

    def obtain(directory=data, count=COUNT, **settings):
        eval_config = config.EvalConfig(**{"stats_dir": str(tmp_path / "stats"), **settings})
        records = None
        if not eval_config.real_stats:
            records = dataset.open_records(str(directory), 32, number_classes=3)
        lines, before = [], extractor.stopwatch._images.get("read", 0)
        stats = real_statistics.obtain(
            eval_config, records, count=count, extractor=extractor, note=lines.append
        )
        return stats, lines, extractor.stopwatch._images.get("read", 0) > before

    return obtain


def test_statistics_are_those_of_the_chosen_images(obtain, extractor, tmp_path):
    stats, _, _ = obtain()
    records = dataset.open_records(str(tmp_path / "data"), 32, number_classes=3)
    batches = list(dataset.evaluation_batches(records, COUNT, batch_size=7, seed=0))
    pool = np.concatenate(
        [extractor.classifier(data_records.to_float(images))[0] for images, _ in batches]
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


def test_same_images_elsewhere_are_the_same_data(obtain, tmp_path):
    obtain()
    (tmp_path / "moved").mkdir()
    for path in (tmp_path / "data").iterdir():
        path.rename(tmp_path / "moved" / path.name.replace("part", "shard"))
    _, _, read = obtain(tmp_path / "moved")
    assert not read


@pytest.mark.parametrize(
    "changes", [{"count": COUNT - 1}, {"seed": 1}, {"is_splits": 5}, {"stats_dir": ""}]
)
def test_other_settings_are_other_statistics(obtain, changes):
    obtain()
    _, _, read = obtain(**changes)
    assert read


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


def test_split_is_said_and_does_not_decide(obtain):
    assert obtain()[0].about["split"] == "train"
    stats, _, read = obtain(real_split="validation", validation_dir="elsewhere")
    assert not read
    assert stats.about["split"] == "validation"


def test_other_images_under_the_same_names_are_other_statistics(obtain, tmp_path):
    first, _, _ = obtain()
    path = tmp_path / "data" / "part-0.tfrecords"
    size = path.stat().st_size
    write_records(path, random_images(35, seed=8), np.arange(35) % 3)
    assert path.stat().st_size == size
    second, _, read = obtain()
    assert read
    assert second.about["fingerprint"] != first.about["fingerprint"]


def cut_off(path):
    path.write_bytes(path.read_bytes()[:1000])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("ending", [".npz", ".features.npy"])
@pytest.mark.parametrize("damage", [cut_off, flip_a_bit])
def test_damaged_cache_is_noticed_and_made_anew(obtain, tmp_path, ending, damage):
    first, _, _ = obtain()
    (path,) = (tmp_path / "stats").glob("*" + ending)
    damage(path)
    again, lines, read = obtain()
    assert read
    assert "damaged or stale (" in lines[0]
    np.testing.assert_array_equal(again.moments.sigma, first.moments.sigma)
    assert not obtain()[2]


@pytest.mark.parametrize("lacking", ["about", "mu", "inception_score", "features_sha256"])
def test_cache_that_lacks_something_is_made_anew(obtain, tmp_path, lacking):
    obtain()
    (path,) = (tmp_path / "stats").glob("*.npz")
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files if name != lacking}
    np.savez_compressed(path, **content)
    _, lines, read = obtain()
    assert read
    assert "damaged or stale (" in lines[0]


def test_cache_that_is_a_plain_array_is_made_anew(obtain, tmp_path):
    obtain()
    (path,) = (tmp_path / "stats").glob("*.npz")
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    _, lines, read = obtain()
    assert read
    assert "damaged or stale (" in lines[0]


def test_leftovers_of_killed_processes_go_after_a_day(obtain, tmp_path):
    obtain()
    names = [
        "0123456789abcdef.features.77.tmp",
        "0123456789abcdef.npz.ab12.tmp",
        "0123456789abcdef.features.99.tmp",
        "notes.tmp",
    ]
    before = set(os.listdir(tmp_path / "stats"))
    for name, days in zip(names, (1.1, 40, 0.9, 40)):
        (tmp_path / "stats" / name).write_bytes(b"half")
        then = time.time() - days * 86400
        os.utime(tmp_path / "stats" / name, (then, then))
    assert not obtain()[2]
    assert set(os.listdir(tmp_path / "stats")) == before | set(names[2:])


def test_two_attempts_write_to_files_of_their_own(obtain, tmp_path, extractor, monkeypatch):
    seen, collect = [], extractor.collect

    def look(*args, **settings):
        if len(seen) < 2:
            seen.append(set(os.listdir(tmp_path / "stats")))
        if len(seen) == 1:
            obtain()
        return collect(*args, **settings)

    monkeypatch.setattr(extractor, "collect", look)
    obtain()
    assert len(seen[0]) == 1
    assert len(seen[1] - seen[0]) == 1
    assert not list((tmp_path / "stats").glob("*.tmp"))
    assert not obtain()[2]


def test_damaged_record_is_named_and_leaves_nothing(obtain, tmp_path):
    path = tmp_path / "data" / "part-0.tfrecords"
    flip_a_bit(path)
    with pytest.raises(errors.UserError, match=f"^{path}: record 17 cannot be used: the file is"):
        obtain(count=COUNT + 9)
    assert list((tmp_path / "stats").iterdir()) == []


def test_want_of_memory_is_not_taken_for_a_full_disk(obtain, tmp_path, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(metrics, "moments", fail)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="out of memory"):
        obtain()
    assert list((tmp_path / "stats").iterdir()) == []


def test_stats_dir_that_cannot_be_made_is_named_before_any_image_is_read(
    obtain, tmp_path, extractor
):
    (tmp_path / "file").write_text("a file")
    before = extractor.stopwatch._images.get("read", 0)
    with pytest.raises(errors.UserError) as error:
        obtain(stats_dir=f"{tmp_path}/file/stats")
    assert str(error.value).startswith(f"--stats_dir={tmp_path}/file/stats: cannot be written to (")
    assert "\n" not in str(error.value)
    assert extractor.stopwatch._images.get("read", 0) == before


def test_cache_of_something_else_under_this_name_is_not_taken(obtain, tmp_path):
    obtain()
    (path,) = (tmp_path / "stats").glob("*.npz")
    with np.load(path) as archive:
        content = dict(archive)
    content["about"] = str(content["about"]).replace('"images": 60', '"images": 61')
    np.savez(path, **content)
    _, lines, read = obtain()
    assert read
    assert "it is of other data" in lines[0]


def test_unfinished_computation_leaves_nothing_that_is_taken(obtain, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(metrics, "moments", fail)
        with pytest.raises(KeyboardInterrupt):
            obtain()
    assert list((tmp_path / "stats").iterdir()) == []
    assert obtain()[2]


def test_exported_statistics_come_back(obtain, tmp_path):
    path = tmp_path / "new" / "stats.npz"
    path.parent.mkdir()
    first, lines, _ = obtain(export_real_stats=str(path))
    assert lines[-1] == f"real statistics written to {path}"
    second, _, read = obtain(real_stats=str(path))
    assert not read
    np.testing.assert_array_equal(second.moments.sigma, first.moments.sigma)
    assert second.about["fingerprint"] == first.about["fingerprint"]
    assert second.about["images"] == COUNT
    assert second.about["split"] == "train"
    with np.load(path) as archive:
        assert "seed" not in json.loads(str(archive["about"]))
    assert second.features is None


def test_statistics_as_pytorch_fid_writes_them(obtain, tmp_path):
    np.savez(tmp_path / "theirs.npz", mu=np.arange(64.0), sigma=np.eye(64))
    stats, _, _ = obtain(real_stats=str(tmp_path / "theirs.npz"))
    np.testing.assert_array_equal(stats.moments.mu, np.arange(64))
    assert stats.about["images"] is None
    assert stats.about["fingerprint"].startswith("file:")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"mu": np.zeros(64)}, "expected an .npz with mu .*sigma"),
        ({"mu": np.zeros(64), "sigma": np.eye(63)}, r"got \(64,\) and \(63, 63\)"),
        ({"mu": np.full(64, np.nan), "sigma": np.eye(64)}, "finite"),
        (
            {"mu": np.zeros(8), "sigma": np.eye(8)},
            "it is of 8 features, and the classifier gives 64",
        ),
        (
            {"mu": np.zeros(64), "sigma": np.eye(64), "about": '{"classifier_sha256": "abc"}'},
            "made with classifier_sha256 abc, and the generated images are judged with",
        ),
        ({"mu": np.zeros(64), "sigma": np.eye(64), "about": "{"}, "expected an .npz"),
        ({"mu": np.zeros(64), "sigma": np.eye(64), "about": "[]"}, r"about is \[\], and no"),
        ({"mu": np.float64(1), "sigma": np.eye(64)}, r"got \(\) and \(64, 64\)"),
        ({"mu": np.zeros(0), "sigma": np.zeros([0, 0])}, r"got \(0,\) and \(0, 0\)"),
        ({"mu": np.zeros(64), "sigma": np.eye(64) + np.eye(64, k=1)}, "sigma is not symmetric"),
        ({"mu": np.zeros(64), "sigma": -2 * np.eye(64)}, "sigma has -2 on its diagonal"),
    ],
)
def test_unfit_file_is_one_line(obtain, tmp_path, content, message):
    np.savez(tmp_path / "theirs.npz", **content)
    with pytest.raises(errors.UserError, match=message) as error:
        obtain(real_stats=str(tmp_path / "theirs.npz"))
    assert "\n" not in str(error.value)


def test_plain_array_is_one_line(obtain, tmp_path):
    np.save(tmp_path / "theirs.npy", np.zeros(64))
    with pytest.raises(
        errors.UserError, match=(f"--real_stats={tmp_path}/theirs.npy: expected an .npz with mu ")
    ) as error:
        obtain(real_stats=str(tmp_path / "theirs.npy"))
    assert "\n" not in str(error.value)


def test_damaged_compressed_file_is_one_line(obtain, tmp_path):
    path = tmp_path / "theirs.npz"
    np.savez_compressed(path, mu=np.zeros(64), sigma=np.eye(64))
    content = bytearray(path.read_bytes())
    content[60:] = bytes(byte ^ 0xFF for byte in content[60:90]) + content[90:]
    path.write_bytes(bytes(content))
    with pytest.raises(errors.UserError, match="expected an .npz .*decompressing") as error:
        obtain(real_stats=str(path))
    assert "\n" not in str(error.value)


def test_covariance_that_float32_made_uneven_is_taken(obtain, tmp_path):
    uneven = np.eye(64) + np.random.default_rng(0).normal(0, 1e-7, (64, 64))
    np.savez(tmp_path / "theirs.npz", mu=np.zeros(64, np.float32), sigma=uneven.astype(np.float32))
    stats, _, _ = obtain(real_stats=str(tmp_path / "theirs.npz"))
    np.testing.assert_allclose(stats.moments.sigma, np.eye(64), atol=1e-6)


@pytest.mark.parametrize("filler", [215_000, 250_000])
def test_full_disk_is_one_line_and_leaves_nothing(obtain, tmp_path, filler):
    """No space for the features, or for what comes after them."""
    with small_disk(tmp_path / "disk", "256k") as disk:
        if not disk:
            pytest.skip(NO_DISK)
        (disk / "filler").write_bytes(b"x" * filler)
        with pytest.raises(
            errors.UserError, match=(f"^--stats_dir={disk}/stats: cannot be written to")
        ) as error:
            obtain(stats_dir=str(disk / "stats"))
        assert "\n" not in str(error.value)
        left = list((disk / "stats").iterdir())
    assert not [path for path in left if path.suffix in (".npz", ".tmp")]
