import dataclasses
import io

import numpy as np
import pytest

from sagan_tf import config
from sagan_tf.evaluation import console, features, metrics, real_statistics, rows, scores

LABELS = np.arange(60) % 3


class Terminal(io.StringIO):
    def isatty(self):
        return True


def side(seed, shift=0.0):
    pool = np.random.default_rng(seed).normal(size=(60, 4)).astype(np.float32) + shift
    return features.Features(pool, LABELS, (5.0, 4.5, 0.25), 10)


def real_side():
    found = side(0)
    about = {"images": 60, "fingerprint": "crc32c:0123456789abcdef"}
    return real_statistics.RealStats(metrics.moments(found.pool), about, found, "computed")


def test_scores_are_those_of_the_metrics():
    generated, real = side(1, 0.5), real_side()
    eval_config = config.EvalConfig(kid_block=20, precision_k=2, density_k=4, seed=3)
    found = scores.compute(
        "step 7",
        generated,
        real=real,
        config=eval_config,
        stopwatch=features.Stopwatch(),
        console=console.Console(io.StringIO()),
    )
    assert found.fid == metrics.frechet_distance(real.moments, metrics.moments(generated.pool))
    assert (found.kid, found.kid_error) == metrics.kernel_distance(
        real.features.pool, generated.pool, block=20, seed=3
    )
    assert found.manifold == metrics.manifold_scores(
        real.features.pool, generated.pool, precision_k=2, density_k=4
    )
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
    assert rows.labelled(found.each()) == {
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
        "step 7",
        side(1),
        real=real,
        config=config.EvalConfig(),
        stopwatch=features.Stopwatch(),
        console=console.Console(io.StringIO()),
    )
    assert set(rows.labelled(found.each())) == {
        "incscore60",
        "incscore60_10_splits",
        "incscore60_10_splits_deviation",
        "fid60",
    }
    assert scores.of_real(real) is None


def test_comparison_of_images_shows_how_far_it_is():
    """KID compares 60 images of each side, neighbours twice the real and once the generated."""
    shown = Terminal()
    scores.compute(
        "step 7",
        side(1),
        real=real_side(),
        config=config.EvalConfig(kid_block=20),
        stopwatch=features.Stopwatch(),
        console=console.Console(shown),
    )
    assert "KID" in shown.getvalue()
    assert "60/60" in shown.getvalue()
    assert "neighbours" in shown.getvalue()
    assert "180/180" in shown.getvalue()
