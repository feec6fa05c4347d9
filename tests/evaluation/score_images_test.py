import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import dataset, prepare
from sagan_tf.evaluation import score_images
from sagan_tf.images import sets
from tests import processes
from tests.conftest import ROOT
from tests.testing import make_pictures


@pytest.mark.slow
def test_saved_images_score_as_they_did(run, stats_dir, first, tmp_path):
    """Rounded to uint8 they are nearly the same images."""
    score_config = config.ScoreImagesConfig(
        images=str(run / "samples.npz"),
        data_dir="data/digits",
        stats_dir=str(stats_dir),
        inception="data/digits_classifier",
        dcgan_generator_batch_size=50,
        out=str(tmp_path / "row.jsonl"),
    )
    stream = io.StringIO()
    scores, real, held_out = score_images.score_images(score_config, stream)
    assert scores.images == 120
    assert scores.fid == pytest.approx(first[0][0].fid, rel=1e-2)
    assert scores.inception_score == pytest.approx(first[0][0].inception_score, rel=1e-2)
    assert scores.intra_fid == pytest.approx(first[0][0].intra_fid, rel=1e-2)
    assert real.inception_score == first[0][1].inception_score
    assert held_out == first[0][2]  # By another command, of the same real images.
    row = json.loads((tmp_path / "row.jsonl").read_text())
    assert row["fid120"] == scores.fid
    assert row["protocol"]["images"].endswith("samples.npz, uint8 of 32 x 32 px")


@pytest.mark.slow
def test_real_images_scored_against_themselves_are_perfect(stats_dir, tmp_path):
    records = dataset.open_records("data/digits", 32, number_classes=10)
    with sets.Writer(str(tmp_path / "real"), 300, size=32) as writer:
        for images, labels in dataset.evaluation_batches(records, 300, batch_size=100, seed=0):
            writer.add(images.numpy(), labels.numpy())
    scores, real, _ = score_images.score_images(
        config.ScoreImagesConfig(
            images=str(tmp_path / "real"),
            data_dir="data/digits",
            stats_dir=str(stats_dir),
            inception="data/digits_classifier",
        ),
        io.StringIO(),
    )
    assert scores.fid == pytest.approx(0.0, abs=1e-3)
    assert scores.intra_fid == pytest.approx(0.0, abs=1e-3)
    assert len(scores.intra_fids) == 10
    assert scores.manifold[:2] == (1.0, 1.0)
    assert scores.manifold.coverage == 1.0
    assert scores.inception_score == pytest.approx(real.inception_score, rel=1e-5)


@pytest.fixture(name="pictures", scope="module")
def fixture_pictures(tmp_path_factory):
    """Records of 30 pictures of two classes, and the pictures: wide, one with transparency."""
    path = tmp_path_factory.mktemp("pictures")
    make_pictures(path / "source", {"ant": 15, "bee": 15})
    picture = Image.open(path / "source" / "ant" / "0.png").convert("RGBA")
    picture.putpixel((20, 20), (0, 0, 0, 0))
    picture.save(path / "source" / "ant" / "0.png")
    prepare.prepare(
        config.PrepareConfig(
            source=str(path / "source"), out=str(path / "out"), size=32, workers=1, resize="clean"
        ),
        io.StringIO(),
    )
    return path


def score_pictures(images, data, **changes):
    stream = io.StringIO()
    settings = {"inception": "data/digits_classifier", "stats_dir": "", **changes}
    found = score_images.score_images(
        config.ScoreImagesConfig(images=str(images), data_dir=str(data), **settings), stream
    )
    return found[0], stream.getvalue()


@pytest.mark.slow
def test_the_pictures_that_records_were_made_of_are_perfect(pictures):
    """They are prepared alike, and have the classes of their folders."""
    scores, printed = score_pictures(pictures / "source", pictures / "out")
    assert "prepared as the real images: clean, 32 px" in printed
    assert scores.fid == pytest.approx(0.0, abs=1e-3)
    assert scores.intra_fid == pytest.approx(0.0, abs=1e-3)
    assert sorted(scores.intra_fids) == [0, 1]


def test_all_damaged_pictures_are_named_before_any_work(pictures, tmp_path):
    shutil.copytree(pictures / "source", tmp_path / "source")
    for name in ("ant/3.png", "bee/4.png"):
        (tmp_path / "source" / name).write_bytes(b"nothing")
    with pytest.raises(errors.UserError, match="2 of 30 pictures are damaged") as error:
        score_pictures(tmp_path / "source", pictures / "out", inception="absent")
    assert "ant/3.png: expected a picture" in str(error.value)
    assert "bee/4.png: expected a picture" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.process
@pytest.mark.slow
def test_command_scores_a_folder_and_refuses_what_it_cannot_read(tmp_path, stats_dir):
    flags = [
        "sagan_tf.tools.score_images",
        f"--data_dir={ROOT}/data/digits",
        f"--inception={ROOT}/data/digits_classifier",
        f"--stats_dir={stats_dir}",
    ]
    for number in range(20):
        pixels = np.full((32, 32, 3), number, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    code, out, err = processes.run("-m", *flags, str(tmp_path), "--protocol=ten_splits")
    assert code == 0, err
    assert "FID20" in out
    assert "protocol ten_splits" in out
    Image.fromarray(pixels[:30]).save(tmp_path / "9.png")
    with pytest.raises(
        errors.UserError,
        match="1 of 20 pictures have to be prepared .*/9.png: it has 30 x 32 pixels, and the first",
    ) as error:
        score_images.score_images(
            config.ScoreImagesConfig(
                images=str(tmp_path),
                data_dir="data/digits",
                stats_dir=str(stats_dir),
                inception="data/digits_classifier",
            ),
            io.StringIO(),
        )
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)
