"""Guard of covariances that are differences of sums: one place, for the sample and for every draw.

A dyadic variance (`engine.infer.errors.dyadic`) is city sums less pair sums, and may be left without a positive value.
Then the city sums, which are larger and never negative, stand in for that term alone. Where terms are used jointly,
the matrix is made positive semidefinite by clipping eigenvalues, and rescaled, so that no term's variance depends on
another term.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags

ROUNDING = 1e-12  # share of the city sums that rounding may leave of a difference of zero


def guarded_variances(sums: Array, subtracted: Array) -> tuple[Array, Flags]:
    """Variances ``sums - subtracted``, the sums themselves where that is not positive; and where that was.

    Parameters
    ----------
    sums, subtracted : float64, any one shape
        City sums and what they count twice, of single terms.
    """
    difference = sums - subtracted
    replaced = (difference <= ROUNDING * sums) & (sums > 0)
    return np.where(replaced, sums, difference), replaced


def guarded_covariances(sums: Array, subtracted: Array) -> tuple[Array, Flags]:
    """Covariances ``[..., K, K]`` whose diagonals are `guarded_variances`, and the terms replaced ``[..., K]``.

    Rows and columns of replaced terms are city sums. Matrices with a replaced term are made positive semidefinite
    (`semidefinite`); others are the difference as it is.
    """
    difference = sums - subtracted
    diagonal = np.diagonal(sums, axis1=-2, axis2=-1), np.diagonal(subtracted, axis1=-2, axis2=-1)
    _, replaced = guarded_variances(*diagonal)
    mixed = np.where(replaced[..., :, None] | replaced[..., None, :], sums, difference)
    has_replaced = replaced.any(axis=-1)
    if has_replaced.any():
        mixed[has_replaced] = semidefinite(mixed[has_replaced])
    return mixed, replaced


def semidefinite(matrix: Array) -> Array:
    """Covariances ``[..., K, K]`` with negative eigenvalues clipped to zero and the variances they had.

    The eigenvalues are those of the correlations, so that the result does not depend on the terms' units. Variances
    must not be negative; covariances with a variance of zero become zero.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    scale = np.sqrt(np.diagonal(matrix, axis1=-2, axis2=-1))
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    values, vectors = np.linalg.eigh(matrix * inverse[..., :, None] * inverse[..., None, :])
    indefinite = values[..., 0] < -ROUNDING
    clipped = (vectors * np.maximum(values, 0.0)[..., None, :]) @ np.swapaxes(vectors, -1, -2)
    size = np.sqrt(np.diagonal(clipped, axis1=-2, axis2=-1))
    back = np.divide(scale, size, out=np.zeros_like(scale), where=size > 0)
    repaired = clipped * back[..., :, None] * back[..., None, :]
    diagonal = np.arange(matrix.shape[-1])
    repaired[..., diagonal, diagonal] = matrix[..., diagonal, diagonal]  # to the last bit
    return np.where(indefinite[..., None, None], repaired, matrix)
