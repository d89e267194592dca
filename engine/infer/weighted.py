"""Regressions on samples in which cities carry weights: a pair counts w_i w_j times.

Bootstrap resamples (w the number of times a city was drawn; two copies of one city form no pair) and
leave-out samples (w zero or one) are both of this kind. Types of pairs stay what they are, so the sums by type
are matrix products of the pairs' statistics with w_i w_j, and those of a draw's influences with its weights.

The table of statistics stays where it is. Slabs of it are brought to the device one at a time, pairs of one type
together, so that what is held beside the table does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import NamedTuple
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyIntegers, Array, Flags, Integers, check_shape
from engine.estimate.many_samples import BatchFit, Tested, city_feature_weights, feature_weights
from engine.infer.devices import across_devices, on_all_devices, sum_in_order
from engine.infer.errors.dyadic import drawn_variances
from engine.infer.errors.small_sample import small_sample_factor
from engine.infer.partner_rows import rows_fit
from engine.infer.tested_fit import tested_fit
from engine.infer.weighted_rows import WeightedRows
from engine.pairs.pair_statistics import PairStatistics
from engine.pairs.process_cache import ProcessCache

_PAIRS = 512  # pairs of one matrix product: their weights in 256 draws just fit a core's cache
_SLAB = 2**16  # pairs of the table on the device at once
_UNITS = 1024  # whose partners are counted at once


@dataclass(frozen=True, eq=False)
class Slab:
    """A tile of the table, cut into steps of pairs of one type; steps are filled up with pairs of weight zero.

    Attributes
    ----------
    rows : int32 ``[n_steps, n_pairs]``
        Pairs of each step, by their place in the tile.
    i, j : int32 ``[n_steps, n_pairs]``
        Their units; ``n_units`` for a pair that only fills up.
    type_number : int32 ``[n_steps]``
        Type of each step's pairs.
    """

    rows: Integers
    i: Integers
    j: Integers
    type_number: Integers


class DeviceSlab(NamedTuple):
    """A slab on the devices with the statistics of its pairs, the statistics or the pairs as the last axis."""

    features: jax.Array
    i: jax.Array
    j: jax.Array
    type_number: jax.Array


class _Step(NamedTuple):
    """Pairs of one type in one tile, before they are padded: ``rows`` count from ``start`` of the table."""

    start: int
    rows: AnyIntegers
    type_number: int


@dataclass(frozen=True)
class TypedPairs:
    """The pairs of a sample with their types: what tasks are sent.

    Attributes
    ----------
    pairs : PairStatistics
    classes : int32 ``[n_units]``
    type_numbers : int32 ``[n_classes, n_classes]``
        Type of the pairs of two classes; negative for those outside the sample.
    n_types : int
    """

    pairs: PairStatistics
    classes: Integers
    type_numbers: Integers
    n_types: int

    def __post_init__(self) -> None:
        check_shape("classes", self.classes, (self.pairs.n_units,))
        check_shape("type_numbers", self.type_numbers, (len(self.type_numbers), len(self.type_numbers)))

    def ready(self) -> SortedPairs | WeightedRows:
        """The pairs as draws take them: sorted by type, or on an accelerator as rows of partners."""
        if rows_fit(self.pairs):
            return WeightedRows(self.pairs, self.classes, self.type_numbers, self.n_types)
        return self.sorted()

    def sorted(self) -> SortedPairs:
        """The pairs by type, as this process caches them."""
        pairs = self.pairs
        key = (pairs.key, pairs.in_memory, self.type_numbers.tobytes(), self.classes.tobytes())
        return _SORTED.get(
            key,
            lambda: sort_by_type(
                pairs, self.type_numbers[self.classes[pairs.i], self.classes[pairs.j]], self.n_types
            ),
        )


_SORTED: ProcessCache[SortedPairs] = ProcessCache()


@dataclass(frozen=True, eq=False)
class SortedPairs:
    """Pairs sorted by type, some 20 bytes each beside the table.

    Attributes
    ----------
    pairs : PairStatistics
    pair_type : int ``[n_pairs]``
        Negative for pairs outside the sample.
    n_types : int
    length : int
        Pairs of a slab.
    slabs : tuple of Slab
        One a tile of that length, all of one shape.
    """

    pairs: PairStatistics
    pair_type: Integers
    n_types: int
    length: int
    slabs: tuple[Slab, ...]

    @cached_property
    def is_pair(self) -> Flags:
        """Which units form a pair of the sample, bool ``[n_units, n_units]``."""
        in_sample, n = self.pair_type >= 0, self.pairs.n_units
        i, j = self.pairs.i[in_sample], self.pairs.j[in_sample]
        is_pair = np.zeros((n, n), dtype=bool)
        is_pair[i, j] = is_pair[j, i] = True
        return is_pair

    @property
    def units(self) -> AnyIntegers:
        """Units that stand in a pair of the sample, ascending."""
        return np.flatnonzero(self.is_pair.any(axis=1))

    def type_sums(self, weights: Array) -> Array:
        """See `weighted_sums`."""
        city = _city_weights(weights)
        sums = across_devices(np.zeros((self.n_types, self.pairs.layout.size, len(weights))))
        for slab in _on_device(self, transposed=True):
            sums = _add_products(sums, slab, city)
        return np.ascontiguousarray(np.asarray(sums).transpose(2, 0, 1))

    def influence_squares(
        self, weights: Array, psi_weights: Array, city_weights: Array | None = None
    ) -> tuple[Array, Array, Array]:
        """Squared influences of cities and of pairs, and cities that stand in a pair: copies count as cities.

        ``psi_weights`` ``[n_samples, n_types, size]``: what turns a pair's statistics into its influence;
        ``city_weights``: into what it adds to its cities, where that is another number.

        Returns
        -------
        city_squares : float64 ``[n_samples]``
            Sum over i of w_i (sum_j w_j psi_ij)^2.
        pair_squares : float64 ``[n_samples]``
            Sum over pairs of w_i w_j psi^2.
        n_cities : float64 ``[n_samples]``
        """
        city, n_draws = _city_weights(weights), len(weights)
        of_pairs, of_cities = (
            None if part is None else across_devices(np.ascontiguousarray(part.transpose(1, 2, 0)))
            for part in (psi_weights, city_weights)
        )
        sums = across_devices(np.zeros((self.pairs.n_units + 1, n_draws))), across_devices(np.zeros(n_draws))
        for slab in _on_device(self, transposed=False):
            sums = _add_influences(sums, slab, city, of_pairs, of_cities)
        city_sums, pair_squares = (np.asarray(part) for part in sums)
        copies = np.where(weights > 0, weights, 1.0).T
        return (city_sums[:-1] ** 2 / copies).sum(axis=0), pair_squares, _cities(self, weights)


def whole_on_device(pairs: PairStatistics) -> bool:
    """Whether the table is one slab, so that it is brought to the device once and stays there."""
    return pairs.n_pairs <= _SLAB


def sort_by_type(pairs: PairStatistics, pair_type: Integers, n_types: int) -> SortedPairs:
    """Order the pairs of the sample by type.

    ``pair_type`` int ``[n_pairs]``, negative outside the sample; pairs without statistics are put outside too.
    """
    numbers, tiles = np.array(pair_type), []
    for tile in pairs.tiles(pairs.n_pairs, length=_SLAB):
        of_tile = numbers[tile.start : tile.start + len(tile.i)]
        of_tile[np.asarray(tile.statistics)[:, 0] == 0] = -1
        tiles.append((tile.start, tile.fresh, of_tile))
    length = max(1, min(_PAIRS, int(np.bincount(numbers[numbers >= 0], minlength=1).max())))
    steps: list[list[_Step]] = []
    for start, fresh, of_tile in tiles:
        steps.append([])
        for number in range(n_types):
            # The last tile reaches back over pairs of the one before.
            rows = np.flatnonzero(of_tile[fresh - start :] == number) + (fresh - start)
            steps[-1] += [_Step(start, rows[a : a + length], number) for a in range(0, len(rows), length)]
    shape = max([1, *(len(of_slab) for of_slab in steps)]), length
    slabs = tuple(_slab(pairs, of_slab, shape) for of_slab in steps)
    return SortedPairs(pairs, numbers, n_types, min(_SLAB, len(numbers)), slabs)


def _slab(pairs: PairStatistics, steps: list[_Step], shape: tuple[int, int]) -> Slab:
    rows, type_number = np.zeros(shape, dtype=np.int32), np.zeros(shape[0], dtype=np.int32)
    i, j = np.full((2, *shape), pairs.n_units, dtype=np.int32)
    for position, step in enumerate(steps):
        filled = (position, slice(len(step.rows)))
        rows[filled], type_number[position] = step.rows, step.type_number
        i[filled], j[filled] = pairs.i[step.start + step.rows], pairs.j[step.start + step.rows]
    return Slab(rows, i, j, type_number)


def weighted_sums(sample: SortedPairs | WeightedRows, weights: Array) -> Array:
    """Sums of pair statistics by type, ``[n_samples, n_types, size]`` (call under float64).

    ``weights`` float64 ``[n_samples, n_units]``.
    """
    check_shape("weights", weights, (None, sample.pairs.n_units))
    return sample.type_sums(weights)


def weighted_fit(
    sample: SortedPairs | WeightedRows,
    weights: Array,
    cell: Tested,
    *,
    studentise: bool,
    sums: Array | None = None,
) -> tuple[BatchFit, Array, Array]:
    """Fit of a regression in every sample, estimates and dyadic-robust variances of its tested coefficients.

    ``sums`` are `weighted_sums` of the same weights, where several regressions share them.

    Returns
    -------
    BatchFit
    estimate, variance : float64 ``[n_samples, n_tested]``
        Variance NaN without ``studentise``; copies of a city count as cities of their own.
    """
    sums = weighted_sums(sample, weights) if sums is None else sums
    fit = tested_fit(sample.pairs.layout, sums, cell, influences=studentise)
    estimate = fit.estimate[:, 0, list(cell.tested)]
    variance = _variances(sample, weights, fit, cell) if studentise else np.full_like(estimate, np.nan)
    return fit, estimate, variance


def _variances(sample: SortedPairs | WeightedRows, weights: Array, fit: BatchFit, cell: Tested) -> Array:
    """Dyadic-robust variances ``[n_samples, n_tested]``."""
    layout, variances = sample.pairs.layout, np.empty((len(weights), len(cell.tested)))
    of_pairs, of_cities = (
        feature_weights(layout, fit, cell.paths),
        city_feature_weights(layout, fit, cell.paths),
    )
    for term in range(len(cell.tested)):
        city_squares, pair_squares, n_cities = sample.influence_squares(
            weights, of_pairs[:, term, 0], None if of_cities is None else of_cities[:, term, 0]
        )
        factor = small_sample_factor(n_cities, fit.n_obs, fit.n_parameters)
        variances[:, term] = drawn_variances(city_squares, pair_squares, factor)
    return variances


def _cities(sample: SortedPairs, weights: Array) -> Array:
    """Cities of each sample that stand in one of its pairs, copies counted; float64 ``[n_samples]``."""
    drawn, n_cities = (weights > 0).astype(np.float32), np.zeros(len(weights))  # counts of units: exact
    for start in range(0, sample.pairs.n_units, _UNITS):
        part = slice(start, start + _UNITS)
        in_pairs = drawn @ sample.is_pair[:, part].astype(np.float32) > 0
        n_cities += (weights[:, part] * in_pairs).sum(axis=1)
    return n_cities


def _city_weights(weights: Array) -> jax.Array:
    """``[n_units + 1, n_samples]``: draws last, and a unit that is in no sample."""
    return across_devices(np.vstack([weights.T, np.zeros(len(weights))]))


_DEVICE_SLABS: WeakKeyDictionary[SortedPairs, dict[bool, list[DeviceSlab]]] = WeakKeyDictionary()


def _on_device(sample: SortedPairs, *, transposed: bool) -> Iterator[DeviceSlab]:
    """Every slab on the devices; a table of one slab is laid out once for all draws."""
    if len(sample.slabs) > 1:
        yield from _placed(sample, transposed)
        return
    by_layout = _DEVICE_SLABS.setdefault(sample, {})
    if transposed not in by_layout:
        by_layout[transposed] = list(_placed(sample, transposed))
    yield from by_layout[transposed]


def _placed(sample: SortedPairs, transposed: bool) -> Iterator[DeviceSlab]:
    pairs = sample.pairs
    for slab, tile in zip(sample.slabs, pairs.tiles(pairs.n_pairs, length=sample.length), strict=True):
        features, rows, i, j, type_number = (
            on_all_devices(part) for part in (tile.statistics, slab.rows, slab.i, slab.j, slab.type_number)
        )
        yield DeviceSlab(_by_step(features, rows, transposed), i, j, type_number)


@partial(jax.jit, static_argnames="transposed")
def _by_step(features: jax.Array, rows: jax.Array, transposed: bool) -> jax.Array:
    """Statistics ``[n_steps, n_pairs, size]`` of the steps' pairs, or ``[n_steps, size, n_pairs]``.

    A product over pairs is faster from the second, one over statistics from the first.
    """
    statistics = features[rows]
    return jnp.swapaxes(statistics, 1, 2) if transposed else statistics


@partial(jax.jit, donate_argnums=0)
def _add_products(sums: jax.Array, slab: DeviceSlab, city: jax.Array) -> jax.Array:
    def step(k: int, sums: jax.Array) -> jax.Array:
        weights = city[slab.i[k]] * city[slab.j[k]]
        return sums.at[slab.type_number[k]].add(slab.features[k] @ weights)

    return jax.lax.fori_loop(0, len(slab.type_number), step, sums)


@partial(jax.jit, donate_argnums=0)
def _add_influences(
    sums: tuple[jax.Array, jax.Array],
    slab: DeviceSlab,
    city: jax.Array,
    psi_weights: jax.Array,
    city_weights: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """Add w_i w_j psi to its two cities, w_i (sum_j w_j psi_ij) in all, and w_i w_j psi^2 to the draw's sum."""

    def step(k: int, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        cities, squares = sums
        i, j = slab.i[k], slab.j[k]
        psi = slab.features[k] @ psi_weights[slab.type_number[k]]
        copies = city[i] * city[j]
        weighted = psi * copies
        of_cities = weighted
        if city_weights is not None:
            of_cities = (slab.features[k] @ city_weights[slab.type_number[k]]) * copies
        return cities.at[i].add(of_cities).at[j].add(of_cities), squares + sum_in_order(weighted * psi)

    return jax.lax.fori_loop(0, len(slab.type_number), step, sums)
