"""Statistics of real images that are exported and brought in files."""

import json

import numpy as np
import pytest

from sagan_tf import errors
from tests.evaluation.conftest import COUNT


@pytest.mark.slow
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
            "it holds 8 features, but the classifier gives 64",
        ),
        (
            {"mu": np.zeros(64), "sigma": np.eye(64), "about": '{"classifier_sha256": "abc"}'},
            "made with classifier_sha256 abc, but the generated images are scored with",
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


def test_text_is_not_taken_for_a_pickle(obtain, tmp_path):
    (tmp_path / "theirs.npz").write_text("mu, sigma\n")
    with pytest.raises(errors.UserError, match=r"expected .* \(it is not an .npz file\)$"):
        obtain(real_stats=str(tmp_path / "theirs.npz"))


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


def test_exported_statistics_come_back(obtain_again, tmp_path):
    path = tmp_path / "new" / "stats.npz"
    path.parent.mkdir()
    first, lines, _ = obtain_again(export_real_stats=str(path))
    assert lines[-1] == f"real statistics written to {path}"
    second, _, read = obtain_again(real_stats=str(path))
    assert not read
    np.testing.assert_array_equal(second.moments.sigma, first.moments.sigma)
    assert second.about["fingerprint"] == first.about["fingerprint"]
    assert second.about["images"] == COUNT
    assert second.about["split"] == "train"
    with np.load(path) as archive:
        assert "seed" not in json.loads(str(archive["about"]))
    assert second.features is None
