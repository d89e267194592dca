"""Pair-level permutation, for comparison in a figure only: treatment paths are permuted over the pairs.

It is conventional and invalid under dyadic dependence: a pair has no treatment of its own, so this breaks the
dependence between pairs that share a city, and its spread is that of the pair-clustered standard error. No p-value is
made of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyArray, AnyIntegers, Array, Integers, Words
from engine.estimate.many_samples import Tested
from engine.float64 import double_precision
from engine.infer.draws import random_bits
from engine.infer.permuted_sums import PermutedSample, base_sums
from engine.infer.tested_fit import tested_fit

_BLOCK = 64  # replicates whose labels of all pairs are held at once, in bytes
_LABELS = 64_000_000  # fewer where these would be more labels than this: threads hold one block each


@dataclass(frozen=True)
class PairPermutation:
    """Pair-level permutations of a sample; ``block``: most replicates of a block."""

    sample: PermutedSample
    seed: int
    block: int


def pair_block(sample: PermutedSample, reps: int) -> int:
    """Replicates whose labels of all pairs are held at once."""
    return max(1, min(_BLOCK, reps, _LABELS // sample.n_base))


def pair_permutation_estimates(sample: PermutedSample, cell: Tested, sums: Array) -> Array:
    """Coefficients ``[reps, n_tested]`` with the types of the sample's pairs permuted over the pairs.

    ``sums``: those of `pair_permutation_sums`, which all cells of a pass share.
    """
    fit = tested_fit(sample.pairs.layout, sums, cell, influences=False)
    return fit.estimate[:, 0, list(cell.tested)]


def pair_permutation_sums(permutation: PairPermutation, block: Integers) -> Array:
    """Sums ``[n_draws, n_types, size]`` of the pairs' statistics by their permuted type, in some replicates."""
    sample, pairs, n_base = permutation.sample, permutation.sample.pairs, permutation.sample.n_base
    numbers = sample.type_numbers[sample.classes[pairs.i[:n_base]], sample.classes[pairs.j[:n_base]]]
    span = np.array(sample.spans)[numbers]
    in_sample = np.flatnonzero((numbers >= 0) & base_sums(sample).observed[np.arange(n_base), span])
    ends = np.cumsum(np.bincount(numbers[in_sample], minlength=len(sample.types)))
    ends = ends[ends < len(in_sample)]  # the number of a label is how many of these its pair has passed
    labels = np.full((permutation.block, pairs.n_pairs), -1, dtype=_label_type(len(ends)))
    for row in range(len(block)):
        order = random_bits(permutation.seed, block[row : row + 1], len(in_sample))[0]
        labels[row, in_sample] = _labels(order, ends)
    sums = np.zeros((len(block), len(sample.types), pairs.width))
    with double_precision():
        for tile in pairs.tiles(n_base):
            of_tile = labels[:, tile.start : tile.start + len(tile.i)]
            of_tile[:, : tile.fresh - tile.start] = -1
            added = sums_by_label(jnp.asarray(of_tile), tile.statistics, n_types=len(sample.types))
            sums += np.asarray(added)[: len(block)]
    return sample.in_spans(sums)


def merge_sums(first: Array, second: Array) -> Array:
    """Sums of two blocks, in order."""
    return np.concatenate([first, second])


def _label_type(n_limits: int) -> type[np.int8 | np.int16]:
    return np.int8 if n_limits < 127 else np.int16


def _labels(order: Words, ends: AnyIntegers) -> AnyArray:
    """Labels of pairs in the order of their random bits: so many of the smallest have the first, and so on."""
    limits = np.partition(order, ends)[ends] if len(ends) else order[:0]
    labels = np.zeros(len(order), dtype=_label_type(len(ends)))
    for limit in limits:
        labels += order >= limit
    return labels


@partial(jax.jit, static_argnames="n_types")
def sums_by_label(labels: jax.Array, features: jax.Array, *, n_types: int) -> jax.Array:
    """Sums ``[n_draws, n_types, size]`` of a tile's statistics by the labels ``[n_draws, length]`` of its pairs.

    A product whose first factor had to be transposed would be split among threads along the pairs.
    """
    return jnp.stack(
        [(labels == number).astype(features.dtype) @ features for number in range(n_types)], axis=1
    )
