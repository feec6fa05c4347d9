import numpy as np
import pytest
import scipy.linalg

from sagan_tf import metrics


def features(seed, count=400, size=6, shift=0.0):
    generator = np.random.default_rng(seed)
    return (generator.normal(size=(count, size)) @ generator.normal(size=(size, size))
            + shift).astype(np.float32)


def test_frechet_distance_equals_scipys():
    a, b = features(0), features(1, shift=0.5)
    cov_a, cov_b = (np.cov(x.astype(np.float64), rowvar=False) for x in (a, b))
    root = scipy.linalg.sqrtm(cov_a @ cov_b).real
    expected = (((a.mean(0) - b.mean(0)).astype(np.float64) ** 2).sum()
                + np.trace(cov_a + cov_b - 2 * root))
    assert metrics.frechet_distance(a, b) == pytest.approx(expected, rel=5e-3)


def test_frechet_distance_of_shifted_sets_is_the_squared_shift():
    a = features(0)
    assert metrics.frechet_distance(a, a + 2.0) == pytest.approx(6 * 4.0, rel=1e-4)
    assert metrics.frechet_distance(a, a) == pytest.approx(0.0, abs=1e-4)


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


def test_kernel_distance_equals_the_formula():
    a, b = features(0, 200), features(1, 200, shift=0.3)

    def kernel(x, y):
        return (x.astype(np.float64) @ y.T / x.shape[1] + 1) ** 3

    n = len(a)
    expected = ((kernel(a, a).sum() - np.trace(kernel(a, a))) / (n * (n - 1))
                + (kernel(b, b).sum() - np.trace(kernel(b, b))) / (n * (n - 1))
                - 2 * kernel(a, b).mean())
    assert metrics.kernel_distance(a, b)[0] == pytest.approx(expected, rel=1e-3)
