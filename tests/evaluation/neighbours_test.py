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


def closeness(generated, real, *, pool):
    """The closeness, without the twins that are found."""
    return neighbours.closeness(generated, real, is_twin=neighbours.are_twins(real, pool))


def test_closeness_is_that_of_the_quantiles():
    """Of 1 ... 101 the 1 % quantile is 2, the 5 % quantile 6 and the median 51."""
    generated, real = np.array([1.0, 2.0, 25.5, 90.0, 1.5]), np.arange(1.0, 102.0)
    found = closeness(generated, real, pool=np.ones([101, 4]))
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
    found = closeness(neighbours.nearest(new, pool, k=1).distances[:, 0], real, pool=pool)
    assert found.ratio == pytest.approx(1.0, abs=0.03)
    assert found.copies == pytest.approx(0.01, abs=0.007)


@pytest.mark.parametrize(("vectors", "twice"), [(980, 20), (600, 400)])
def test_copies_show_where_training_images_are_there_twice(vectors, twice):
    """1,000 vectors, some of them twice, and a generator that copies every vector."""
    pool = features_of(5, vectors)
    pool = np.concatenate([pool, pool[:twice]])
    real = neighbours.to_nearest_other(pool)
    copied = neighbours.nearest(pool, pool, k=1).distances[:, 0]
    found = closeness(copied, real, pool=pool)
    assert (found.twins, found.real_images) == (2 * twice, 1000)
    assert found.copies == 1.0
    assert found.real_least == np.quantile(real[twice:vectors], 0.01) > 0

    # Rounding between two batches makes no other picture of a twin.
    found = closeness(copied, np.where(real == 0, 1e-5, real), pool=pool)
    assert (found.twins, found.copies) == (2 * twice, 1.0)

    # New vectors are no copies.
    new = neighbours.nearest(features_of(6, 1000), pool, k=1).distances[:, 0]
    assert closeness(new, real, pool=pool).copies == pytest.approx(0.01, abs=0.01)


def test_equal_images_are_twins_whatever_rounding_leaves():
    """The length of the features is 20, and the limit 0.002."""
    pool = np.full([30, 4], 10.0) + np.arange(30)[:, None] * 1e-6
    real = neighbours.to_nearest_other(pool)
    assert real == pytest.approx(2e-6)
    assert neighbours.are_twins(real, pool).all()
    assert neighbours.are_twins(np.array([0.0019, 0.0021]), pool).tolist() == [True, False]
