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
from typing import Any
from weakref import WeakKeyDictionary

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Flags, Integers, check_shape
from engine.estimate.many_samples import BatchFit, Tested, batch_fit, feature_weights
from engine.infer.devices import across_devices, on_all_devices, sum_in_order
from engine.infer.guard import guarded_variances
from engine.pairs.features import PairFeatures
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
    kind : int32 ``[n_steps]``
        Type of each step's pairs.
    """

    rows: Integers
    i: Integers
    j: Integers
    kind: Integers


@dataclass(frozen=True)
class Types:
    """The pairs of a sample with their types: what tasks are sent.

    Attributes
    ----------
    pairs : PairFeatures
    classes : int32 ``[n_units]``
    kinds : int32 ``[n_classes, n_classes]``
        Type of the pairs of two classes; negative for those outside the sample.
    n_types : int
    """

    pairs: PairFeatures
    classes: Integers
    kinds: Integers
    n_types: int

    def __post_init__(self) -> None:
        check_shape("classes", self.classes, (self.pairs.n_units,))
        check_shape("kinds", self.kinds, (len(self.kinds), len(self.kinds)))

    def sorted(self) -> Weighted:
        """The pairs by type, as this process keeps them."""
        pairs = self.pairs
        key = (pairs.key, pairs.kept, self.kinds.tobytes(), self.classes.tobytes())
        return _SORTED.get(
            key,
            lambda: sort_by_type(
                pairs, self.kinds[self.classes[pairs.i], self.classes[pairs.j]], self.n_types
            ),
        )


_SORTED: ProcessCache[Weighted] = ProcessCache()


@dataclass(frozen=True, eq=False)
class Weighted:
    """Pairs sorted by type, some 20 bytes each beside the table.

    Attributes
    ----------
    pairs : PairFeatures
    pair_type : int ``[n_pairs]``
        Negative for pairs outside the sample.
    n_types : int
    length : int
        Pairs of a slab.
    slabs : tuple of Slab
        One a tile of that length, all of one shape.
    """

    pairs: PairFeatures
    pair_type: Integers
    n_types: int
    length: int
    slabs: tuple[Slab, ...]

    @cached_property
    def meets(self) -> Flags:
        """Which units form a pair of the sample, bool ``[n_units, n_units]``."""
        inside, n = self.pair_type >= 0, self.pairs.n_units
        i, j = self.pairs.i[inside], self.pairs.j[inside]
        found = np.zeros((n, n), dtype=bool)
        found[i, j] = found[j, i] = True
        return found

    @property
    def units(self) -> Any:
        """Units that stand in a pair of the sample, ascending."""
        return np.flatnonzero(self.meets.any(axis=1))


def whole_on_device(pairs: PairFeatures) -> bool:
    """Whether the table is one slab, so that it is brought to the device once and stays there."""
    return pairs.n_pairs <= _SLAB


def sort_by_type(pairs: PairFeatures, pair_type: Integers, n_types: int) -> Weighted:
    """Order the pairs of the sample by type.

    ``pair_type`` int ``[n_pairs]``, negative outside the sample; pairs without statistics are put outside too.
    """
    mine, tiles = np.array(pair_type), []
    for tile in pairs.tiles(pairs.n_pairs, length=_SLAB):
        own = mine[tile.at : tile.at + len(tile.i)]
        own[np.asarray(tile.features)[:, 0] == 0] = -1
        tiles.append((tile.at, tile.fresh, own))
    length = max(1, min(_PAIRS, int(np.bincount(mine[mine >= 0], minlength=1).max())))
    steps: list[list[Any]] = []
    for at, fresh, own in tiles:
        steps.append([])
        for number in range(n_types):
            # The last tile reaches back over pairs of the one before.
            where = np.flatnonzero(own[fresh - at :] == number) + (fresh - at)
            steps[-1] += [(at, where[a : a + length], number) for a in range(0, len(where), length)]
    shape = max([1, *(len(part) for part in steps)]), length
    slabs = tuple(_slab(pairs, part, shape) for part in steps)
    return Weighted(pairs, mine, n_types, min(_SLAB, len(mine)), slabs)


def _slab(pairs: PairFeatures, steps: list[Any], shape: tuple[int, int]) -> Slab:
    rows, kind = np.zeros(shape, dtype=np.int32), np.zeros(shape[0], dtype=np.int32)
    i, j = np.full((2, *shape), pairs.n_units, dtype=np.int32)
    for number, (at, where, own) in enumerate(steps):
        here = (number, slice(len(where)))
        rows[here], kind[number] = where, own
        i[here], j[here] = pairs.i[at + where], pairs.j[at + where]
    return Slab(rows, i, j, kind)


def weighted_sums(setting: Weighted, weights: Array) -> Array:
    """Sums of pair statistics by type, ``[n_samples, n_types, size]`` (call under float64).

    ``weights`` float64 ``[n_samples, n_units]``.
    """
    check_shape("weights", weights, (None, setting.pairs.n_units))
    city = _city_weights(weights)
    sums = across_devices(np.zeros((setting.n_types, setting.pairs.layout.size, len(weights))))
    for slab in _on_device(setting, transposed=True):
        sums = _add_products(sums, *slab, city)
    return np.ascontiguousarray(np.asarray(sums).transpose(2, 0, 1))


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
    check_shape("weights", weights, (None, setting.pairs.n_units))
    sums = weighted_sums(setting, weights) if sums is None else sums
    fit = batch_fit(setting.pairs.layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested)
    estimate = fit.estimate[:, 0, list(cell.tested)]
    variance = _variances(setting, weights, fit, cell) if studentise else np.full_like(estimate, np.nan)
    return fit, estimate, variance


def _variances(setting: Weighted, weights: Array, fit: BatchFit, cell: Tested) -> Array:
    """sum_i w_i (sum_j w_j psi_ij)^2 - sum_p w_i w_j psi_p^2, times the finite-sample factors."""
    pairs, n_draws = setting.pairs, len(weights)
    influence = feature_weights(pairs.layout, fit, cell.paths)[:, :, 0]  # [samples, tested, types, size]
    city = _city_weights(weights)
    drawn = np.where(weights > 0, weights, 1.0).T
    n_units = _cities(setting, weights)
    out = np.empty((n_draws, len(cell.tested)))
    for term in range(len(cell.tested)):
        own = across_devices(np.ascontiguousarray(influence[:, term].transpose(1, 2, 0)))
        state = across_devices(np.zeros((pairs.n_units + 1, n_draws))), across_devices(np.zeros(n_draws))
        for slab in _on_device(setting, transposed=False):
            state = _add_influences(state, *slab, city, own)
        sums, squares = (np.asarray(part) for part in state)
        node = (sums[:-1] ** 2 / drawn).sum(axis=0)
        factor = fit.factor * n_units / (n_units - 1)
        out[:, term] = guarded_variances(node, squares)[0] * factor
    return out


def _cities(setting: Weighted, weights: Array) -> Array:
    """Cities of each sample that stand in one of its pairs, copies counted; float64 ``[n_samples]``."""
    drawn, out = (weights > 0).astype(np.float32), np.zeros(len(weights))  # counts of units: exact
    for start in range(0, setting.pairs.n_units, _UNITS):
        part = slice(start, start + _UNITS)
        met = drawn @ setting.meets[:, part].astype(np.float32) > 0
        out += (weights[:, part] * met).sum(axis=1)
    return out


def _city_weights(weights: Array) -> Any:
    """``[n_units + 1, n_samples]``: draws last, and a unit that is in no sample."""
    return across_devices(np.vstack([weights.T, np.zeros(len(weights))]))


_KEPT: WeakKeyDictionary[Weighted, dict[bool, Any]] = WeakKeyDictionary()


def _on_device(setting: Weighted, *, transposed: bool) -> Iterator[Any]:
    """Arguments of a kernel for every slab; a table of one slab is laid out once for all draws."""
    if len(setting.slabs) > 1:
        yield from _placed(setting, transposed)
        return
    kept = _KEPT.setdefault(setting, {})
    if transposed not in kept:
        kept[transposed] = list(_placed(setting, transposed))
    yield from kept[transposed]


def _placed(setting: Weighted, transposed: bool) -> Iterator[Any]:
    pairs = setting.pairs
    for slab, tile in zip(setting.slabs, pairs.tiles(pairs.n_pairs, length=setting.length), strict=True):
        features, rows, i, j, kind = (
            on_all_devices(part) for part in (tile.features, slab.rows, slab.i, slab.j, slab.kind)
        )
        yield _laid_out(features, rows, transposed), i, j, kind


@partial(jax.jit, static_argnames="transposed")
def _laid_out(features: Any, rows: Any, transposed: bool) -> Any:
    """Statistics ``[n_steps, n_pairs, size]`` of the steps' pairs, or ``[n_steps, size, n_pairs]``.

    A product over pairs is faster from the second, one over statistics from the first.
    """
    chosen = features[rows]
    return jnp.swapaxes(chosen, 1, 2) if transposed else chosen


@partial(jax.jit, donate_argnums=0)
def _add_products(sums: Any, features: Any, i: Any, j: Any, kind: Any, city: Any) -> Any:
    def step(k: Any, sums: Any) -> Any:
        return sums.at[kind[k]].add(features[k] @ (city[i[k]] * city[j[k]]))

    return jax.lax.fori_loop(0, len(kind), step, sums)


@partial(jax.jit, donate_argnums=0)
def _add_influences(state: Any, features: Any, i: Any, j: Any, kind: Any, city: Any, influence: Any) -> Any:
    """Add w_i w_j psi to its two cities, w_i (sum_j w_j psi_ij) in all, and w_i w_j psi^2 to the draw's sum."""

    def step(k: Any, state: Any) -> Any:
        nodes, squares = state
        psi = features[k] @ influence[kind[k]]
        weighted = psi * (city[i[k]] * city[j[k]])
        return nodes.at[i[k]].add(weighted).at[j[k]].add(weighted), squares + sum_in_order(weighted * psi)

    return jax.lax.fori_loop(0, len(kind), step, state)
