"""A cache of statistics that lies is not believed, and what fails leaves nothing."""

import os
import time

import numpy as np
import pytest
import tensorflow as tf

from sagan_tf import errors
from sagan_tf.evaluation import metrics
from tests.testing import NO_DISK, small_disk


def cut_off(path):
    path.write_bytes(path.read_bytes()[:1000])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.slow
@pytest.mark.parametrize("ending", [".npz", ".features.npy"])
@pytest.mark.parametrize("damage", [cut_off, flip_a_bit])
def test_damaged_cache_is_noticed_and_made_anew(obtain_again, tmp_path, ending, damage):
    first, _, _ = obtain_again()
    (path,) = (tmp_path / "stats").glob("*" + ending)
    damage(path)
    again, lines, read = obtain_again()
    assert read
    assert "damaged or stale (" in lines[0]
    np.testing.assert_array_equal(again.moments.sigma, first.moments.sigma)
    assert not obtain_again()[2]


@pytest.mark.slow
@pytest.mark.parametrize("lacking", ["about", "mu", "inception_score", "features_sha256"])
def test_cache_that_lacks_something_is_made_anew(obtain_again, tmp_path, lacking):
    (path,) = (tmp_path / "stats").glob("*.npz")
    with np.load(path) as archive:
        content = {name: archive[name] for name in archive.files if name != lacking}
    np.savez_compressed(path, **content)
    _, lines, read = obtain_again()
    assert read
    assert "damaged or stale (" in lines[0]


def test_cache_that_is_a_plain_array_is_made_anew(obtain_again, tmp_path):
    (path,) = (tmp_path / "stats").glob("*.npz")
    with open(path, "wb") as file:
        np.save(file, np.zeros(3))
    _, lines, read = obtain_again()
    assert read
    assert "damaged or stale (" in lines[0]


def test_leftovers_of_killed_processes_go_after_a_day(obtain_again, tmp_path):
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
    assert not obtain_again()[2]
    assert set(os.listdir(tmp_path / "stats")) == before | set(names[2:])


@pytest.mark.slow
def test_two_attempts_write_to_files_of_their_own(obtain, tmp_path, real_side, monkeypatch):
    seen, collect = [], real_side.extractor.collect

    def look(*args, **settings):
        if len(seen) < 2:
            seen.append(set(os.listdir(tmp_path / "stats")))
        if len(seen) == 1:
            obtain()
        return collect(*args, **settings)

    monkeypatch.setattr(real_side.extractor, "collect", look)
    obtain()
    assert len(seen[0]) == 1
    assert len(seen[1] - seen[0]) == 1
    assert not list((tmp_path / "stats").glob("*.tmp"))
    assert not obtain()[2]


def test_want_of_memory_is_not_taken_for_a_full_disk(obtain, tmp_path, monkeypatch):
    def fail(*_):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory")

    monkeypatch.setattr(metrics, "moments", fail)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="out of memory"):
        obtain()
    assert list((tmp_path / "stats").iterdir()) == []


def test_stats_dir_that_cannot_be_made_is_named_before_any_image_is_read(
    obtain, tmp_path, real_side
):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(errors.UserError) as error:
        obtain(stats_dir=f"{tmp_path}/file/stats")
    assert str(error.value).startswith(f"--stats_dir={tmp_path}/file/stats: cannot be written to (")
    assert "\n" not in str(error.value)
    assert not real_side.has_read()


def test_cache_of_something_else_under_this_name_is_not_taken(obtain_again, tmp_path):
    (path,) = (tmp_path / "stats").glob("*.npz")
    with np.load(path) as archive:
        content = dict(archive)
    content["about"] = str(content["about"]).replace('"images": 60', '"images": 61')
    np.savez(path, **content)
    _, lines, read = obtain_again()
    assert read
    assert "it belongs to other data" in lines[0]


@pytest.mark.slow
def test_unfinished_computation_leaves_nothing_that_is_taken(obtain, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(metrics, "moments", fail)
        with pytest.raises(KeyboardInterrupt):
            obtain()
    assert list((tmp_path / "stats").iterdir()) == []
    assert obtain()[2]


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
