import io
import zipfile

import numpy as np
import pytest

from sagan_tf import errors
from sagan_tf.bridges import npz_file


class Call:
    """What a pickle would call."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return (open, (str(self._path), "w"))


def message(path):
    with pytest.raises(errors.UserError) as raised:
        npz_file.read(str(path))
    text = str(raised.value)
    assert text.startswith(f"--path={path}: ")
    assert "\n" not in text
    return text


def member(values):
    """An array as a file of NumPy."""
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def packed(tmp_path, **contents):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_by_name(save, tmp_path):
    path = tmp_path / "a.npz"
    save(path, **{"l1/W": np.arange(6.0).reshape(2, 3), "b7/N": 4})
    found = npz_file.read(str(path))
    assert set(found) == {"l1/W", "b7/N"}
    np.testing.assert_array_equal(found["l1/W"], [[0, 1, 2], [3, 4, 5]])
    assert found["b7/N"] == 4


def test_pickled_array_is_not_executed(tmp_path):
    touched = tmp_path / "touched"
    path = tmp_path / "a.npz"
    np.savez(path, x=np.array([Call(touched)], dtype=object))
    assert "without pickles (Object arrays cannot be loaded" in message(path)
    assert not touched.exists()


@pytest.mark.parametrize(
    "content", [b"", b"no archive", member(np.zeros(3)), b"PK\x03\x04" + 30 * b"\x00"]
)
def test_other_files(content, tmp_path):
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert "expected an .npz file of NumPy" in message(path)


def test_cut_file(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.random.default_rng(0).normal(size=100))
    path.write_bytes(path.read_bytes()[:-200])
    assert "expected an .npz file of NumPy" in message(path)


@pytest.mark.parametrize("values", [np.array(["a"]), np.zeros(2, np.complex64), b"no array"])
def test_what_is_no_number(values, tmp_path):
    content = values if isinstance(values, bytes) else member(values)
    assert "x holds no array of numbers" in message(packed(tmp_path, **{"x.npy": content}))


def test_header_that_asks_for_more_than_there_is(tmp_path):
    """A header of 10^15 numbers before none."""
    honest = member(np.zeros(10**6))
    header = honest[: len(honest) - 8 * 10**6]
    huge = header.replace(b"(1000000,), }", b"(10**15,), } ".replace(b"10**15", b"1" + 15 * b"0"))
    text = message(packed(tmp_path, **{"x.npy": huge[: len(header)]}))
    assert "expected an .npz file of NumPy" in text


def test_zeros_that_would_fill_the_memory(tmp_path):
    """Deflate makes a thousandth of them."""
    path = packed(tmp_path, **{"x.npy": member(np.zeros(10**6))})
    assert "its arrays are said to have 8,000,128 bytes; a file of this size can have" in message(
        path
    )
