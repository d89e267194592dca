"""Pair statistics summed by type of pair for every draw of a permutation, without touching untreated pairs.

Under a reassignment, a pair's type is the unordered pair of its units' classes. Only treated units move the
sums, so with R_c the row sums over all partners of c, S the total, and B the sums over pairs of two treated
units (a small share of all pairs):

    (g, h)          B_gh
    (g, never)      sum_{c in g} R_c - sum_h B_gh (1 + [g = h])
    (never, never)  S - everything else

Where the draw's own screen differs from the base screen, the pairs between the two thresholds are added or
subtracted, by type; so are those between two bounds, where the sample is a third of the pairs of a draw. The table is
read tile by tile, once for all draws of a block: what few pairs of a tile a draw needs are the entries of a sparse
matrix, and their sums its product with the tile. Source: the contraction identities of engine/README.md, "How it
computes".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from engine.arrays import AnyArray, AnyIntegers, Array, Flags, Integers, LongIntegers, check_shape
from engine.pairs.pair_split import PairSplit, bounds_of_third
from engine.pairs.pair_statistics import PairStatistics, TableTile
from engine.pairs.process_cache import ProcessCache

_MOST_IN_A_BYTE = 127  # classes, and one more that stands for none
_TILE = 4096  # pairs: longer tiles than elsewhere, since each adds one array of sums


@dataclass(frozen=True)
class PermutedSample:
    """The pairs, the observed classes and the rules of a sample whose classes are reassigned.

    Attributes
    ----------
    pairs : PairStatistics
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
    split : PairSplit or None
        Of the pairs that a draw's exclusion and screen leave only this third.
    """

    pairs: PairStatistics
    classes: Integers
    allowed: Flags
    recompute: bool
    n_ranked: int
    span: Integers | None = None
    split: PairSplit | None = None

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

    def in_spans(self, sums: Array) -> Array:
        """Sums ``[n_draws, n_types, width]`` with the statistics of each type's span alone, ``[..., size]``."""
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
    def n_base(self) -> int:
        """Pairs in the base screen: the first so many of the table."""
        return self.pairs.n_screened if self.pairs.n_screened is not None else self.pairs.n_pairs

    def in_bounds(self, i: Integers, j: Integers) -> Flags:
        """Pairs within the bounds of the split that happened."""
        if self.split is None:
            return np.ones(len(i), dtype=bool)
        (low, high), sums = self.split.bounds, self.split.sums(i, j)
        return np.asarray((sums > low) & (sums <= high))

    @property
    def middle_rank(self) -> int:
        """Eligible pairs that are stronger than the lower middle one."""
        return self.n_ranked - 1 - (self.n_ranked - 1) // 2


class DrawnReach(NamedTuple):
    """Pairs of the table that some draws take: the first so many, and of those which are within bounds.

    Attributes
    ----------
    screens : int32 ``[n_draws]``
    bounds : float64 ``[2, n_draws]`` or None
        Low and high ends of the sums of a split that is made anew in each draw.
    """

    screens: Integers
    bounds: Array | None = None


@dataclass(frozen=True)
class BaseSums:
    """Sums over the pairs of the base screen, and of the split that happened, the same for every block of draws.

    Attributes
    ----------
    by_unit : float64 ``[n_units, width]``
        Over the pairs of each unit.
    total : float64 ``[width]``
    observed : bool ``[n_base, n_spans]``
        Pairs with two observed years; none beyond the bounds of the split.
    """

    by_unit: Array
    total: Array
    observed: Flags


_BASE_SUMS: ProcessCache[BaseSums] = ProcessCache()


def base_sums(sample: PermutedSample) -> BaseSums:
    """Sums of the base screen, which a process makes once for all blocks of draws that it gets."""
    pairs, split = sample.pairs, sample.split
    of_split = split and (split.bounds, split.value.tobytes())  # the table has the pairs of every split
    return _BASE_SUMS.get((pairs.key, pairs.in_memory, of_split), lambda: _sum_base(sample))


def _sum_base(sample: PermutedSample) -> BaseSums:
    pairs, n_base = sample.pairs, sample.n_base
    by_unit = np.zeros((pairs.n_units, pairs.width))
    observed = np.empty((n_base, pairs.width // pairs.layout.size), dtype=bool)
    for tile in pairs.tiles(n_base, length=_TILE):
        part = slice(tile.fresh - tile.start, n_base - tile.start)
        features = np.asarray(tile.statistics)[part]
        ends = np.stack([tile.i[part], tile.j[part]], axis=1).ravel()
        starts = np.arange(0, len(ends) + 1, 2)
        in_bounds = sample.in_bounds(tile.i[part], tile.j[part])
        weights = np.repeat(in_bounds.astype(np.float64), 2)
        by_unit += _signed_sums(features, ends, starts, weights, pairs.n_units)
        is_observed = (features[:, :: pairs.layout.size] > 0) & in_bounds[:, None]
        observed[tile.fresh : tile.fresh + len(features)] = is_observed
    return BaseSums(by_unit, by_unit.sum(axis=0) / 2, observed)


def type_sums(sample: PermutedSample, classes: Integers) -> tuple[Array, DrawnReach]:
    """Sums of pair statistics by type for a block of draws.

    Parameters
    ----------
    sample : PermutedSample
    classes : int32 ``[n_draws, n_units]``

    Returns
    -------
    float64 ``[n_draws, n_types, size]``
        In the order of ``PermutedSample.types``.
    DrawnReach
    """
    base, h, n_draws = base_sums(sample), sample.n_classes, len(classes)
    n_treated, columns = h - 1, packed_classes(classes, h)
    of_both, screens = _treated_pairs(sample, columns)
    both_ways = of_both + of_both.transpose(0, 2, 1, 3)
    by_class = _treated_units(base, columns, n_treated)
    cube = np.zeros((n_draws, h, h, sample.pairs.width))
    cube[:, :n_treated, :n_treated] = both_ways  # (g, g) is halved below
    cube[:, :n_treated, -1] = by_class - both_ways.sum(axis=2)
    diagonal = np.arange(n_treated)
    cube[:, diagonal, diagonal] /= 2
    cube[:, -1, -1] = base.total - cube[:, :n_treated, -1].sum(axis=1) - of_both.sum(axis=(1, 2))
    sums = np.stack([cube[:, g, k] for g, k in sample.types], axis=1)
    reach = DrawnReach(
        screens, None if sample.split is None else _bounds(sample, sample.split, classes, screens)
    )
    if sample.recompute or sample.split is not None:
        sums += _corrections(sample, columns, reach)
    return sample.in_spans(sums), reach


def _bounds(sample: PermutedSample, split: PairSplit, classes: Integers, screens: Integers) -> Array:
    """Bounds ``[2, n_draws]`` of a third of the pairs that the exclusion and the screen of each draw leave."""
    assert split.third is not None
    longest = screens.max()
    i, j = sample.pairs.i[:longest], sample.pairs.j[:longest]
    sums, bounds = split.sums(i, j), np.empty((2, len(classes)))
    for draw, (of_draw, screen) in enumerate(zip(classes, screens, strict=True)):
        eligible = sample.allowed[of_draw[i[:screen]], of_draw[j[:screen]]]
        bounds[:, draw] = bounds_of_third(sums[:screen][eligible], split.third)
    return bounds


def packed_classes(classes: Integers, n_classes: int) -> AnyArray:
    """Classes ``[n_units, n_draws]`` of draws ``[n_draws, n_units]`` in bytes, or two where there are many.

    Those of many pairs are quickly gathered so.
    """
    return np.ascontiguousarray(classes.T.astype(np.int8 if n_classes < _MOST_IN_A_BYTE else np.int16))


def _treated_units(base: BaseSums, classes: AnyArray, n_treated: int) -> Array:
    """Sums of the treated units by class, ``[n_draws, n_treated, width]``."""
    n_draws = classes.shape[1]
    entries = np.flatnonzero(classes < n_treated)
    targets = entries % n_draws * n_treated + classes.ravel()[entries]
    starts = _row_starts(entries, len(classes), n_draws)
    sums = _signed_sums(base.by_unit, targets, starts, np.ones(len(entries)), n_draws * n_treated)
    return sums.reshape(n_draws, n_treated, -1)


def _treated_pairs(sample: PermutedSample, classes: AnyArray) -> tuple[Array, Integers]:
    """Sums over the base screen's pairs of two treated units by their classes; how much passes each screen.

    ``[n_draws, n_treated, n_treated, width]``, the smaller class first; int32 ``[n_draws]``.
    """
    pairs, n_base, n_treated, n_draws = sample.pairs, sample.n_base, sample.n_classes - 1, classes.shape[1]
    sums = np.zeros((n_draws * n_treated * n_treated, pairs.width))
    n_earlier, later = np.zeros(n_draws, dtype=np.int64), []
    for tile in pairs.tiles(pairs.n_pairs if sample.recompute else n_base, length=_TILE):
        class_i, class_j = classes[tile.i], classes[tile.j]
        entries = np.flatnonzero(np.maximum(class_i, class_j) < n_treated)
        entries = entries[np.searchsorted(entries, (tile.fresh - tile.start) * n_draws) :]
        a, b = class_i.ravel()[entries], class_j.ravel()[entries]
        draw = entries % n_draws
        if sample.recompute:
            excluded, rank = ~sample.allowed[a, b], tile.start + entries // n_draws
            n_earlier += np.bincount(draw[excluded & (rank < sample.middle_rank)], minlength=n_draws)
            later.append(np.stack([rank, draw])[:, excluded & (rank >= sample.middle_rank)])
        n_screened = np.searchsorted(entries, (n_base - tile.start) * n_draws)
        if n_screened:
            low, high = np.minimum(a, b)[:n_screened], np.maximum(a, b)[:n_screened]
            targets = (draw[:n_screened] * n_treated + low) * n_treated + high
            starts = _row_starts(entries[:n_screened], len(tile.i), n_draws)
            weights = sample.in_bounds(tile.i, tile.j).astype(np.float64)[entries[:n_screened] // n_draws]
            sums += _tile_sums(tile, targets, starts, weights, len(sums))
    sums = sums.reshape(n_draws, n_treated, n_treated, -1)
    if not sample.recompute:
        return sums, np.full(n_draws, n_base, dtype=np.int32)
    return sums, _screens(sample, n_earlier, np.concatenate(later, axis=1))


def _screens(sample: PermutedSample, n_earlier: LongIntegers, later: LongIntegers) -> Integers:
    """Length of the table that passes each draw's screen: pairs strictly stronger than the lower middle one.

    The middle eligible pair stands at rank middle + (excluded pairs before it). Of the excluded pairs from rank
    middle on, the k-th of a draw (from 0) comes before it where rank - k <= middle + ``n_earlier``. Ties with the
    middle pair are cut off.

    ``n_earlier`` ``[n_draws]``: excluded pairs of lower rank than middle; ``later`` ``[2, n]``: rank and draw of the
    others, by rank.
    """
    rank, draw = later[:, np.argsort(later[1], kind="stable")]
    number = np.arange(len(draw)) - np.searchsorted(draw, draw)
    start = sample.middle_rank + n_earlier
    passed = np.bincount(draw[rank - number <= start[draw]], minlength=len(n_earlier))
    return sample.pairs.tie_start[start + passed]


def _corrections(sample: PermutedSample, classes: AnyArray, reach: DrawnReach) -> Array:
    """Sums to add where a draw's screen or bounds are not the base's, by type ``[n_draws, n_types, width]``."""
    screens, bounds = reach
    n_base, n_types, n_draws = sample.n_base, len(sample.types), len(screens)
    low, high = min(n_base, int(screens.min())), max(n_base, int(screens.max()))
    sums, numbers = np.zeros((n_draws * n_types, sample.pairs.width)), sample.type_numbers
    for tile in sample.pairs.tiles(high, start=low if bounds is None else 0):
        rank = tile.start + np.arange(len(tile.i))[:, None]
        is_drawn, is_base = rank < screens, rank < n_base
        if sample.split is not None and bounds is not None:
            split_sums = sample.split.sums(tile.i, tile.j)[:, None]
            is_drawn &= (split_sums > bounds[0]) & (split_sums <= bounds[1])
            is_base &= sample.in_bounds(tile.i, tile.j)[:, None]
        entries = np.flatnonzero((is_drawn != is_base) & (rank >= tile.fresh))
        pair, draw = np.divmod(entries, n_draws)
        number = numbers[classes[tile.i[pair], draw], classes[tile.j[pair], draw]]
        in_sample = number >= 0
        sign = np.where(is_base[pair[in_sample], 0], -1.0, 1.0)
        targets = (draw * n_types + number)[in_sample]
        sums += _tile_sums(
            tile, targets, _row_starts(entries[in_sample], len(tile.i), n_draws), sign, len(sums)
        )
    return sums.reshape(n_draws, n_types, -1)


def _tile_sums(tile: TableTile, targets: AnyIntegers, starts: AnyIntegers, sign: Array, n_sums: int) -> Array:
    """`_signed_sums` of the statistics of a tile's pairs."""
    return _signed_sums(np.asarray(tile.statistics), targets, starts, sign, n_sums)


def _row_starts(entries: LongIntegers, n_rows: int, n_draws: int) -> LongIntegers:
    """First entry of each row among ascending positions in ``[n_rows, n_draws]``, and the end of the last."""
    return np.searchsorted(entries, np.arange(n_rows + 1) * n_draws)


def _signed_sums(rows: Array, targets: AnyIntegers, starts: AnyIntegers, sign: Array, n_sums: int) -> Array:
    """``[n_sums, width]``: row p is added, with signs, to the sums ``targets[starts[p] : starts[p + 1]]``."""
    # Each row is read once, in order, and added where it belongs: the sums of a block stay in the cache.
    return np.asarray(sparse.csc_array((sign, targets, starts), shape=(n_sums, len(rows))) @ rows)
