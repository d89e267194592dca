"""Passes over the pairs for dependence between near cities, as map and merge.

`near_sums` gives the statistics of the pairs within sets of cities (every city's neighbourhood, or groups), from which
the samples without the cities of a set follow; `near_products` the products of influences by nearness of a pair's own
two cities.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from engine.arrays import Array, Flags, Integers, LongIntegers
from engine.float64 import double_precision
from engine.pairs import influence_kernels, kernels
from engine.pairs.design import Chunk, PairDesign, padded
from engine.pairs.map_reduce import InteractionPass, MomentPass, ScorePass, city_arrays, kernel_options
from engine.pairs.moments import type_of

_GROUPS = 4  # of tasks, and as many arrays of sums to be added up: of 2,850 sets and five radii 190 MB each
PRODUCT_GROUPS = 16  # whose sums are small, while each is sent the arrays of cities
_HELD_BYTES = (
    1 << 28
)  # of statistics of pairs, held before they are added; as large as the sums, whatever the memory


@dataclass(frozen=True)
class NearPass:
    """Input of every task of `near_sums`.

    Attributes
    ----------
    moment_pass : MomentPass
    near : bool ``[n_radii, n_sets, n_units]``
        Cities of each set: those near a city, itself among them, or those of a group.
    have_common : bool ``[n_units, n_units]``
        Cities that some set has both.
    sets : int64 ``[n]``
        Radius and set, as one position among ``near[:, :, 0]``, of every city in turn.
    starts : int64 ``[n_units + 1]``
        Where the sets of each city begin.
    """

    moment_pass: MomentPass
    near: Flags
    have_common: Flags
    sets: LongIntegers
    starts: LongIntegers

    @classmethod
    def of(cls, moment_pass: MomentPass, near: Flags) -> NearPass:
        """The pass over the pairs within some sets."""
        n_units, of_any_radius = near.shape[2], near.any(axis=0)
        members = np.packbits(of_any_radius, axis=1)
        common = [
            np.bitwise_or.reduce(members[sets], axis=0) for sets in np.ascontiguousarray(of_any_radius.T)
        ]
        have_common = np.unpackbits(np.stack(common), axis=1, count=n_units).view(bool)
        city, sets = np.nonzero(np.ascontiguousarray(near.reshape(-1, n_units).T))
        return cls(moment_pass, near, have_common, sets, np.searchsorted(city, np.arange(n_units + 1)))

    def sets_of(self, city: int) -> LongIntegers:
        """Those of one city."""
        return self.sets[self.starts[city] : self.starts[city + 1]]


def chosen_pairs(design: PairDesign, tasks: Iterable[object], chosen: Flags) -> Iterator[Chunk]:
    """The pairs of some tasks that are ``chosen`` ``[n_units, n_units]``, in fewer chunks of the design's length."""
    whole, length = (0, design.n_units), design.chunk
    parts: list[Chunk] = []
    n_pairs = 0
    for chunk in (chunk for task in tasks for chunk in design.chunks(task, chosen)):
        parts.append(chunk)
        n_pairs += chunk.n
        if n_pairs >= length:
            i, j, values, weights = _joined(parts)
            yield Chunk(
                i[:length],
                j[:length],
                length,
                whole,
                whole,
                _cut(values, 0, length),
                _cut(weights, 0, length),
            )
            n_pairs -= length
            further = _cut(values, length, None), _cut(weights, length, None)
            parts = [Chunk(i[length:], j[length:], n_pairs, whole, whole, *further)]
    if n_pairs:
        i, j, *of_rows = _joined(parts)
        padding = (None if part is None else padded(part, length) for part in of_rows)
        yield Chunk(padded(i, length), padded(j, length), n_pairs, whole, whole, *padding)


def _joined(parts: list[Chunk]) -> tuple[Integers, Integers, Array | None, Array | None]:
    """The columns of some chunks without what fills them up."""
    i, j = (np.concatenate([getattr(part, side)[: part.n] for part in parts]) for side in ("i", "j"))
    values = [part.values[: part.n] for part in parts if part.values is not None]
    weights = [part.weights[: part.n] for part in parts if part.weights is not None]
    return i, j, np.concatenate(values) if values else None, np.concatenate(weights) if weights else None


def _cut(part: Array | None, start: int, stop: int | None) -> Array | None:
    return None if part is None else part[start:stop]


def near_tasks(design: PairDesign, most: int = _GROUPS) -> list[Sequence[object]]:
    """The design's tasks in a few groups, so that most pairs of a city are in one."""
    tasks = design.tasks()
    step = -(-len(tasks) // most)
    return [tasks[start : start + step] for start in range(0, len(tasks), step)]


def near_sums(near_pass: NearPass, tasks: Sequence[object]) -> Array:
    """Statistics of the pairs of some tasks both of whose cities are in a set, summed by type.

    Returns
    -------
    float64 ``[n_types, n_radii, n_sets, size]``
    """
    moment_pass, near = near_pass.moment_pass, near_pass.near
    design, options = moment_pass.design, kernel_options(moment_pass)
    n_types = design.n_classes * (design.n_classes + 1) // 2
    sums = np.zeros((n_types, *near.shape[:2], moment_pass.layout.size))
    room = max(design.chunk, _HELD_BYTES // (8 * moment_pass.layout.size))
    i, j, statistics = (
        np.empty(room, np.int32),
        np.empty(room, np.int32),
        np.empty((room, moment_pass.layout.size)),
    )
    n_held = 0
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        for chunk in chosen_pairs(design, tasks, near_pass.have_common):
            if n_held + chunk.n > room:
                _add_pairs(sums, near_pass, i[:n_held], j[:n_held], statistics[:n_held])
                n_held = 0
            end = n_held + chunk.n
            of_chunk = np.asarray(kernels.pair_statistics(options, arrays, kernels.arrays_of(chunk))[0])
            for column, values in ((i, chunk.i), (j, chunk.j), (statistics, of_chunk)):
                column[n_held:end] = values[: chunk.n]
            n_held = end
    _add_pairs(sums, near_pass, i[:n_held], j[:n_held], statistics[:n_held])
    return sums


def _add_pairs(sums: Array, near_pass: NearPass, i: Integers, j: Integers, statistics: Array) -> None:
    """Add some pairs to the sums, city by city and class by class of the other city; in place.

    A pair goes with the city of the rarer class: cities of the most common class have partners of one class only.
    """
    design = near_pass.moment_pass.design
    cities_of_class = np.bincount(design.classes, minlength=design.n_classes)[design.classes]
    is_turned = cities_of_class[j] < cities_of_class[i]
    city, partner = np.where(is_turned, j, i), np.where(is_turned, i, j)
    class_of_partner = design.classes[partner]
    order = np.lexsort((class_of_partner, city))
    city, partner, class_of_partner = city[order], partner[order], class_of_partner[order]
    starts = np.flatnonzero((np.diff(city, prepend=-1) != 0) | (np.diff(class_of_partner, prepend=-1) != 0))
    for start, stop in pairwise([*starts.tolist(), len(order)]):
        _add_of_city(sums, near_pass, int(city[start]), partner[start:stop], statistics[order[start:stop]])


def _add_of_city(sums: Array, near_pass: NearPass, city: int, partners: Integers, statistics: Array) -> None:
    """Add the pairs of one city with partners of one class to the sums of every set that has both; in place."""
    near, design = near_pass.near, near_pass.moment_pass.design
    sets = near_pass.sets_of(city)
    low, high = partners.min(), partners.max() + 1
    both = near.reshape(-1, near.shape[2])[sets, low:high][:, partners - low]
    shared = both.any(axis=1)
    of_type = type_of(design.classes[city], design.classes[partners[0]], design.n_classes)
    rows = sets[shared]
    of_sets = sums[of_type].reshape(-1, sums.shape[-1])
    of_sets[rows] = of_sets.take(rows, axis=0) + both[shared].astype(np.float64) @ statistics


def pair_influences(score_pass: ScorePass, task: Any) -> tuple[Integers, Integers, Array]:
    """Cities and influences of the pairs of one task, int32 ``[n_pairs]`` twice and float64 ``[n_pairs, C, K]``."""
    moment_pass, cells = score_pass.moment_pass, score_pass.cells
    options, n_cells = kernel_options(moment_pass), cells.residual.shape[1]
    no_pairs = np.zeros(0, dtype=np.int32)
    parts = [(no_pairs, no_pairs, np.zeros((0, n_cells, cells.influence.shape[1] // n_cells)))]
    with double_precision():
        arrays, block = kernels.to_device(city_arrays(moment_pass)), kernels.to_device(vars(cells))
        for chunk in moment_pass.design.chunks(task):
            psi, counted = (
                np.asarray(part)[: chunk.n]
                for part in influence_kernels.pair_influences(
                    options, arrays, kernels.arrays_of(chunk), block
                )
            )
            parts.append((chunk.i[: chunk.n][counted], chunk.j[: chunk.n][counted], psi[counted]))
    i, j, influences = (np.concatenate(part) for part in zip(*parts, strict=True))
    return i, j, influences


def merge_influences(
    earlier: tuple[Integers, Integers, Array], later: tuple[Integers, Integers, Array]
) -> tuple[Integers, Integers, Array]:
    """The pairs of two parts, in order."""
    first, second = (np.concatenate([earlier[side], later[side]]) for side in (0, 1))
    return first, second, np.concatenate([earlier[2], later[2]])


@dataclass(frozen=True)
class NearProductPass:
    """Input of every task of `near_products`.

    Attributes
    ----------
    interaction_pass : InteractionPass
    nearness : float64 ``[n_kernels, n_units, n_units]``
    is_near : bool ``[n_units, n_units]``
        Cities that some kernel has near.
    """

    interaction_pass: InteractionPass
    nearness: Array
    is_near: Flags


def near_products(near_pass: NearProductPass, tasks: Sequence[object]) -> Array:
    """Sums over the pairs of some tasks, ``[n_kernels, n_cells, K, K]``; see `influence_kernels.near_products`."""
    interaction_pass = near_pass.interaction_pass
    moment_pass, cells = interaction_pass.score_pass.moment_pass, interaction_pass.score_pass.cells
    options, n_cells = kernel_options(moment_pass), cells.residual.shape[1]
    n_terms = cells.influence.shape[1] // n_cells
    products = np.zeros((len(near_pass.nearness), n_cells, n_terms, n_terms))
    with double_precision():
        arrays = kernels.to_device(city_arrays(moment_pass))
        block = kernels.to_device(vars(cells) | {"city_years": interaction_pass.city_years})
        for chunk in chosen_pairs(moment_pass.design, tasks, near_pass.is_near):
            near = near_pass.nearness[:, chunk.i, chunk.j]
            products += np.asarray(
                influence_kernels.near_products(options, arrays, kernels.arrays_of(chunk), block, near)
            )
    return products
