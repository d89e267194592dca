"""Pair statistics summed by type of pair for every draw of a permutation, without touching untreated pairs.

Under a reassignment, a pair's type is the unordered pair of its units' classes. Only treated units move the
sums, so with R_c the row sums over all partners of c, S the total, and B the sums over pairs of two treated
units (a small share of all pairs):

    (g, h)          B_gh
    (g, never)      sum_{c in g} R_c - sum_h B_gh (1 + [g = h])
    (never, never)  S - everything else

Where the draw's own screen differs from the base screen, the pairs between the two thresholds are added or
taken away, by type. The table is read tile by tile, once for all draws of a block: what few pairs of a tile a
draw needs are the entries of a sparse matrix, and their sums its product with the tile. Source: the
contraction identities of the README, "How it computes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from engine.arrays import Array, Flags, Integers, LongIntegers, check_shape
from engine.pairs.features import PairFeatures, Tile
from engine.pairs.process_cache import ProcessCache

_TILE = 4096  # pairs: longer tiles than elsewhere, since each adds one array of sums


@dataclass(frozen=True)
class Assignments:
    """What is fixed while classes are dealt anew to the units.

    Attributes
    ----------
    pairs : PairFeatures
    classes : int32 ``[n_units]``
        Observed classes; the last class is never.
    allowed : bool ``[n_classes, n_classes]``
        Types of pairs in the sample; never-treated units form pairs with all.
    recompute : bool
        Take each draw's own median screen over its eligible pairs.
    n_ranked : int
        Eligible pairs that have a force; the same for every assignment.
    span : int ``[n_classes, n_classes]`` or None
        Where the years of a pair depend on its type, which of the spans of ``pairs`` it has.
    """

    pairs: PairFeatures
    classes: Integers
    allowed: Flags
    recompute: bool
    n_ranked: int
    span: Integers | None = None

    def __post_init__(self) -> None:
        check_shape("classes", self.classes, (self.pairs.n_units,))
        check_shape("allowed", self.allowed, (self.n_classes, self.n_classes))
        if self.span is not None:
            check_shape("span", self.span, self.allowed.shape)

    @property
    def n_classes(self) -> int:
        return len(self.allowed)

    @property
    def types(self) -> list[tuple[int, int]]:
        """Types of pairs that are in the sample, as (class, class), first <= second."""
        h = self.n_classes
        return [(g, k) for g in range(h) for k in range(g, h) if self.allowed[g, k]]

    @property
    def spans(self) -> tuple[int, ...]:
        """Of each type, its span of years."""
        return tuple(0 if self.span is None else int(self.span[g, k]) for g, k in self.types)

    def own_columns(self, sums: Array) -> Array:
        """Sums ``[n_draws, n_types, width]`` with the statistics of each type's own years alone, ``[..., size]``."""
        size = self.pairs.layout.size
        if self.pairs.width == size:
            return sums
        parts = [sums[:, k, u * size : (u + 1) * size] for k, u in enumerate(self.spans)]
        return np.stack(parts, axis=1)

    @property
    def type_numbers(self) -> Integers:
        """``[n_classes, n_classes]`` position in ``types``; -1 for pairs that are not in the sample."""
        numbers = np.full(self.allowed.shape, -1, dtype=np.int32)
        for position, (g, k) in enumerate(self.types):
            numbers[g, k] = numbers[k, g] = position
        return numbers

    @property
    def base(self) -> int:
        """Pairs in the base screen: the first so many of the table."""
        return self.pairs.n_screened if self.pairs.n_screened is not None else self.pairs.n_pairs

    @property
    def middle(self) -> int:
        """Eligible pairs that are stronger than the lower middle one."""
        return self.n_ranked - 1 - (self.n_ranked - 1) // 2


@dataclass(frozen=True)
class Prepared:
    """What every block of draws uses.

    Attributes
    ----------
    given : Assignments
    rows : float64 ``[n_units, size]``
        Sums over the pairs of each unit in the base screen.
    total : float64 ``[size]``
    used : bool ``[base, n_spans]``
        Pairs of the base screen with two observed years.
    """

    given: Assignments
    rows: Array
    total: Array
    used: Flags


_SUMS: ProcessCache[tuple[Array, Array, Flags]] = ProcessCache()


def prepare(given: Assignments) -> Prepared:
    """Row sums and total of the base screen, which a process makes once for all blocks of draws that it gets."""
    pairs = given.pairs
    return Prepared(given, *_SUMS.get((pairs.key, pairs.kept), lambda: _base_sums(pairs, given.base)))


def _base_sums(pairs: PairFeatures, base: int) -> tuple[Array, Array, Flags]:
    rows = np.zeros((pairs.n_units, pairs.width))
    used = np.empty((base, pairs.width // pairs.layout.size), dtype=bool)
    for tile in pairs.tiles(base, length=_TILE):
        part = slice(tile.fresh - tile.at, base - tile.at)
        features = np.asarray(tile.features)[part]
        ends = np.stack([tile.i[part], tile.j[part]], axis=1).ravel()
        rows += _sums(features, ends, np.arange(0, len(ends) + 1, 2), np.ones(len(ends)), pairs.n_units)
        used[tile.fresh : tile.fresh + len(features)] = features[:, :: pairs.layout.size] > 0
    return rows, rows.sum(axis=0) / 2, used


def type_sums(ready: Prepared, classes: Integers) -> tuple[Array, Integers]:
    """Sums of pair statistics by type for a block of draws.

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
    h, n_treated, n_draws = given.n_classes, given.n_classes - 1, len(classes)
    columns = _draws_last(classes)
    both, screens = _treated_pairs(given, columns)
    both_ways = both + both.transpose(0, 2, 1, 3)
    rows = _treated_rows(ready, columns)
    cube = np.zeros((n_draws, h, h, given.pairs.width))
    cube[:, :n_treated, :n_treated] = both_ways  # (g, g) is halved below
    cube[:, :n_treated, -1] = rows - both_ways.sum(axis=2)
    diagonal = np.arange(n_treated)
    cube[:, diagonal, diagonal] /= 2
    cube[:, -1, -1] = ready.total - cube[:, :n_treated, -1].sum(axis=1) - both.sum(axis=(1, 2))
    sums = np.stack([cube[:, g, k] for g, k in given.types], axis=1)
    if given.recompute:
        sums += _corrections(given, columns, screens)
    return given.own_columns(sums), screens


def _draws_last(classes: Integers) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Classes ``[n_units, n_draws]`` in bytes, so that those of many pairs are quickly gathered."""
    return np.ascontiguousarray(classes.T.astype(np.int8))


def _treated_rows(ready: Prepared, classes: Any) -> Array:
    """Row sums of the treated units by class, ``[n_draws, n_treated, size]``."""
    n_treated, n_draws = ready.given.n_classes - 1, classes.shape[1]
    found = np.flatnonzero(classes < n_treated)
    where = found % n_draws * n_treated + classes.ravel()[found]
    sums = _sums(
        ready.rows, where, _starts(found, len(classes), n_draws), np.ones(len(found)), n_draws * n_treated
    )
    return sums.reshape(n_draws, n_treated, -1)


def _treated_pairs(given: Assignments, classes: Any) -> tuple[Array, Integers]:
    """Sums over the base screen's pairs of two treated units by their classes; how much passes each screen.

    ``[n_draws, n_treated, n_treated, size]``, the smaller class first; int32 ``[n_draws]``.
    """
    pairs, base, n_treated, n_draws = given.pairs, given.base, given.n_classes - 1, classes.shape[1]
    sums = np.zeros((n_draws * n_treated * n_treated, pairs.width))
    before, late = np.zeros(n_draws, dtype=np.int64), []
    for tile in pairs.tiles(pairs.n_pairs if given.recompute else base, length=_TILE):
        one, other = classes[tile.i], classes[tile.j]
        found = np.flatnonzero(np.maximum(one, other) < n_treated)
        found = found[np.searchsorted(found, (tile.fresh - tile.at) * n_draws) :]
        a, b = one.ravel()[found], other.ravel()[found]
        draw = found % n_draws
        if given.recompute:
            out = ~given.allowed[a, b]
            rank = tile.at + found // n_draws
            before += np.bincount(draw[out & (rank < given.middle)], minlength=n_draws)
            late.append(np.stack([rank, draw])[:, out & (rank >= given.middle)])
        inside = np.searchsorted(found, (base - tile.at) * n_draws)
        if inside:
            low, high = np.minimum(a, b)[:inside], np.maximum(a, b)[:inside]
            where = (draw[:inside] * n_treated + low) * n_treated + high
            sums += _of_tile(tile, found[:inside], where, np.ones(inside), n_draws, len(sums))
    both = sums.reshape(n_draws, n_treated, n_treated, -1)
    if not given.recompute:
        return both, np.full(n_draws, base, dtype=np.int32)
    return both, _screens(given, before, np.concatenate(late, axis=1))


def _screens(given: Assignments, before: LongIntegers, late: LongIntegers) -> Integers:
    """Length of the table that passes each draw's screen: pairs strictly stronger than the lower middle one.

    The middle eligible pair stands at rank middle + (excluded pairs before it). Of the excluded pairs from rank
    middle on, the k-th of a draw (from 0) comes before it where rank - k <= middle + ``before``. Ties with the
    middle pair are cut off.

    ``before`` ``[n_draws]``: excluded pairs of lower rank than middle; ``late`` ``[2, n]``: rank and draw of the
    others, by rank.
    """
    rank, draw = late[:, np.argsort(late[1], kind="stable")]
    number = np.arange(len(draw)) - np.searchsorted(draw, draw)
    start = given.middle + before
    passed = np.bincount(draw[rank - number <= start[draw]], minlength=len(before))
    return given.pairs.tie_start[start + passed]


def _corrections(given: Assignments, classes: Any, screens: Integers) -> Array:
    """What a draw's screen adds to the base screen's sums, or takes away, by type ``[n_draws, n_types, size]``."""
    n_types, n_draws, numbers = len(given.types), len(screens), given.type_numbers
    low, high = min(given.base, int(screens.min())), max(given.base, int(screens.max()))
    sums = np.zeros((n_draws * n_types, given.pairs.width))
    for tile in given.pairs.tiles(high, start=low):
        rank = tile.at + np.arange(len(tile.i))[:, None]
        moved = ((rank < screens) != (rank < given.base)) & (rank >= tile.fresh)
        found = np.flatnonzero(moved)
        pair, draw = np.divmod(found, n_draws)
        kind = numbers[classes[tile.i[pair], draw], classes[tile.j[pair], draw]]
        found, pair, draw, kind = (part[kind >= 0] for part in (found, pair, draw, kind))
        sign = np.where(tile.at + pair >= given.base, 1.0, -1.0)
        sums += _of_tile(tile, found, draw * n_types + kind, sign, n_draws, len(sums))
    return sums.reshape(n_draws, n_types, -1)


def _of_tile(
    tile: Tile, found: LongIntegers, where: LongIntegers, sign: Array, n_draws: int, n_sums: int
) -> Array:
    """Sums ``[n_sums, size]`` of signed rows of a tile; ``found``: positions in [pair, draw], added to ``where``."""
    return _sums(np.asarray(tile.features), where, _starts(found, len(tile.i), n_draws), sign, n_sums)


def _starts(found: LongIntegers, n_rows: int, n_draws: int) -> LongIntegers:
    """First entry of each row among ascending positions in ``[n_rows, n_draws]``, and the end of the last."""
    return np.searchsorted(found, np.arange(n_rows + 1) * n_draws)


def _sums(rows: Array, where: Any, starts: Any, sign: Array, n_sums: int) -> Array:
    """``[n_sums, size]``: row p is added, with signs, to the sums ``where[starts[p] : starts[p + 1]]``."""
    # Each row is read once, in order, and added where it belongs: the sums of a block stay in the cache.
    return np.asarray(sparse.csc_array((sign, where, starts), shape=(n_sums, len(rows))) @ rows)
