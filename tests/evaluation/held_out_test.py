import io
import json
import math

import numpy as np
import pytest

from sagan_tf import config, errors
from sagan_tf.evaluation import console, features, held_out, metrics, real_statistics


def real_of(images, labels=None, shift=0.0):
    """Real images with four random features."""
    pool = np.random.default_rng(0).normal(size=(images, 4)).astype(np.float32) + shift
    found = features.Features(pool, labels, (5.0, 4.5, 0.25), 10)
    about = {"images": images, "fingerprint": f"crc32c:{shift}"}
    return real_statistics.RealStats(metrics.moments(pool), about, found, "computed")


def score(real, **settings):
    stream = io.StringIO()
    settings = config.EvalConfig(**{"stats_dir": "", **settings})
    return held_out.score(real, settings, console=console.Console(stream)), stream.getvalue()


def test_halves_have_every_image_once_and_as_many_of_each_class():
    labels = np.repeat([4, 0, 2], [7, 10, 1])
    half, other = held_out.halves(18, labels, seed=3)
    assert sorted([*half, *other]) == list(range(18))
    assert (list(half), list(other)) == (sorted(half), sorted(other))
    counts = np.array([np.bincount(labels[side], minlength=5) for side in (half, other)])
    assert counts.sum(1).tolist() == [9, 9]
    assert np.abs(counts[0] - counts[1]).max() <= 1


def test_halves_follow_the_seed_alone():
    odd = held_out.halves(9, None, seed=1)
    assert (len(odd[0]), len(odd[1])) == (4, 5)
    for one, other in zip(odd, held_out.halves(9, None, seed=1)):
        np.testing.assert_array_equal(one, other)
    assert odd[0].tolist() != held_out.halves(9, None, seed=2)[0].tolist()


def test_each_image_is_as_likely_in_either_half():
    """Of 1,000 seeds about 500, within four standard deviations of 16."""
    labels = np.arange(6) % 2
    counts = np.zeros(6)
    for seed in range(1000):
        counts[held_out.halves(6, labels, seed=seed)[0]] += 1
    assert np.abs(counts - 500).max() < 64


def test_scores_are_those_of_one_half_against_the_other():
    labels = np.arange(61) % 3
    real = real_of(61, labels)
    found, _ = score(real, precision_k=2, density_k=4, kid_block=10, seed=5)
    numbers = held_out.halves(61, labels, seed=5)
    half, other = (real.features.pool[side] for side in numbers)
    assert (found.name, found.sides) == ("real, held out", "30 against 31")
    assert found.fid == metrics.frechet_distance(metrics.moments(other), metrics.moments(half))
    assert (found.kid, found.kid_error) == metrics.kernel_distance(other, half, block=10, seed=5)
    assert found.manifold == metrics.manifold_scores(other, half, precision_k=2, density_k=4)
    expected = metrics.intra_frechet_distances(
        other, labels[numbers[1]], generated=half, generated_labels=labels[numbers[0]]
    )
    assert found.intra_fids == expected
    assert math.isnan(found.inception_score)
    assert {one.label for one in found.each()} == {
        *("fid30", "kid30", "precision30", "recall30", "density30", "coverage30"),
        f"intra_fid{found.intra_counts[2]}",
    }


def test_scores_are_kept_for_the_same_images_and_flags(tmp_path):
    first, said = score(real_of(60, np.arange(60) % 2), stats_dir=str(tmp_path))
    assert "scoring one half" in said
    again, said = score(real_of(60, np.arange(60) % 2), stats_dir=str(tmp_path))
    assert (again, said) == (first, "")

    # Other images and another flag are other scores.
    _, said = score(real_of(60, np.arange(60) % 2, shift=1.0), stats_dir=str(tmp_path))
    assert "scoring one half" in said
    other, _ = score(real_of(60, np.arange(60) % 2), stats_dir=str(tmp_path), precision_k=1)
    assert other.manifold != first.manifold
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"facts": 1}', "{facts}"])
def test_damaged_file_is_made_again(tmp_path, text):
    first, _ = score(real_of(60), stats_dir=str(tmp_path))
    (path,) = tmp_path.iterdir()
    facts = json.loads(path.read_text())["facts"]
    path.write_text(text.replace("{facts}", json.dumps({"facts": facts})))
    again, said = score(real_of(60), stats_dir=str(tmp_path))
    assert again == first
    assert "scoring one half" in said
    assert json.loads(path.read_text())["fid"] == first.fid


def test_too_few_images_are_said_and_moments_alone_are_not():
    found, said = score(real_of(11))
    assert found is None
    assert said == (
        'column "real, held out" left out: it compares 5 images of each half of the real images, '
        "and --precision_k and --density_k need 6\n"
    )
    assert score(real_of(12))[0].sides == "6 against 6"
    assert score(moments_alone()) == (None, "")


def moments_alone():
    real = real_of(60)
    return real_statistics.RealStats(real.moments, real.about, None, "a.npz")


def test_scores_that_cannot_be_kept_are_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.UserError, match="--stats_dir=.*file: cannot be written to"):
        score(real_of(60), stats_dir=str(tmp_path / "file"))
