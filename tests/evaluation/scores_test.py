import dataclasses

import numpy as np
import pytest

from sagan_tf import config
from sagan_tf.evaluation import curves, features, metrics, protocol, real_statistics, scores, tables
from sagan_tf.images import pixels as images_pixels

LABELS = np.arange(60) % 3


def side(seed, shift=0.0):
    pool = np.random.default_rng(seed).normal(size=(60, 4)).astype(np.float32) + shift
    return features.Features(pool, LABELS, (5.0, 4.5, 0.25), 10)


def real_side():
    found = side(0)
    about = {"images": 60, "fingerprint": "crc32c:0123456789abcdef"}
    return real_statistics.RealStats(metrics.moments(found.pool), about, found, "computed")


@pytest.mark.parametrize(
    ("images", "expected"),
    [(50_000, ""), (60_000, ""), (5000, "5k"), (1797, "1797"), (49_999, "49999")],
)
def test_scores_of_fewer_than_50000_images_say_so(images, expected):
    assert scores.suffix(images) == expected


def test_scores_are_those_of_the_metrics():
    generated, real = side(1, 0.5), real_side()
    eval_config = config.EvalConfig(kid_block=20, precision_k=2, density_k=4, seed=3)
    found = scores.compute(
        "step 7", generated, real=real, config=eval_config, stopwatch=features.Stopwatch()
    )
    assert found.fid == metrics.frechet_distance(real.moments, metrics.moments(generated.pool))
    assert (found.kid, found.kid_error) == metrics.kernel_distance(
        real.features.pool, generated.pool, block=20, seed=3
    )
    assert found.manifold == metrics.manifold_scores(real.features.pool, generated.pool, 2, 4)
    assert found.intra_fid == pytest.approx(
        np.mean(
            [
                metrics.frechet_distance_of_few(
                    real.features.pool[label == LABELS], generated.pool[label == LABELS]
                )
                for label in range(3)
            ]
        )
    )
    assert found.intra_counts == (20, 20, 20, 20)
    assert found.scalars() == {
        "incscore60": 5.0,
        "incscore60_10_splits": 4.5,
        "incscore60_10_splits_deviation": 0.25,
        "fid60": found.fid,
        "kid60": found.kid,
        "kid60_error": found.kid_error,
        "precision60": found.manifold.precision,
        "recall60": found.manifold.recall,
        "density60": found.manifold.density,
        "coverage60": found.manifold.coverage,
        "intra_fid20": found.intra_fid,
    }


def test_moments_alone_give_fid_alone():
    real = dataclasses.replace(real_side(), features=None, about={"images": None})
    found = scores.compute(
        "step 7", side(1), real=real, config=config.EvalConfig(), stopwatch=features.Stopwatch()
    )
    assert set(found.scalars()) == {
        "incscore60",
        "incscore60_10_splits",
        "incscore60_10_splits_deviation",
        "fid60",
    }
    assert scores.of_real(real) is None


def test_table_has_a_score_a_line_and_a_set_a_column():
    one = scores.Scores("step 7", 5000, 5000, 9.5, (10, 9.25, 0.125), fid=1.5, kid=0.5)
    real = scores.Scores("real images", 5000, None, 10.0, (10, 9.75, 0.25))
    assert tables.table([one, real]).splitlines() == [
        "                           step 7       real images",
        "IS5k                       9.5000           10.0000",
        "IS5k, 10 splits  9.2500 +- 0.1250  9.7500 +- 0.2500",
        "FID5k                      1.5000                 -",
        "KID5k                     0.50000                 -",
    ]


def record(**changes):
    return {
        "name": "reference",
        "departures": {},
        "seed": 0,
        "real_split": "train",
        "real": {
            "source": "data",
            "images": 60,
            "split": "train",
            "fingerprint": "crc32c:0123456789abcdef",
        },
        "classifier": {
            "handle": "a",
            "sha256": "f" * 64,
            "input_size": 299,
            "resize": "legacy",
            "dtype": "float32",
        },
        "images": "uniform random labels",
        "versions": {"tensorflow": "2.21.0"},
        **changes,
    }


def test_citation_is_one_line_with_all_that_counts():
    one = scores.Scores(
        "step 7",
        50_000,
        50_000,
        52.523,
        (10, 52.1, 0.52),
        fid=18.651,
        kid=0.0123456,
        kid_error=0.0001,
    )
    assert tables.citation(one, record(departures={"seed": 3}, checkpoint_sha256="a" * 64)) == (
        "step 7 (sha256:aaaaaaaaaaaa): IS 52.52 (10 splits 52.10 +- 0.52), FID 18.65, "
        "KID 0.01235 +- 0.00010; protocol reference, seed 3: 50000 images (uniform random "
        "labels); against 60 train images crc32c:0123456789ab; classifier sha256:ffffffffffff at "
        "299 px, legacy resize, float32; seed 0; tensorflow 2.21.0"
    )


def test_records_of_other_places_and_versions_compare_and_others_do_not():
    moved = record(
        versions={"tensorflow": "2.22.0"},
        checkpoint_step=5,
        checkpoint_sha256="a",
        real={**record()["real"], "source": "elsewhere"},
        classifier={**record()["classifier"], "handle": "b"},
    )
    assert protocol.same_protocol(record(), moved)
    assert protocol.protocol_name(record()) == protocol.protocol_name(moved)
    for other in (
        record(seed=1),
        record(real={**record()["real"], "fingerprint": "crc32c:1"}),
        record(classifier={**record()["classifier"], "sha256": "0" * 64}),
    ):
        assert not protocol.same_protocol(record(), other)
        assert protocol.protocol_name(record()) != protocol.protocol_name(other)


def test_classes_are_listed_worst_first():
    one = scores.Scores("s", 4, 4, 1.0, (1, 1.0, 0.0), intra_fids={0: 1.0, 2: 3.5})
    assert tables.intra_table(one, ["cat", "dog", "car, truck"]).splitlines() == [
        "class,name,fid",
        '2,"car, truck",3.5000',
        "0,cat,1.0000",
    ]


@pytest.mark.parametrize("published", [False, True])
def test_curves_show_the_run_in_blue(published):
    points = [curves.Point(1000 * i, 10.0 * i, 100.0 / i) for i in (3, 1, 2)]
    picture = images_pixels.decode_png(curves.draw(points, "a run", published=published)).astype(
        int
    )
    assert picture.shape == (450, 1100, 3)

    def pixels(colour):
        return (np.abs(picture - colour).max(-1) < 40).sum()

    assert pixels((31, 119, 180)) > 500  # matplotlib's tab:blue
    assert (pixels((255, 127, 14)) > 50) == published  # tab:orange: the paper's star
