"""The customary placebo, for comparison in a figure only: treatment paths shuffled over pairs.

A pair has no treatment of its own, so this breaks the dependence between pairs that share a city, and its
spread is that of the pair-clustered standard error. No p-value is made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.many_samples import Tested, batch_fit
from engine.float64 import double_precision
from engine.infer.draws import words
from engine.infer.permuted_sums import Assignments, prepare

_BLOCK = 64  # replicates whose labels of all pairs are held at once, in bytes
_LABELS = 64_000_000  # fewer where these would be more labels than this: threads hold one block each


@dataclass(frozen=True)
class Shuffles:
    """What every block of shuffles gets; ``at_once``: replicates of a block."""

    given: Assignments
    seed: int
    at_once: int


def shuffles_at_once(given: Assignments, reps: int) -> int:
    """Replicates whose labels of all pairs are held at once."""
    return max(1, min(_BLOCK, reps, _LABELS // given.base))


def pair_shuffle_estimates(given: Assignments, cell: Tested, sums: Array) -> Array:
    """Coefficients ``[reps, n_tested]`` with the types of the sample's pairs dealt anew to the pairs.

    ``sums``: those of `shuffled_sums`, which all cells of a pass share.
    """
    fit = batch_fit(given.pairs.layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested)
    return fit.estimate[:, 0, list(cell.tested)]


def shuffled_sums(setting: Shuffles, block: Integers) -> Array:
    """Sums ``[n_draws, n_types, size]`` of the pairs' statistics by the type dealt to them, in given replicates."""
    given, pairs, base = setting.given, setting.given.pairs, setting.given.base
    kinds = given.type_numbers[given.classes[pairs.i[:base]], given.classes[pairs.j[:base]]]
    spans = np.array(given.spans)
    sample = np.flatnonzero((kinds >= 0) & prepare(given).used[np.arange(base), spans[kinds]])
    ends = np.cumsum(np.bincount(kinds[sample], minlength=len(given.types)))
    ends = ends[ends < len(sample)]  # the number of a label is how many of these its pair has passed
    labels = np.full((setting.at_once, pairs.n_pairs), -1, dtype=np.int8)
    for column in range(len(block)):
        order = words(setting.seed, block[column : column + 1], len(sample))[0]
        labels[column, sample] = _dealt(order, ends)
    sums = np.zeros((len(block), len(given.types), pairs.width))
    with double_precision():
        for tile in pairs.tiles(base):
            own = labels[:, tile.start : tile.start + len(tile.i)]
            own[:, : tile.fresh - tile.start] = -1
            more = _of_types(jnp.asarray(own), tile.statistics, n_types=len(given.types))
            sums += np.asarray(more)[: len(block)]
    return given.own_columns(sums)


def merge_sums(one: Array, other: Array) -> Array:
    """Sums of two blocks, in order."""
    return np.concatenate([one, other])


def _dealt(order: Any, ends: Any) -> Any:
    """Labels of pairs in the order of their random words: so many of the smallest have the first, and so on."""
    limits = np.partition(order, ends)[ends] if len(ends) else order[:0]
    labels = np.zeros(len(order), dtype=np.int8)
    for limit in limits:
        labels += order >= limit
    return labels


@partial(jax.jit, static_argnames="n_types")
def _of_types(labels: Any, features: Any, *, n_types: int) -> Any:
    """Sums ``[n_draws, n_types, size]`` of a tile's statistics by the labels ``[n_draws, length]`` of its pairs.

    A product whose first factor had to be transposed would be split among threads along the pairs.
    """
    return jnp.stack(
        [(labels == number).astype(features.dtype) @ features for number in range(n_types)], axis=1
    )
