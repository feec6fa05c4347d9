import numpy as np
import pytest

from sagan_tf.evaluation import neighbours


def brute_force(queries, pool):
    """All distances, from differences in float64."""
    difference = queries[:, None].astype(np.float64) - pool[None]
    return np.sqrt((difference**2).sum(-1))


def features_of(seed, images, features=5):
    return np.random.default_rng(seed).normal(size=(images, features)).astype(np.float32)


def test_nearest_are_those_of_all_distances():
    """The pool is compared in three blocks of a thousand rows."""
    queries, pool = features_of(0, 7), features_of(1, 2500)
    seen = []
    found = neighbours.nearest(queries, pool, k=3, done=seen.append)
    distances = brute_force(queries, pool)
    np.testing.assert_array_equal(found.rows, np.argsort(distances, axis=1)[:, :3])
    np.testing.assert_allclose(found.distances, np.sort(distances, axis=1)[:, :3], rtol=1e-12)
    assert seen == [1000, 1000, 500]


def test_copies_have_distance_zero_far_from_the_origin():
    """Squares of 1e8 would leave float32 nothing of the differences."""
    pool = features_of(1, 1200) + np.float32(1e4)
    found = neighbours.nearest(pool[[1150, 3]], pool, k=1)
    assert found.rows.tolist() == [[1150], [3]]
    assert found.distances.tolist() == [[0.0], [0.0]]


def test_image_is_not_its_own_neighbour():
    pool = np.float32([[0.0], [1.0], [3.0], [3.0]])
    own = np.arange(4)
    found = neighbours.nearest(pool, pool, k=2, own=own)
    assert found.rows.tolist() == [[1, 2], [0, 2], [3, 1], [2, 1]]
    assert found.distances.tolist() == [[1.0, 3.0], [1.0, 2.0], [0.0, 2.0], [0.0, 2.0]]


def test_of_equal_distances_the_first_row_comes_first():
    pool = np.float32([[2.0], [-1.0], [1.0], [-1.0]])
    assert neighbours.nearest(np.float32([[0.0]]), pool, k=3).rows.tolist() == [[1, 2, 3]]


def test_real_images_are_measured_to_the_nearest_other_one(monkeypatch):
    pool = features_of(2, 60)
    distances = brute_force(pool, pool) + np.diag([np.inf] * 60)
    found = neighbours.to_nearest_other(pool)
    np.testing.assert_allclose(found, distances.min(1), rtol=1e-12)

    # Of many images some are drawn, which are measured to all.
    monkeypatch.setattr(neighbours, "REAL_IMAGES", 10)
    some = neighbours.to_nearest_other(pool, seed=1)
    assert len(some) == 10
    assert set(some) <= set(found)


def test_closeness_is_that_of_the_quantiles():
    """Of 1 ... 101 the 1 % quantile is 2, the 5 % quantile 6 and the median 51."""
    found = neighbours.closeness(np.array([1.0, 2.0, 25.5, 90.0, 1.5]), np.arange(1.0, 102.0))
    assert found == neighbours.Closeness(
        images=5,
        real_images=101,
        twins=0,
        median=2.0,
        real_median=51.0,
        real_low=6.0,
        real_least=pytest.approx(2.0),
        ratio=2 / 51,
        copies=pytest.approx(0.4),
    )


def test_new_images_of_the_same_kind_have_ratio_one():
    """2,000 images of a normal distribution beside 2,000 others: the theory says 1 and 0.01."""
    pool, new = features_of(3, 2000), features_of(4, 2000)
    real = neighbours.to_nearest_other(pool)
    found = neighbours.closeness(neighbours.nearest(new, pool, k=1).distances[:, 0], real)
    assert found.ratio == pytest.approx(1.0, abs=0.03)
    assert found.copies == pytest.approx(0.01, abs=0.007)


def test_copies_show_where_training_images_are_there_twice():
    """1,000 vectors, 20 of them twice: 40 have a twin, and a generator copies every vector."""
    pool = features_of(5, 980)
    pool = np.concatenate([pool, pool[:20]])
    real = neighbours.to_nearest_other(pool)
    copied = neighbours.nearest(pool, pool, k=1).distances[:, 0]
    found = neighbours.closeness(copied, real)
    assert (found.twins, found.real_images) == (40, 1000)
    assert found.copies == 1.0
    assert found.real_least == np.quantile(real[20:980], 0.01) > 0

    # Rounding between two batches makes no other picture of a twin.
    found = neighbours.closeness(copied, np.where(real == 0, 1e-5, real))
    assert (found.twins, found.copies) == (40, 1.0)

    # New vectors are no copies.
    new = neighbours.nearest(features_of(6, 1000), pool, k=1).distances[:, 0]
    assert neighbours.closeness(new, real).copies == pytest.approx(0.01, abs=0.01)
