import io
import json
import os
import pathlib
import signal
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import check, dataset, dataset_info, preprocessing, resume
from sagan_tf.data import faults as data_faults
from sagan_tf.data import prepare as data_prepare
from tests import processes
from tests.testing import NO_DISK, enlarge, make_pictures, make_tar, small_disk

COUNTS = {"n01440764": 20, "n01443537": 14, "n02012849": 11}


@pytest.fixture(name="source", scope="module")
def fixture_source(tmp_path_factory):
    return make_pictures(tmp_path_factory.mktemp("source") / "train", COUNTS)


def prepare(source, out, stream=None, **options):
    given = config.PrepareConfig(
        **{
            "source": str(source),
            "out": str(out),
            "size": 32,
            "shards": 4,
            "workers": 1,
            "resize": "clean",
            **options,
        }
    )
    return data_prepare.prepare(given, stream or io.StringIO())


@pytest.fixture(name="finished", scope="module")
def fixture_finished(source, tmp_path_factory):
    """A whole preparation: (directory, info, what it printed)."""
    out, stream = tmp_path_factory.mktemp("finished") / "out", io.StringIO()
    info = prepare(source, out, stream)
    return out, info, stream.getvalue()


def content(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def records_of(directory):
    """(pixels or file, label) of every record, files in order."""
    for path in sorted(directory.glob("*.tfrecords")):
        for serialized in tf.data.TFRecordDataset(str(path)):
            feature = tf.train.Example.FromString(serialized.numpy()).features.feature
            name = "image_raw" if "image_raw" in feature else "image"
            yield feature[name].bytes_list.value[0], feature["label"].int64_list.value[0]


def test_every_picture_becomes_one_record(source, finished):
    out, _, _ = finished
    files = [
        (pathlib.Path(source, name, f"{i}.png"), label)
        for label, (name, count) in enumerate(COUNTS.items())
        for i in range(count)
    ]
    expected = {
        (preprocessing.clean(path.read_bytes(), 32).tobytes(), label) for path, label in files
    }
    found = list(records_of(out))
    assert len(found) == sum(COUNTS.values()) == len(expected)
    assert set(found) == expected


def test_dataset_json_says_what_is_there(source, finished):
    out, info, printed = finished
    told = json.loads((out / "dataset.json").read_text())
    assert told["version"] == 1
    assert (told["records"], told["number_classes"], told["image_size"]) == (45, 3, 32)
    assert (told["encoding"], told["resize"], told["source_kind"]) == ("raw", "clean", "folders")
    assert told["source"] == source
    assert told["class_names"] == list(COUNTS)
    assert told["class_counts"] == list(COUNTS.values())
    assert told["class_titles"] == ["tench, Tinca tinca", "goldfish, Carassius auratus", "crane"]
    pixels = np.stack(
        [np.frombuffer(image, np.uint8).reshape(-1, 3) for image, _ in records_of(out)]
    ).astype(float)
    np.testing.assert_allclose(told["channel_mean"], pixels.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(told["channel_deviation"], pixels.std((0, 1)), rtol=1e-9)
    assert dataset_info.read(str(out)) == info
    assert "45 records of 3 classes in 4 shards" in printed
    names = {
        "dataset.json",
        "index.npz",
        "report.txt",
        *(f"train-{i:05}-of-00004.tfrecords" for i in range(4)),
    }
    assert set(content(out)) == names


def test_shards_mix_the_classes(finished):
    out, _, _ = finished
    labels = [label for _, label in records_of(out)]
    assert len(set(labels[:11])) == 3
    assert labels != sorted(labels)


@pytest.mark.process
def test_same_pictures_from_a_tar_with_more_workers_are_the_same_bytes(source, finished, tmp_path):
    tar = make_tar(type(tmp_path)(source), tmp_path / "train.tar")
    prepare(tar, tmp_path / "out", workers=2)
    before, after = content(finished[0]), content(tmp_path / "out")
    told, again = (json.loads(files.pop("dataset.json")) for files in (before, after))
    assert before == after
    assert {name for name in told if told[name] != again[name]} == {"source", "source_kind"}


def test_seed_changes_the_order_alone(source, finished, tmp_path):
    prepare(source, tmp_path / "out", seed=1)
    before, after = list(records_of(finished[0])), list(records_of(tmp_path / "out"))
    assert before != after
    assert sorted(before) == sorted(after)


@pytest.mark.slow
@pytest.mark.parametrize(("encoding", "kind"), [("png", "PNG"), ("jpeg", "JPEG")])
def test_encodings(source, finished, tmp_path, encoding, kind):
    prepare(source, tmp_path / "out", encoding=encoding, quality=90)
    raw = [
        np.frombuffer(image, np.uint8).reshape(32, 32, 3) for image, _ in records_of(finished[0])
    ]
    for pixels, (data, _) in zip(raw, records_of(tmp_path / "out")):
        image = Image.open(io.BytesIO(data))
        assert image.format == kind
        if kind == "PNG":
            np.testing.assert_array_equal(np.asarray(image), pixels)
    records = dataset.open_records(str(tmp_path / "out"), 32, number_classes=3)
    assert records.info.encoding == encoding
    assert data_faults.find_fault(records) is None


def test_limit_and_classes(source, tmp_path):
    (tmp_path / "classes").write_text("n02012849\nn01440764\n")
    info = prepare(source, tmp_path / "out", limit_per_class=3, classes=str(tmp_path / "classes"))
    assert info.class_names == ("n02012849", "n01440764")
    assert info.class_counts == (3, 3)


def test_finished_preparation_is_left_as_it_is(source, finished):
    out, info, _ = finished
    before = {
        name: os.stat(out / name).st_mtime_ns
        for name in content(out)
        if name.endswith(".tfrecords")
    }
    assert prepare(source, out) == info
    assert {name: os.stat(out / name).st_mtime_ns for name in before} == before


def test_lost_shard_is_made_again(source, finished, tmp_path):
    prepare(source, tmp_path / "out")
    (tmp_path / "out" / "train-00002-of-00004.tfrecords").unlink()
    prepare(source, tmp_path / "out")
    assert content(tmp_path / "out") == content(finished[0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 64}, r"made with other settings \(size: 32 there, 64 here\)"),
        ({"resize": "legacy"}, r"\(resize: clean there, legacy here\)"),
        ({"seed": 7}, r"\(seed: 0 there, 7 here\)"),
        ({"limit_per_class": 2}, r"\(source: other source there, these here\)"),
    ],
)
def test_other_settings_are_refused(source, finished, changes, message):
    with pytest.raises(errors.UserError, match=message):
        prepare(source, finished[0], **changes)


def test_other_data_is_refused(source, tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    with pytest.raises(errors.UserError, match=r"holds other data \(letters.txt\)"):
        prepare(source, tmp_path)
    assert os.listdir(tmp_path) == ["letters.txt"]
    with pytest.raises(errors.UserError, match="letters.txt: it is a file"):
        prepare(source, tmp_path / "letters.txt")


def test_records_may_stand_beside_a_readme_and_folders(source, finished, tmp_path):
    """So `--out ./data` works in a clone, where `data` has a README and the embedded digits."""
    (tmp_path / "README.md").write_text("Data")
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / "digits-00000-of-00004.tfrecords").touch()
    prepare(source, tmp_path)
    shards = sorted(path.name for path in tmp_path.glob("*.tfrecords"))
    assert shards == sorted(path.name for path in finished[0].glob("*.tfrecords"))

    # What `dataset.json` does not name is not missed: the directory opens.
    opened = dataset.open_directory(str(tmp_path))
    assert len(opened.records(32, number_classes=len(finished[1].class_names)).files) == 4

    # The same command again finds its own work.
    prepare(source, tmp_path)


def test_out_within_the_source_is_refused(tmp_path):
    source = make_pictures(tmp_path / "source", {"ant": 1})
    with pytest.raises(errors.UserError, match="it lies in --source=.*, and would be taken for a"):
        prepare(source, tmp_path / "source" / "out")
    assert os.listdir(source) == ["ant"]


def test_records_of_somebody_else_beside_ours_are_refused(source, tmp_path):
    prepare(source, tmp_path / "out")
    (tmp_path / "out" / "extra.tfrecords").touch()
    with pytest.raises(errors.UserError, match=r"it holds other data \(extra.tfrecords\)"):
        prepare(source, tmp_path / "out")


@pytest.mark.parametrize("text", ["\ufeffn02012849\r\n\r\nn01440764\r\n", "n02012849\nn01440764"])
def test_classes_may_come_from_any_editor(source, tmp_path, text):
    (tmp_path / "classes").write_bytes(text.encode())
    info = prepare(source, tmp_path / "out", limit_per_class=1, classes=str(tmp_path / "classes"))
    assert info.class_names == ("n02012849", "n01440764")


def damaged_source(path, bad):
    make_pictures(path, {"ant": 20, "bee": 20})
    for i in range(bad):
        (path / "ant" / f"{i}.png").write_bytes([b"", b"no picture"][i % 2])
    return path


def test_damaged_pictures_are_left_out_and_listed(tmp_path):
    info = prepare(damaged_source(tmp_path / "source", 2), tmp_path / "out", max_bad=0.05)
    assert info.class_counts == (18, 20)
    assert sorted(entry[1:] for entry in info.damaged) == [
        ("ant/0.png", "empty file"),
        ("ant/1.png", "not an image of a known format"),
    ]
    report = (tmp_path / "out" / "report.txt").read_text()
    assert "damaged pictures: 2\n" in report
    assert "ant/0.png: empty file\n" in report


def test_too_many_damaged_pictures_are_an_error_and_allowing_them_goes_on(tmp_path):
    source = damaged_source(tmp_path / "source", 3)
    with pytest.raises(
        errors.UserError,
        match=(
            r"--max_bad=0.05: 3 of 40 pictures are damaged, and 2 of 40 may be \(the last: ant/"
            r"\d.png: .*\); .*report.txt lists them. Allow more"
        ),
    ):
        prepare(source, tmp_path / "out", max_bad=0.05)
    assert (tmp_path / "out" / "report.txt").read_text().count("ant/") == 3
    assert prepare(source, tmp_path / "out", max_bad=0.1).class_counts == (17, 20)
    prepare(source, tmp_path / "whole", max_bad=0.1)
    assert content(tmp_path / "out") == content(tmp_path / "whole")


def test_one_damaged_picture_and_a_text_do_not_stop_a_small_folder(tmp_path):
    source = damaged_source(tmp_path / "source", 1)
    (source / "bee" / "notes.txt").write_text("no picture")
    (source / "bee" / ".DS_Store").write_bytes(b"x")
    stream = io.StringIO()
    assert prepare(source, tmp_path / "out", stream).class_counts == (19, 20)
    assert "left out: 2 files, reason: not a picture (bee/.DS_Store, bee/notes.txt)" in (
        stream.getvalue()
    )
    report = (tmp_path / "out" / "report.txt").read_text()
    assert "damaged pictures: 1\nant/0.png: empty file\n" in report
    assert "other files left out: 2\nbee/.DS_Store: not a picture\n" in report
    with pytest.raises(errors.UserError, match="--max_bad=0: 1 of 40 pictures are damaged, and 0"):
        prepare(source, tmp_path / "none", max_bad=0.0)


def test_limit_stops_the_work_before_the_end(tmp_path):
    """A quarter of 120 pictures are damaged, and 6 may be: the seventh ends it."""
    make_pictures(tmp_path / "source", {"ant": 120})
    for i in range(0, 120, 4):
        (tmp_path / "source" / "ant" / f"{i}.png").write_bytes(b"")
    with pytest.raises(errors.UserError, match="7 of 120 pictures are damaged, and 6 of 120 may"):
        prepare(tmp_path / "source", tmp_path / "out", shards=12)
    assert len(list((tmp_path / "out").glob("*.tfrecords"))) <= 6


@pytest.mark.slow
def test_validation_split_has_its_own_records(source, finished, tmp_path):
    stream = io.StringIO()
    info = prepare(source, tmp_path / "out", stream, validation=0.2)
    other = dataset_info.read(str(tmp_path / "out" / "validation"))
    assert (info.split, other.split) == ("train", "validation")
    assert info.settings["validation"] == other.settings["validation"] == 0.2
    assert info.records + other.records == 45
    assert 2 <= other.records <= 18
    assert all(shard.file.startswith("validation-") for shard in other.shards)
    both = list(records_of(tmp_path / "out")) + list(records_of(tmp_path / "out" / "validation"))
    assert sorted(both) == sorted(records_of(finished[0]))
    printed = stream.getvalue()
    assert f"train split: {info.records} records of 3 classes" in printed
    assert f"validation split: {other.records} records of 3 classes" in printed

    # Training reads the training split; the check reads both.
    records = dataset.open_records(str(tmp_path / "out"), 32, number_classes=3)
    assert len(records.index.offsets) == info.records
    check_config = config.CheckConfig(str(tmp_path / "out"), grid=str(tmp_path / "grid.png"))
    stream = io.StringIO()
    assert check.check(check_config, stream) == []
    assert stream.getvalue().count("readable records") == 2

    # Started again it is left as it is; without the flag it is other data.
    assert prepare(source, tmp_path / "out", validation=0.2) == info
    with pytest.raises(errors.UserError, match=r"other settings \(.*0.2 there, none here\)|source"):
        prepare(source, tmp_path / "out")


def test_validation_share_that_takes_nothing_is_refused(source, tmp_path):
    expected = "--validation=0.0001: of 45 pictures none is left for the validation split"
    with pytest.raises(errors.UserError, match=expected):
        prepare(source, tmp_path / "out", validation=0.0001)


def test_a_run_while_another_works_is_refused(source, tmp_path):
    busy = pytest.raises(errors.UserError, match="another prepare_data is at work there")
    with resume.locked(str(tmp_path / "out")), busy:
        prepare(source, tmp_path / "out")
    prepare(source, tmp_path / "out")


def test_training_refuses_what_is_not_finished(source, tmp_path):
    info = prepare(source, tmp_path / "out")
    (tmp_path / "out" / "dataset.json").rename(tmp_path / "kept")
    (tmp_path / "out" / ".prepare").mkdir()
    with pytest.raises(errors.UserError, match="its preparation is unfinished; run the same"):
        dataset.open_records(str(tmp_path / "out"), 32, number_classes=3)
    assert info.records == 45


@pytest.fixture(name="large_source", scope="module")
def fixture_large_source(tmp_path_factory):
    """Pictures that take some seconds."""
    path = tmp_path_factory.mktemp("large") / "train"
    rng = np.random.default_rng(0)
    for name in ("ant", "bee"):
        (path / name).mkdir(parents=True)
        for i in range(60):
            pixels = rng.integers(0, 256, (300, 400, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path / name / f"{i}.jpg")
    return path


@pytest.mark.process
@pytest.mark.slow
def test_killed_runs_finish_with_the_bytes_of_an_unbroken_one(large_source, tmp_path):
    """kill -9 at several moments; no reader ever sees a shard that is not whole."""
    flags = ["--source", str(large_source), "--size=64", "--shards=12", "--workers=2"]
    out, kills = tmp_path / "broken", 0
    for wait in (0.0, 0.3, 0.6):
        process = processes.start("-m", "sagan_tf.tools.prepare_data", *flags, f"--out={out}")
        process.stdout.readline()  # The work begins.
        time.sleep(wait)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        for path in out.glob("*.tfrecords"):
            assert sum(1 for _ in tf.data.TFRecordDataset(str(path))) == 10
    assert kills >= 2
    info = prepare(large_source, out, size=64, shards=12, resize="legacy")
    prepare(large_source, tmp_path / "whole", size=64, shards=12, resize="legacy")
    assert content(out) == content(tmp_path / "whole")
    assert info.records == 120


def test_full_disk_is_one_line_and_the_same_command_goes_on(large_source, tmp_path):
    with small_disk(tmp_path / "small", "900k") as small:
        if not small:
            pytest.skip(NO_DISK)
        with pytest.raises(errors.UserError, match="small/out: cannot be written to .* free s"):
            prepare(large_source, small / "out", size=64, shards=12)
        whole = {path.name for path in (small / "out").glob("*.tfrecords")}
        assert 1 <= len(whole) < 12
        enlarge(small, "8m")
        assert prepare(large_source, small / "out", size=64, shards=12).records == 120


@pytest.mark.process
def test_bad_command_is_one_line():
    result = processes.run("-m", "sagan_tf.tools.prepare_data", "--source=absent", "--out=y")
    line = processes.error_line(result)
    assert "--source=absent: there is no such file or directory" in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "x"}, "--source=: expected the pictures"),
        ({"source": "x", "out": "y", "size": 100}, "--size=100: expected one of 32, 64, 128, 256"),
        (
            {"source": "x", "out": "y", "max_bad": 2.0},
            "--max_bad=2.0: expected a share from 0 to 1",
        ),
        (
            {"source": "tests", "out": "gs://bucket"},
            "--out=gs://bucket: expected a local directory",
        ),
    ],
)
def test_bad_settings_are_one_line(options, message):
    with pytest.raises(errors.UserError) as error:
        data_prepare.prepare(config.PrepareConfig(**options), io.StringIO())
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.process
def test_names_that_are_no_utf8_are_reported(tmp_path):
    """What is printed fits a stream of ASCII."""
    make_pictures(tmp_path / "source", {"ant": 3})
    with open(os.fsencode(tmp_path / "source" / "ant") + b"/\xff\n.png", "wb"):
        pass
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    prepare(tmp_path / "source", tmp_path / "out", stream, max_bad=0.5, workers=2)
    stream.flush()
    assert b"1 damaged picture left out" in stream.buffer.getvalue()
    assert b"ant/\\udcff\\n.png: empty file" in (tmp_path / "out" / "report.txt").read_bytes()
    assert dataset_info.read(str(tmp_path / "out")).damaged[0][1] == os.fsdecode(b"ant/\xff\n.png")


def test_too_many_pictures_without_utf8_are_an_error_that_can_be_printed(tmp_path):
    make_pictures(tmp_path / "source", {"ant": 3})
    with open(os.fsencode(tmp_path / "source" / "ant") + b"/\xff\n.png", "wb"):
        pass
    with pytest.raises(errors.UserError) as error:
        prepare(tmp_path / "source", tmp_path / "out", max_bad=0.0)
    assert r"ant/\udcff\n.png: empty file" in str(error.value).encode("ascii").decode()


@pytest.mark.slow
def test_prepared_data_is_sound(finished, tmp_path):
    faults = check.check(
        config.CheckConfig(str(finished[0]), grid=str(tmp_path / "grid.png")), io.StringIO()
    )
    assert faults == []
