"""Pair statistics summed by type of pair for every draw of a permutation, without touching untreated pairs.

Under a reassignment, a pair's type is the unordered pair of its units' classes. Only treated units move the
sums, so with R_c the row sums over all partners of c, S the total, and B the sums over pairs of two treated
units (gathered, a small share of all pairs):

    (g, h)          B_gh
    (g, never)      sum_{c in g} R_c - sum_h B_gh (1 + [g = h])
    (never, never)  S - everything else

Where the draw's own screen differs from the base screen, the pairs between the two thresholds are added or
taken away, by type. Source: the contraction identities of the README, "How it computes".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from engine.pairs.features import PairFeatures

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]

_BAND = 256  # band widths are rounded up to this, so that few shapes are compiled


@dataclass(frozen=True, eq=False)
class Assignments:
    """What is fixed while classes are dealt anew to the units.

    Attributes
    ----------
    pairs : PairFeatures
    classes : int32 ``[n_units]``
        Observed classes; the last class is never.
    allowed : bool ``[n_classes, n_classes]``
        Types of pairs in the sample.
    recompute : bool
        Take each draw's own median screen over its eligible pairs.
    n_eligible : int
        Eligible pairs; the same for every assignment.
    """

    pairs: PairFeatures
    classes: Integers
    allowed: Flags
    recompute: bool
    n_eligible: int

    @property
    def n_classes(self) -> int:
        return len(self.allowed)

    @property
    def types(self) -> list[tuple[int, int]]:
        """Types of pairs that are in the sample, as (class, class), first <= second."""
        h = self.n_classes
        return [(g, k) for g in range(h) for k in range(g, h) if self.allowed[g, k]]

    @property
    def base(self) -> int:
        """Pairs in the base screen: the first so many of the table."""
        return self.pairs.n_screened if self.pairs.n_screened is not None else len(self.pairs.i)


@dataclass(frozen=True)
class Prepared:
    """Arrays that every block of draws uses, computed once from `Assignments`."""

    given: Assignments
    ranks: Any
    features: Any
    rows: Any
    total: Array
    treated_classes: tuple[int, ...]


@lru_cache(maxsize=1)
def prepare(given: Assignments) -> Prepared:
    """Row sums and total of the base screen, and the table on the device (call under float64).

    Kept for the next block of draws: one setting serves all blocks that a process gets.
    """
    pairs, base = given.pairs, given.base
    features = jnp.asarray(pairs.features)
    rows = jax.ops.segment_sum(features[:base], jnp.asarray(pairs.i[:base]), pairs.n_units)
    rows = rows + jax.ops.segment_sum(features[:base], jnp.asarray(pairs.j[:base]), pairs.n_units)
    classes = np.sort(given.classes[given.classes < given.n_classes - 1])
    # One zero row at the end stands for every pair that is not in the base screen.
    padded = jnp.concatenate([features[:base], jnp.zeros((1, pairs.layout.size))])
    total = np.asarray(rows).sum(axis=0) / 2
    return Prepared(given, jnp.asarray(pairs.ranks), padded, rows, total, tuple(classes.tolist()))


@partial(jax.jit, static_argnames=("classes", "n_treated"))
def _treated_sums(
    ranks: Any, features: Any, rows: Any, units: Any, classes: tuple[int, ...], n_treated: int
) -> tuple[Any, Any, Any]:
    """Sums over treated units' rows by class, and over pairs of treated units by type; ranks of the latter.

    ``units`` int32 ``[n_draws, n_treated_units]``, sorted by class. The loops run over positions and do all
    draws at once: the batch stays long and the gathered rows contiguous.
    """
    n_draws, size = len(units), features.shape[1]
    first, second = np.triu_indices(len(classes), 1)
    where = np.array(classes, dtype=np.int32)
    pair_type = jnp.asarray(where[first] * n_treated + where[second])
    found = ranks[units[:, first], units[:, second]]
    inside = jnp.minimum(found, len(features) - 1)
    of_class = jnp.asarray(where)

    def add_pair(k: Any, sums: Any) -> Any:
        return sums.at[:, pair_type[k]].add(features[inside[:, k]])

    def add_row(k: Any, sums: Any) -> Any:
        return sums.at[:, of_class[k]].add(rows[units[:, k]])

    both = jnp.zeros((n_draws, n_treated * n_treated, size))
    if len(first):  # a single treated unit has no pair of its own kind, and nothing to trace
        both = jax.lax.fori_loop(0, len(first), add_pair, both)
    by_class = jax.lax.fori_loop(0, len(classes), add_row, jnp.zeros((n_draws, n_treated, size)))
    return by_class, both.reshape(n_draws, n_treated, n_treated, size), found


@jax.jit
def _screens(found: Any, middle: Any, tie_start: Any) -> Any:
    """Length of the table that passes each draw's screen: pairs strictly stronger than the lower middle one.

    The middle eligible pair stands at rank q = middle + (excluded pairs at or before q), found by iteration
    from below; ties with it are cut off.
    """

    def further(q: Any) -> Any:
        return middle + (found <= q[:, None]).sum(1).astype(q.dtype)

    start = jnp.full(len(found), middle, dtype=jnp.int32)
    q = jax.lax.while_loop(
        lambda state: (state[0] != state[1]).any(),
        lambda state: (state[1], further(state[1])),
        (start, further(start)),
    )[1]
    return tie_start[q]


@partial(jax.jit, static_argnames=("types", "n_classes"))
def _band_sums(
    features: Any,
    i: Any,
    j: Any,
    classes: Any,
    screens: Any,
    base: Any,
    types: tuple[tuple[int, int], ...],
    n_classes: int,
) -> Any:
    """What each draw's screen adds to the base screen's sums, or takes away, by type ``[n_draws, n_types, size]``.

    ``screens`` and ``base`` count from the first pair of the band.
    """
    one, other = classes[:, i], classes[:, j]
    code = jnp.minimum(one, other) * n_classes + jnp.maximum(one, other)
    rank = jnp.arange(len(i))[None, :]
    gained = (rank >= base) & (rank < screens[:, None])
    lost = (rank < base) & (rank >= screens[:, None])
    sign = gained.astype(features.dtype) - lost.astype(features.dtype)
    return jnp.stack([jnp.where(code == g * n_classes + h, sign, 0.0) @ features for g, h in types], axis=1)


def type_sums(ready: Prepared, classes: Integers) -> tuple[Array, Integers]:
    """Sums of pair statistics by type for a block of draws (call under float64).

    Parameters
    ----------
    ready : Prepared
    classes : int32 ``[n_draws, n_units]``

    Returns
    -------
    float64 ``[n_draws, n_types, size]``
        In the order of ``Assignments.types``.
    int32 ``[n_draws]``
        How much of the table passes each draw's screen.
    """
    given = ready.given
    h, n_treated = given.n_classes, given.n_classes - 1
    units = np.argsort(classes.astype(np.int16), axis=1, kind="stable")[:, : len(ready.treated_classes)]
    rows, both, found = _treated_sums(
        ready.ranks,
        ready.features,
        ready.rows,
        jnp.asarray(units.astype(np.int32)),
        ready.treated_classes,
        n_treated,
    )
    rows, both = np.asarray(rows), np.asarray(both)
    both_ways = both + both.transpose(0, 2, 1, 3)
    cube = np.zeros((len(classes), h, h, rows.shape[-1]))
    cube[:, :n_treated, :n_treated] = both_ways  # (g, g) is halved below
    cube[:, :n_treated, -1] = rows - both_ways.sum(axis=2)
    diagonal = np.arange(n_treated)
    cube[:, diagonal, diagonal] /= 2
    cube[:, -1, -1] = ready.total - cube[:, :n_treated, -1].sum(axis=1) - both.sum(axis=(1, 2))
    types = given.types
    sums = np.stack([cube[:, g, k] for g, k in types], axis=1)
    if not given.recompute:
        return sums, np.full(len(classes), given.base, dtype=np.int32)
    middle = jnp.int32(given.n_eligible - 1 - (given.n_eligible - 1) // 2)
    screens = np.asarray(_screens(found, middle, jnp.asarray(given.pairs.tie_start)))
    return sums + _corrections(given, classes, screens), screens


def _corrections(given: Assignments, classes: Integers, screens: Integers) -> Array:
    pairs = given.pairs
    low, high = min(given.base, int(screens.min())), max(given.base, int(screens.max()))
    width = min(-(-(high - low) // _BAND) * _BAND, len(pairs.i))
    if high == low:
        return np.zeros((len(classes), len(given.types), pairs.layout.size))
    start = min(low, len(pairs.i) - width)
    band = slice(start, start + width)
    more = _band_sums(
        jnp.asarray(pairs.features[band]),
        jnp.asarray(pairs.i[band]),
        jnp.asarray(pairs.j[band]),
        jnp.asarray(classes),
        jnp.asarray(screens - start),
        given.base - start,
        tuple(given.types),
        given.n_classes,
    )
    return np.asarray(more)
