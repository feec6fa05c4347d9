import io
import itertools
import os
import tarfile

import numpy as np
import pytest
from PIL import Image

from sagan_tf import errors
from sagan_tf.data import sources
from tests.testing import make_pictures, make_tar


def names(source, **options):
    listing = sources.open_source(str(source), **options)
    return [(item.key, item.label) for item in listing.pictures]


def test_labels_follow_sorted_folder_names(tmp_path):
    make_pictures(tmp_path, {"cat": 2, "ant": 1, "bee": 1})
    assert names(tmp_path) == [
        ("ant/0.png", 0),
        ("bee/0.png", 1),
        ("cat/0.png", 2),
        ("cat/1.png", 2),
    ]
    assert sources.open_source(str(tmp_path)).class_names == ("ant", "bee", "cat")


def test_classes_choose_and_order_the_labels(tmp_path):
    make_pictures(tmp_path, {"cat": 1, "ant": 1, "bee": 1})
    assert names(tmp_path, classes=["cat", "ant"]) == [("cat/0.png", 0), ("ant/0.png", 1)]
    with pytest.raises(errors.UserError, match="--classes: 'dog' is not in --source=.*ant, bee, c"):
        names(tmp_path, classes=["dog"])


def test_limit_takes_the_first_of_each_class(tmp_path):
    make_pictures(tmp_path, {"ant": 3, "bee": 1})
    assert names(tmp_path, limit_per_class=2) == [
        ("ant/0.png", 0),
        ("ant/1.png", 0),
        ("bee/0.png", 1),
    ]


def test_odd_files_and_folders(tmp_path):
    """Folders within folders count, a link back up ends, litter and hidden files are left out."""
    make_pictures(tmp_path, {"ant": 1})
    below = tmp_path / "ant" / "below it"
    below.mkdir()
    for name in ("a\nb.png", "ä 1.JPEG", ".hidden.png", "Thumbs.db", "no suffix"):
        (below / name).write_bytes(b"x")
    (below / "up").symlink_to(tmp_path / "ant")
    (below / "top").symlink_to(tmp_path)  # would make every picture an ant
    (below / "self").symlink_to(below / "self")
    with open(os.fsencode(below) + b"/\xff\xfe.png", "wb") as file:
        file.write(b"y")
    (tmp_path / ".git").mkdir()
    (tmp_path / "a file").write_text("beside the classes")
    found = [key for key, _ in names(tmp_path)]
    expected = [
        "ant/0.png",
        *(
            f"ant/below it/{name}"
            for name in ("a\nb.png", "no suffix", "self", "ä 1.JPEG", os.fsdecode(b"\xff\xfe.png"))
        ),
    ]
    assert found == expected
    assert len(sources.open_source(str(tmp_path)).fingerprint) == 64


def test_folder_may_be_a_link(tmp_path):
    make_pictures(tmp_path / "real", {"ant": 2})
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "bee").symlink_to(tmp_path / "real" / "ant")
    assert names(tmp_path / "linked") == [("bee/0.png", 0), ("bee/1.png", 0)]


def test_pictures_without_folders_are_one_class(tmp_path):
    make_pictures(tmp_path, {"flat": 3})
    source = sources.open_source(str(tmp_path / "flat"))
    assert source.class_names == ("pictures",)
    assert names(tmp_path / "flat") == [(f"pictures/{i}.png", 0) for i in range(3)]
    (tmp_path / "flat").rename(tmp_path / "moved")
    (tmp_path / "moved" / "Thumbs.db").write_text("of a file manager")
    assert sources.open_source(str(tmp_path / "moved")).fingerprint == source.fingerprint


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda path: None, "it holds no folders; expected one for each class"),
        (lambda path: (path / "ant").mkdir(), "class 'ant' holds no files"),
    ],
)
def test_source_without_pictures_is_refused(tmp_path, prepare, message):
    prepare(tmp_path)
    with pytest.raises(errors.UserError, match=message):
        sources.open_source(str(tmp_path))


def test_absent_source_says_what_is_expected(tmp_path):
    with pytest.raises(errors.UserError, match=r"--source=.*/absent: there is no such file or dir"):
        sources.open_source(str(tmp_path / "absent"))


def test_tar_of_tars_lists_as_its_folder_does(tmp_path):
    make_pictures(tmp_path / "train", {"n01440764": 3, "n01443537": 2})
    make_tar(tmp_path / "train", tmp_path / "train.tar")
    from_tar = sources.open_source(str(tmp_path / "train.tar"))
    from_folder = sources.open_source(str(tmp_path / "train"))
    assert from_tar.fingerprint == from_folder.fingerprint
    assert from_tar.kind == "tar"
    for inside, outside in zip(from_tar.pictures, from_folder.pictures):
        assert (inside.key, inside.label) == (outside.key, outside.label)
        assert inside.source.read() == outside.source.read()


def test_tar_of_class_folders(tmp_path):
    make_pictures(tmp_path / "train", {"ant": 2, "bee": 1})
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(tmp_path / "train", "train")
    assert names(tmp_path / "all.tar") == [("ant/0.png", 0), ("ant/1.png", 0), ("bee/0.png", 1)]


def test_folders_within_a_tars_class_folders_count_as_in_a_folder(tmp_path):
    make_pictures(tmp_path / "train", {"cat": 1, "dog": 1})
    make_pictures(tmp_path / "train" / "cat", {"sub": 1})
    make_pictures(tmp_path / "train" / "dog", {"sub": 1})
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(tmp_path / "train", ".")
    assert (
        names(tmp_path / "all.tar")
        == names(tmp_path / "train")
        == [("cat/0.png", 0), ("cat/sub/0.png", 0), ("dog/0.png", 1), ("dog/sub/0.png", 1)]
    )


def test_tar_of_links_is_refused(tmp_path):
    make_pictures(tmp_path / "train", {"ant": 1, "bee": 1})
    os.link(tmp_path / "train" / "ant" / "0.png", tmp_path / "train" / "bee" / "twin.png")
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(tmp_path / "train", "train")
    with pytest.raises(errors.UserError, match="is a link or sparse; pack the files themselves"):
        sources.open_source(str(tmp_path / "all.tar"))


def test_class_tar_of_no_bytes_is_an_empty_class(tmp_path):
    make_pictures(tmp_path / "train", {"ant": 1})
    with tarfile.open(make_tar(tmp_path / "train", tmp_path / "x.tar"), "a") as archive:
        archive.addfile(tarfile.TarInfo("bee.tar"))
        archive.addfile(tarfile.TarInfo("cat.tar"))
    with pytest.raises(errors.UserError, match="class 'bee' holds no files"):
        sources.open_source(str(tmp_path / "x.tar"))


def whole_tar(tmp_path):
    make_pictures(tmp_path / "train", {"ant": 3, "bee": 2})
    return make_tar(tmp_path / "train", tmp_path / "train.tar")


@pytest.mark.parametrize("kept", [0.3, 0.5, 0.8, 0.99])
def test_cut_tar_is_refused(tmp_path, kept):
    path = whole_tar(tmp_path)
    content = path.read_bytes().rstrip(b"\0")
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(errors.UserError, match=r"train.tar: not a tar, or a damaged one \("):
        sources.open_source(str(path))


@pytest.mark.parametrize("content", [b"", b"not a tar at all" * 100])
def test_something_else_is_no_tar(tmp_path, content):
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(errors.UserError, match="x.tar: not a tar, or a damaged one"):
        sources.open_source(str(tmp_path / "x.tar"))


def test_class_tar_that_is_none_is_refused(tmp_path):
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        member = tarfile.TarInfo("n01440764.tar")
        member.size = 2000
        archive.addfile(member, io.BytesIO(b"garbage!" * 250))
    with pytest.raises(errors.UserError, match="x.tar: not a tar, or a damaged one"):
        sources.open_source(str(tmp_path / "x.tar"))


def test_compressed_tar_is_refused(tmp_path):
    make_pictures(tmp_path / "train", {"ant": 1})
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "train", "train")
    with pytest.raises(errors.UserError, match="expected an uncompressed tar"):
        sources.open_source(str(tmp_path / "x.tar.gz"))


def test_shards_hold_everything_once_in_an_order_of_the_seed(tmp_path):
    make_pictures(tmp_path, {"ant": 30, "bee": 10})
    listing = sources.open_source(str(tmp_path))
    shards = [[item.key for item in listing.shard(i, 3, seed=0)] for i in range(3)]
    assert [len(shard) for shard in shards] == [13, 13, 14]
    assert sorted(itertools.chain(*shards)) == sorted(item.key for item in listing.pictures)
    assert len({key.split("/")[0] for key in shards[0]}) == 2  # no longer sorted by class
    other = [[item.key for item in listing.shard(i, 3, seed=1)] for i in range(3)]
    assert other != shards


def test_fingerprint_sees_names_labels_and_sizes(tmp_path):
    make_pictures(tmp_path, {"ant": 2, "bee": 2})
    before = sources.open_source(str(tmp_path)).fingerprint
    assert sources.open_source(str(tmp_path)).fingerprint == before
    assert sources.open_source(str(tmp_path), ["bee", "ant"]).fingerprint != before
    Image.fromarray(np.zeros((99, 99, 3), np.uint8)).save(tmp_path / "ant" / "0.png")
    changed = sources.open_source(str(tmp_path)).fingerprint
    assert changed != before
    (tmp_path / "ant" / "0.png").rename(tmp_path / "ant" / "9.png")
    assert sources.open_source(str(tmp_path)).fingerprint not in (before, changed)
