"""Regressions on samples in which cities carry weights: a pair counts w_i w_j times.

Bootstrap resamples (w the number of times a city was drawn; two copies of one city form no pair) and
leave-out samples (w zero or one) are both of this kind. Types of pairs stay what they are, so with the pairs
sorted by type each step is one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.estimate.batch import BatchFit, Tested, batch_fit, feature_weights
from engine.pairs.features import PairFeatures

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]

_PAIRS = 1024  # pairs of one matrix product


@dataclass(frozen=True)
class Weighted:
    """Pairs of the sample, sorted by type and cut into steps of one type each.

    Attributes
    ----------
    pairs : PairFeatures
        Sorted by type.
    steps : tuple of (start, stop, type)
    n_types : int
    """

    pairs: PairFeatures
    steps: tuple[tuple[int, int, int], ...]
    n_types: int


def sort_by_type(pairs: PairFeatures, pair_type: Integers, n_types: int) -> Weighted:
    """Order the pairs of the sample by type; ``pair_type`` int ``[n_pairs]``, negative outside the sample."""
    kept = np.flatnonzero(pair_type >= 0)
    order = kept[np.argsort(pair_type[kept], kind="stable")]
    mine = pair_type[order]
    steps = []
    for number in range(n_types):
        start, stop = np.searchsorted(mine, [number, number + 1])
        steps += [(a, min(a + _PAIRS, int(stop)), number) for a in range(int(start), int(stop), _PAIRS)]
    table = PairFeatures(
        pairs.layout,
        pairs.i[order],
        pairs.j[order],
        pairs.features[order],
        order.astype(np.int32),
        pairs.n_units,
        None,
    )
    return Weighted(table, tuple(steps), n_types)


def weighted_sums(setting: Weighted, weights: Array) -> Array:
    """Sums of pair statistics by type, ``[n_samples, n_types, size]`` (call under float64).

    ``weights`` float64 ``[n_samples, n_units]``.
    """
    pairs = setting.pairs
    city = jnp.asarray(np.ascontiguousarray(weights.T))
    out = np.zeros((setting.n_types, pairs.layout.size, len(weights)))
    for start, stop, number in setting.steps:
        part = _padded(pairs, start, stop)
        out[number] += np.asarray(_product(*part, city))
    return np.ascontiguousarray(out.transpose(2, 0, 1))


def weighted_fit(
    setting: Weighted, weights: Array, cell: Tested, *, studentise: bool, sums: Array | None = None
) -> tuple[BatchFit, Array, Array]:
    """Fit of a regression in every sample, estimates and dyadic-robust variances of its tested coefficients.

    ``sums`` are `weighted_sums` of the same weights, where several regressions share them.

    Returns
    -------
    BatchFit
    estimate, variance : float64 ``[n_samples, n_tested]``
        Variance NaN without ``studentise``; copies of a city count as cities of their own.
    """
    sums = weighted_sums(setting, weights) if sums is None else sums
    fit = batch_fit(setting.pairs.layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested)
    estimate = fit.estimate[:, 0, list(cell.tested)]
    variance = _variances(setting, weights, fit, cell) if studentise else np.full_like(estimate, np.nan)
    return fit, estimate, variance


def _variances(setting: Weighted, weights: Array, fit: BatchFit, cell: Tested) -> Array:
    """sum_i w_i (sum_j w_j psi_ij)^2 - sum_p w_i w_j psi_p^2, times the finite-sample factors."""
    pairs = setting.pairs
    influence = feature_weights(pairs.layout, fit, cell.paths)[:, :, 0]  # [samples, tested, types, size]
    city = jnp.asarray(np.ascontiguousarray(weights.T))
    out = np.empty((len(weights), len(cell.tested)))
    n_units = _cities(pairs, weights)
    for term in range(len(cell.tested)):
        own = jnp.asarray(np.ascontiguousarray(influence[:, term].transpose(1, 2, 0)))
        sums, squares = jnp.zeros((pairs.n_units, len(weights))), jnp.zeros(len(weights))
        for start, stop, number in setting.steps:
            sums, squares = _add(sums, squares, *_padded(pairs, start, stop), city, own[number])
        node = (weights.T * np.asarray(sums) ** 2).sum(axis=0)
        dyadic = node - np.asarray(squares)
        factor = fit.factor * n_units / (n_units - 1)
        out[:, term] = np.where(dyadic <= 1e-12 * node, node, dyadic) * factor
    return out


def _cities(pairs: PairFeatures, weights: Array) -> Array:
    """Cities of each sample that stand in one of its pairs, copies counted; float64 ``[n_samples]``."""
    meets = np.zeros((pairs.n_units, pairs.n_units))
    meets[pairs.i, pairs.j] = meets[pairs.j, pairs.i] = 1.0
    return np.asarray((weights * (weights @ meets > 0)).sum(axis=1))


def _padded(pairs: PairFeatures, start: int, stop: int) -> tuple[Any, Any, Any]:
    """Features and units of some pairs, padded with zero features to one length."""
    length = min(_PAIRS, len(pairs.i))
    features = np.zeros((length, pairs.layout.size))
    i, j = np.zeros((2, length), dtype=np.int32)
    n = stop - start
    features[:n], i[:n], j[:n] = pairs.features[start:stop], pairs.i[start:stop], pairs.j[start:stop]
    return jnp.asarray(features), jnp.asarray(i), jnp.asarray(j)


@jax.jit
def _product(features: Any, i: Any, j: Any, city: Any) -> Any:
    return features.T @ (city[i] * city[j])


@partial(jax.jit, donate_argnums=(0, 1))
def _add(
    sums: Any, squares: Any, features: Any, i: Any, j: Any, city: Any, influence: Any
) -> tuple[Any, Any]:
    psi = features @ influence
    one, other = city[i], city[j]
    sums = sums.at[i].add(psi * other).at[j].add(psi * one)
    return sums, squares + (psi * psi * one * other).sum(0)
