import io
import json

import numpy as np
import pytest
from PIL import Image

from sagan_tf import config, errors
from sagan_tf.data import dataset
from sagan_tf.evaluation import score_images
from sagan_tf.images import sets
from tests import processes
from tests.conftest import ROOT


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
    scores, real = score_images.score_images(score_config, stream)
    assert scores.images == 120
    assert scores.fid == pytest.approx(first[0][0].fid, rel=1e-2)
    assert scores.inception_score == pytest.approx(first[0][0].inception_score, rel=1e-2)
    assert scores.intra_fid == pytest.approx(first[0][0].intra_fid, rel=1e-2)
    assert real.inception_score == first[0][1].inception_score
    row = json.loads((tmp_path / "row.jsonl").read_text())
    assert row["fid120"] == scores.fid
    assert row["protocol"]["images"].endswith("samples.npz, uint8 of 32 x 32 px")


def test_real_images_scored_against_themselves_are_perfect(stats_dir, tmp_path):
    records = dataset.open_records("data/digits", 32, number_classes=10)
    with sets.Writer(str(tmp_path / "real"), 300, size=32) as writer:
        for images, labels in dataset.evaluation_batches(records, 300, batch_size=100, seed=0):
            writer.add(images.numpy(), labels.numpy())
    (scores, real) = score_images.score_images(
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
        errors.UserError, match="/9.png: it has 30 x 32 pixels, and the first picture 32 x 32"
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
