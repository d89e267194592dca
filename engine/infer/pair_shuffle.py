"""The customary placebo, for comparison in a figure only: treatment paths shuffled over pairs.

A pair has no treatment of its own, so this breaks the dependence between pairs that share a city, and its
spread is that of the pair-clustered standard error. No p-value is made of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.estimate.batch import batch_fit
from engine.infer.draws import words
from engine.infer.permutation import Tested
from engine.infer.weighted import Weighted

Array = np.ndarray[Any, np.dtype[np.float64]]


def pair_shuffle_estimates(setting: Weighted, cell: Tested, *, reps: int, seed: int) -> Array:
    """Coefficients ``[reps, n_tested]`` with the types of the sample's pairs dealt anew to the pairs."""
    pairs = setting.pairs
    kinds = np.empty(len(pairs.i), dtype=np.int64)
    for start, stop, number in setting.steps:
        kinds[start:stop] = number
    sums = np.empty((reps, setting.n_types, pairs.layout.size))
    for replicate in range(reps):
        order = np.argsort(words(seed, np.array([replicate], dtype=np.int32), len(kinds))[0])
        dealt = pairs.features[order]  # the pairs of a type are consecutive in ``kinds``
        first = np.flatnonzero(np.diff(kinds, prepend=-1))
        sums[replicate] = 0.0
        sums[replicate, kinds[first]] = np.add.reduceat(dealt, first, axis=0)
    fit = batch_fit(pairs.layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested)
    return fit.estimate[:, list(cell.tested)]
