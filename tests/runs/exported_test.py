import pytest

from sagan_tf import errors
from sagan_tf.runs import exported
from sagan_tf.viewing import trained


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("models/M", "models/M/eval"),
        ("models/M/generator.keras", "models/M/eval"),
        ("models/small.keras", "models/eval/small"),
        ("small.keras", "eval/small"),
        ("generator.keras", "eval"),
    ],
)
def test_scores_lie_beside_the_file(path, expected):
    assert exported.eval_directory(path) == expected


def test_file_alone_is_an_exported_model_too(tmp_path):
    (tmp_path / "generator.keras").write_bytes(b"")
    for path in (tmp_path, tmp_path / "generator.keras"):
        assert exported.is_exported(str(path))
        assert trained.is_exported(str(path))
    for path in (tmp_path / "absent", tmp_path / "absent.keras"):
        assert not exported.is_exported(str(path))


def test_what_export_did_not_write_is_refused(tmp_path):
    (tmp_path / "generator.keras").write_bytes(b"no archive")
    for read in (exported.read_card, exported.load):
        with pytest.raises(errors.UserError) as error:
            read(str(tmp_path))
        assert str(error.value).startswith(f"--run={tmp_path}: expected a model that export wrote")
        assert "\n" not in str(error.value)
