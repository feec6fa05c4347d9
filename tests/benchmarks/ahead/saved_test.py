"""Programs in files."""

import pytest

from sagan_tf import errors
from sagan_tf.benchmarks.ahead import saved

PROGRAM = saved.Program(
    text="module @x {\n}\n",
    arguments=[
        saved.Argument("images", "uint8", (2, 4, 4, 3), 256, 0.0, 0.0),
        saved.Argument("generator/w", "float32", (3,), 0, 0.5, 0.25),
    ],
    fed_back={1: 1},
    predicted={"device": "h100", "roofline_seconds": {"kernels": 0.1}},
)


def test_what_is_written_is_read(tmp_path):
    path = str(tmp_path / "x.mlir")
    saved.write(path, PROGRAM)
    found = saved.read(path)
    assert found.text == PROGRAM.text
    assert found.fed_back == {1: 1}
    assert found.predicted == PROGRAM.predicted
    assert [(one.name, list(one.shape), one.deviation) for one in found.arguments] == [
        ("images", [2, 4, 4, 3], 0.0),
        ("generator/w", [3], 0.25),
    ]
    # The line in front is a comment of MLIR's.
    assert (tmp_path / "x.mlir").read_text().startswith("// ")


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.mlir"
    path.write_text("module @x {\n}\n")
    with pytest.raises(errors.UserError, match=r"--run=.*x.mlir: cannot be read \(it has no line"):
        saved.read(str(path))
    with pytest.raises(errors.UserError, match="No such file"):
        saved.read(str(tmp_path / "y.mlir"))
    with pytest.raises(errors.UserError, match="--save=.*: cannot be written"):
        saved.write(str(tmp_path / "no" / "x.mlir"), PROGRAM)
    path.write_text('// sagan-tf program: {"arguments": [], "fed_back": {}, "predicted": null}\n')
    with pytest.raises(errors.UserError, match="cannot be read"):
        saved.read(str(path))


def test_whether_a_file_can_be_written_is_known_before(tmp_path):
    path = tmp_path / "x.json"
    saved.require_writable(str(path), flag="json")
    assert not path.exists()
    path.write_text("before")
    saved.require_writable(str(path), flag="json")
    assert path.read_text() == "before"
    with pytest.raises(errors.UserError, match="--json=.*: cannot be written"):
        saved.require_writable(str(tmp_path), flag="json")
