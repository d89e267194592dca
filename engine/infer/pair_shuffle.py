"""The customary placebo, for comparison in a figure only: treatment paths shuffled over pairs.

A pair has no treatment of its own, so this breaks the dependence between pairs that share a city, and its
spread is that of the pair-clustered standard error. No p-value is made of it.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.estimate.batch import Tested, batch_fit
from engine.infer.draws import words
from engine.infer.weighted import Weighted

Array = np.ndarray[Any, np.dtype[np.float64]]

_BLOCK = 64  # replicates whose labels of all pairs are held at once


def pair_shuffle_estimates(setting: Weighted, cell: Tested, *, reps: int, seed: int) -> Array:
    """Coefficients ``[reps, n_tested]`` with the types of the sample's pairs dealt anew to the pairs."""
    pairs = setting.pairs
    kinds = np.empty(len(pairs.i), dtype=np.int8)
    for start, stop, number in setting.steps:
        kinds[start:stop] = number
    sums = np.empty((reps, setting.n_types, pairs.layout.size))
    with jax.enable_x64(True):
        features = jnp.asarray(pairs.features)
        for block in np.array_split(np.arange(reps, dtype=np.int32), -(-reps // _BLOCK)):
            order = np.argsort(words(seed, block, len(kinds)), axis=1)
            dealt = np.empty(order.shape, dtype=np.int8)
            np.put_along_axis(dealt, order, np.broadcast_to(kinds, order.shape), axis=1)
            for number in range(setting.n_types):
                sums[block, number] = np.asarray(_of_type(jnp.asarray(dealt), features, number))
    fit = batch_fit(pairs.layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested)
    return fit.estimate[:, 0, list(cell.tested)]


@jax.jit
def _of_type(dealt: Any, features: Any, number: Any) -> Any:
    """Sums ``[n_draws, size]`` of the statistics of the pairs that were dealt one type."""
    return (dealt == number).astype(features.dtype) @ features
