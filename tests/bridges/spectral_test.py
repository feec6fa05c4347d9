import numpy as np
import pytest

from sagan_tf.bridges import spectral


@pytest.fixture(name="matrix", params=[(40, 6), (6, 40), (7, 7)], ids=["tall", "wide", "square"])
def fixture_matrix(request):
    return np.random.default_rng(3).normal(size=request.param)


def test_sigma_is_one_power_iteration(matrix):
    u = np.random.default_rng(4).normal(size=matrix.shape[1])
    v = matrix @ u / np.linalg.norm(matrix @ u)
    new_u = v @ matrix / np.linalg.norm(v @ matrix)
    assert spectral.sigma_of_ours(matrix, u) == pytest.approx(v @ matrix @ new_u, rel=1e-12)


def test_largest_singular_value(matrix):
    expected = np.linalg.norm(matrix, 2)
    assert spectral.largest_singular_value(matrix) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_u_gives_the_sigma_asked_for(matrix, share):
    values = np.linalg.svd(matrix, compute_uv=False)
    sigma = values[-1] + share * (values[0] - values[-1])
    u = np.random.default_rng(5).normal(size=matrix.shape[1])
    found = spectral.u_with_sigma(matrix, u, sigma)
    assert np.linalg.norm(found) == pytest.approx(1)
    assert spectral.sigma_of_ours(matrix, found) == pytest.approx(sigma, rel=1e-9)


def test_u_stays_where_it_is_if_it_gives_that_sigma():
    matrix = np.random.default_rng(6).normal(size=(20, 5))
    u = np.random.default_rng(7).normal(size=5)
    found = spectral.u_with_sigma(matrix, u, spectral.sigma_of_ours(matrix, u))
    np.testing.assert_allclose(found, u / np.linalg.norm(u), atol=1e-9)


def test_power_iterations_are_whole_powers():
    """From the sigma of two iterations later follows the u of two iterations later."""
    matrix = np.random.default_rng(8).normal(size=(20, 5))
    u = np.random.default_rng(9).normal(size=5)
    later = matrix.T @ matrix @ matrix.T @ matrix @ u
    found = spectral.u_with_sigma(matrix, u, spectral.sigma_of_ours(matrix, later))
    np.testing.assert_allclose(found, later / np.linalg.norm(later), atol=1e-9)


def test_sigma_out_of_reach_gives_the_nearest():
    matrix = np.diag([3.0, 2.0, 1.0])
    u = np.ones(3)
    assert spectral.sigma_of_ours(matrix, spectral.u_with_sigma(matrix, u, 5.0)) == pytest.approx(3)
    assert spectral.sigma_of_ours(matrix, spectral.u_with_sigma(matrix, u, 0.5)) == pytest.approx(1)
