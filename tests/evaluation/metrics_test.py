import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from scipy.spatial import distance

from sagan_tf.evaluation import metrics, tfgan


def features(seed, count=400, size=6, shift=0.0):
    generator = np.random.default_rng(seed)
    return (
        generator.normal(size=(count, size)) @ generator.normal(size=(size, size)) + shift
    ).astype(np.float32)


def fid(a, b):
    return metrics.frechet_distance(metrics.moments(a), metrics.moments(b))


def scipys(a, b):
    cov_a, cov_b = (np.cov(x.astype(np.float64), rowvar=False) for x in (a, b))
    # The product of two singular covariances has no root for SciPy without a little more.
    small = 1e-9 * np.eye(len(cov_a))
    root = scipy.linalg.sqrtm((cov_a + small) @ (cov_b + small)).real
    return ((a.mean(0) - b.mean(0)).astype(np.float64) ** 2).sum() + np.trace(
        cov_a + cov_b - 2 * root
    )


def test_frechet_distance_equals_scipys():
    a, b = features(0), features(1, shift=0.5)
    assert fid(a, b) == pytest.approx(scipys(a, b), rel=1e-6)


def test_frechet_distance_of_shifted_sets_is_the_squared_shift():
    a = features(0)
    assert fid(a, a + 2.0) == pytest.approx(6 * 4.0, rel=1e-4)
    assert fid(a, a) == pytest.approx(0.0, abs=1e-4)


def test_inception_score_of_known_logits():
    sure = np.eye(5, dtype=np.float32).repeat(4, 0) * 100
    assert metrics.inception_score(sure) == pytest.approx(5.0, rel=1e-5)
    assert metrics.inception_score(np.zeros((20, 5), np.float32)) == pytest.approx(1.0, rel=1e-6)


def test_inception_score_equals_the_formula():
    logits = np.random.default_rng(0).normal(size=(300, 7)).astype(np.float32) * 2
    p = np.exp(logits.astype(np.float64))
    p /= p.sum(1, keepdims=True)
    expected = np.exp((p * (np.log(p) - np.log(p.mean(0)))).sum(1).mean())
    assert metrics.inception_score(logits) == pytest.approx(expected, rel=1e-5)


def test_inception_score_is_tfgans():
    logits = np.random.default_rng(3).normal(size=(300, 7)).astype(np.float32) * 3
    expected = float(tfgan.evaluation.classifier_score_from_logits(tf.constant(logits)))
    assert metrics.inception_score(logits) == pytest.approx(expected, rel=1e-6)


def test_inception_score_does_not_depend_on_batches_and_splits_are_scores_of_their_images():
    logits = np.random.default_rng(1).normal(size=(90, 7)).astype(np.float32) * 3
    split_of = np.arange(90) % 3
    score = metrics.InceptionScore(split_of, 3)
    for part in np.array_split(logits, [1, 40, 77]):
        score.add(part)
    whole, mean, deviation = score.result()
    each = [metrics.inception_score(logits[split_of == split]) for split in range(3)]
    assert whole == pytest.approx(metrics.inception_score(logits), rel=1e-12)
    assert mean == pytest.approx(np.mean(each), rel=1e-12)
    assert deviation == pytest.approx(np.std(each), rel=1e-9)


def test_frechet_distance_of_features_is_tfgans():
    a, b = features(0), features(1, shift=0.5)
    expected = tfgan.evaluation.frechet_classifier_distance_from_activations(
        tf.constant(a, tf.float64), tf.constant(b, tf.float64)
    )
    assert fid(a, b) == pytest.approx(float(expected), rel=1e-9)


def test_moments_are_those_of_float64_and_of_any_number_of_rows():
    a = features(4, count=2345) + 1000.0
    found = metrics.moments(a)
    np.testing.assert_allclose(found.mu, a.astype(np.float64).mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.sigma, np.cov(a.astype(np.float64), rowvar=False), rtol=1e-10)


def test_frechet_distance_of_gaussians_is_the_closed_form():
    """Commuting covariances: |m1 - m2|^2 + sum (s1 - s2)^2 of the deviations."""
    deviations = np.array([0.5, 1.0, 2.0]), np.array([1.5, 0.25, 2.0])
    one, other = (
        metrics.Moments(mu, np.diag(d**2))
        for mu, d in zip((np.zeros(3), np.array([1.0, 2.0, 0.0])), deviations)
    )
    expected = 5.0 + ((deviations[0] - deviations[1]) ** 2).sum()
    assert metrics.frechet_distance(one, other) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("counts", [(400, 300), (5, 300), (5, 4), (2, 2)])
def test_frechet_distance_of_few_images_is_the_same(counts):
    a, b = features(0, counts[0]), features(1, counts[1], shift=0.5)
    assert metrics.frechet_distance_of_few(a, b) == pytest.approx(scipys(a, b), rel=1e-4, abs=1e-5)


def test_intra_fid_is_the_fid_of_each_class():
    a, b = features(0, 60), features(1, 50)
    labels_a, labels_b = np.arange(60) % 3, np.minimum(np.arange(50) % 4, 3)
    labels_a[:1] = 7  # A class of one image on one side, and none on the other.
    found = metrics.intra_frechet_distances(a, labels_a, generated=b, generated_labels=labels_b)
    assert set(found) == {0, 1, 2}
    for label, value in found.items():
        assert value == pytest.approx(scipys(a[labels_a == label], b[labels_b == label]), rel=1e-4)


def test_kernel_distance_equals_the_formula():
    a, b = features(0, 200), features(1, 200, shift=0.3)

    def kernel(x, y):
        return (x.astype(np.float64) @ y.T / x.shape[1] + 1) ** 3

    n = len(a)
    expected = (
        (kernel(a, a).sum() - np.trace(kernel(a, a))) / (n * (n - 1))
        + (kernel(b, b).sum() - np.trace(kernel(b, b))) / (n * (n - 1))
        - 2 * kernel(a, b).mean()
    )
    assert metrics.kernel_distance(a, b)[0] == pytest.approx(expected, rel=1e-3)


def test_kernel_distance_of_blocks_is_within_its_error_of_the_whole():
    a, b = features(0, 400), features(0, 500, shift=0.3)
    whole, _ = metrics.kernel_distance(a, b, block=1000)
    parts, error = metrics.kernel_distance(a, b, block=100)
    assert 0 < error < whole
    assert abs(parts - whole) < 3 * error


@pytest.mark.parametrize(("counts", "block"), [((5, 900), 2), ((2, 3), 1024), ((7, 7), 3)])
def test_kernel_distance_of_few_images_is_a_number(counts, block):
    value, error = metrics.kernel_distance(
        features(0, counts[0]), features(1, counts[1]), block=block
    )
    assert np.isfinite(value)
    assert error is None if min(counts) < 4 else np.isfinite(error)


def test_images_with_copies_of_themselves_lie_within_each_other():
    """Every ball has radius 0, and its edge belongs to it."""
    real = features(0, 10).repeat(6, 0)
    assert metrics.manifold_scores(real, real)[:2] == (1.0, 1.0)


def test_kernel_distance_of_one_distribution_is_about_zero_wherever_the_images_lie():
    a, b = features(0, 600), features(0, 600)
    b = b[np.argsort(b[:, 0])]  # As images sorted by class are.
    distance, error = metrics.kernel_distance(a[:300], b, block=50)
    assert abs(distance) < 4 * error


def brute_force_manifold(real, generated, precision_k, density_k):
    def radius(x, k):
        return np.sort(distance.cdist(x, x), 1)[:, k]  # Column 0 is the image itself.

    between = distance.cdist(real, generated)
    near = between <= radius(real, precision_k)[:, None]
    dense = between < radius(real, density_k)[:, None]
    return (
        near.any(0).mean(),
        (between <= radius(generated, precision_k)).any(1).mean(),
        dense.sum(0).mean() / density_k,
        dense.any(1).mean(),
    )


def test_manifold_scores_equal_the_formulas():
    random = np.random.default_rng(5)
    real = random.normal(size=(1300, 4)).astype(np.float32)
    generated = (random.normal(size=(1100, 4)) * 1.5 + 0.5).astype(np.float32)
    found = metrics.manifold_scores(real, generated, precision_k=3, density_k=5)
    np.testing.assert_allclose(found, brute_force_manifold(real, generated, 3, 5), rtol=1e-3)
    assert all(0.1 < value < 0.99 for value in found)


def test_manifold_scores_of_the_same_and_of_distant_sets():
    real = features(0, 300)
    assert metrics.manifold_scores(real, real)[:2] == (1.0, 1.0)
    assert metrics.manifold_scores(real, real).coverage == 1.0
    assert metrics.manifold_scores(real, real + 1000.0) == (0.0, 0.0, 0.0, 0.0)
    order = np.random.default_rng(0).permutation(300)
    other = features(1, 300)
    np.testing.assert_allclose(
        metrics.manifold_scores(real[order], other),
        metrics.manifold_scores(real, other[order]),
        atol=1e-6,
    )
