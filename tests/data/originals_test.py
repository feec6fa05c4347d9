import io
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config
from sagan_tf.data import check, dataset_info, originals, prepare
from tests.testing import make_pictures

ADVICE = (
    "remove one picture of each pair and prepare the rest into another --out, or allow them with"
)


@pytest.fixture(name="prepared", scope="module")
def fixture_prepared(tmp_path_factory):
    """A source with a damaged, a constant and two equal pictures, and its two splits of records."""
    path = tmp_path_factory.mktemp("prepared")
    make_pictures(path / "source", {"ant": 20, "bee": 20})
    (path / "source" / "ant" / "3.png").write_bytes(b"")
    shutil.copy(path / "source" / "ant" / "0.png", path / "source" / "bee" / "twin.png")
    Image.fromarray(np.full((40, 40, 3), 9, np.uint8)).save(path / "source" / "bee" / "flat.png")
    prepare.prepare(
        config.PrepareConfig(
            source=str(path / "source"),
            out=str(path / "out"),
            size=32,
            shards=3,
            workers=1,
            resize="clean",
            validation=0.3,
        ),
        io.StringIO(),
    )
    return path


def check_directory(path, **flags):
    stream = io.StringIO()
    settings = {"data_dir": str(path), "grid": str(path) + ".png", **flags}
    faults = check.check(config.CheckConfig(**settings), stream)
    return faults, stream.getvalue()


@pytest.mark.slow
def test_faults_name_the_users_files_and_say_what_to_do(prepared):
    """The two equal pictures may lie in different splits."""
    faults, printed = check_directory(prepared / "out")
    what = {fault.kind: fault.what for fault in faults}
    assert what["constant image"] == "every pixel is (9, 9, 9); made of bee/flat.png"
    _, _, names = what["duplicate"].partition("; made of ")
    assert sorted(names.split(" and ")) == ["ant/0.png", "bee/twin.png"]
    assert f"duplicates: {ADVICE} --max_duplicates=1\n" in printed
    assert (
        "constant images: remove these pictures and prepare the rest into another --out" in printed
    )
    faults, printed = check_directory(prepared / "out", max_duplicates=1, max_constant=1)
    assert faults == []
    assert ADVICE not in printed


def test_every_record_has_the_name_of_its_picture(prepared):
    from sagan_tf.data import preprocessing
    from tests.data.prepare_test import records_of

    for folder in (prepared / "out", prepared / "out" / "validation"):
        info = dataset_info.read(str(folder))
        found = originals.Originals(str(folder), info)
        pixels = [image for image, _ in records_of(folder)]
        places = [
            originals.where(str(folder / shard.file), number)
            for shard in info.shards
            for number in range(shard.records)
        ]
        for place, image in zip(places, pixels):
            path = prepared / "source" / found.name_of(place)
            assert preprocessing.clean(path.read_bytes(), 32).tobytes() == image


def test_a_source_that_is_gone_or_changed_gives_no_names(prepared, tmp_path):
    info = dataset_info.read(str(prepared / "out"))
    place = originals.where(str(prepared / "out" / info.shards[0].file), 0)
    assert originals.Originals(str(prepared / "out"), info).name_of(place)
    assert originals.Originals(str(prepared / "other"), info).name_of(place) == ""
    hidden = tmp_path / "source"
    (prepared / "source").rename(hidden)
    assert originals.Originals(str(prepared / "out"), info).name_of(place) == ""
    shutil.copytree(hidden, prepared / "source")
    shutil.copy(hidden / "ant" / "0.png", prepared / "source" / "ant" / "more.png")
    assert originals.Originals(str(prepared / "out"), info).name_of(place) == ""
