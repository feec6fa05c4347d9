"""Spectral norms of other projects' weights, and the u that gives ours the same one (NumPy).

Matrices are float64 [in, out], as `gan.spectral_norm.as_matrix` makes them; u is [out].
"""

import numpy as np

from sagan_tf.bridges.mapping import Network

# Powers of the power iteration between which `u_with_sigma` looks.
_FARTHEST = 64.0
_BISECTIONS = 60
# Squared singular values below this share of the largest are taken as 0.
_NEGLIGIBLE = 1e-12


def sigma_of_ours(matrix: np.ndarray, u: np.ndarray) -> float:
    """What our layers divide a weight by: one power iteration from u (`gan.spectral_norm`)."""
    v = _normalized(matrix @ u)
    return float(np.linalg.norm(v @ matrix))


def divisor_of_ours(matrix: np.ndarray, u: np.ndarray, *, scope: str, at_most_one: bool) -> float:
    """What a layer of ours divides its weight by.

    Args:
      matrix, u: its weight and vector.
      scope, at_most_one: as of `divisor`.
    """
    return divisor(sigma_of_ours(matrix, u), scope=scope, at_most_one=at_most_one)


def divisor(sigma: float, *, scope: str, at_most_one: bool) -> float:
    """What a weight is divided by: sigma, or max(1, sigma) outside of attention.

    Args:
      sigma: its spectral norm.
      scope: the name of our layer.
      at_most_one: whether `ModelConfig.spectral_norm` says so.
    """
    return max(1.0, sigma) if at_most_one and "_non_local/" not in scope else sigma


def largest_singular_value(matrix: np.ndarray) -> float:
    """That of a matrix: what the power iteration ends at."""
    squares, _ = _right_singular_vectors(matrix)
    return float(np.sqrt(squares[-1]))


def u_with_sigma(matrix: np.ndarray, u: np.ndarray, sigma: float) -> np.ndarray:
    """The u near another one from which one power iteration gives `sigma`.

    With M = W^T W, the vectors M^p u are what p power iterations make of u; p need not be whole,
    nor positive. The sigma of our layers rises with p. A bisection finds the p that gives `sigma`.

    Args:
      matrix: float64 [in, out].
      u: float64 [out], not 0.
      sigma: between the smallest and the largest singular value of what u has a share in;
        otherwise the result comes as near to it as there is.
    Returns:
      float64 [out], of length 1.
    """
    # Write u in the right singular vectors of the matrix.
    squares, vectors = _right_singular_vectors(matrix)
    shares = u @ vectors

    # Bisect for the power.
    low = -_FARTHEST
    high = _FARTHEST
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        moved = _powered(squares, shares, power=middle)
        if _sigma_at(squares, moved) < sigma:
            low = middle
        else:
            high = middle
    moved = _powered(squares, shares, power=high)
    return _normalized(vectors @ moved)


def _right_singular_vectors(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared singular values [k], and right singular vectors [out, k], of those that count."""
    rows, columns = matrix.shape
    is_wide = columns > rows
    gram = matrix @ matrix.T if is_wide else matrix.T @ matrix
    squares, vectors = np.linalg.eigh(gram)

    # Leave out what is 0.
    counts = squares > _NEGLIGIBLE * squares[-1]
    squares = squares[counts]
    vectors = vectors[:, counts]
    if is_wide:  # They were left singular vectors.
        vectors = matrix.T @ vectors / np.sqrt(squares)
    return squares, vectors


def _powered(squares: np.ndarray, shares: np.ndarray, *, power: float) -> np.ndarray:
    """The shares of M^power u, up to a factor."""
    logarithms = np.log(squares / squares[-1])
    logarithms *= power
    logarithms -= logarithms.max()
    return shares * np.exp(logarithms)


def _sigma_at(squares: np.ndarray, shares: np.ndarray) -> float:
    """`sigma_of_ours` by the shares of u in the right singular vectors."""
    weights = shares**2 * squares
    mean = np.average(squares, weights=weights)
    return float(np.sqrt(mean))


def _normalized(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x)


def sigma_ratios(network: Network, *, at_most_one: bool) -> list[float]:
    """What the source divides each weight by, over what our layers divide it by as u stands.

    Args:
      network: in our names.
      at_most_one: whether our layers divide by max(1, sigma), attention excepted.
    """
    found = []
    for scope, sigma in network.sigmas.items():
        matrix = _matrix_of_ours(network.arrays, scope)
        u = np.float64(network.arrays[f"{scope}/u"][0])
        ours = divisor_of_ours(matrix, u, scope=scope, at_most_one=at_most_one)
        found.append(sigma / ours)
    return found


def _matrix_of_ours(arrays: dict[str, np.ndarray], scope: str) -> np.ndarray:
    """The weight of one of our layers, float64 [in, out]; a table of classes is transposed."""
    table = arrays.get(f"{scope}/embedding_map")
    if table is not None:
        return table.T.astype(np.float64)
    weight = arrays.get(f"{scope}/w", arrays.get(f"{scope}/Matrix"))
    weight = np.float64(weight)
    return weight.reshape(-1, weight.shape[-1])
