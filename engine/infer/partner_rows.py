"""Draws on an accelerator: each unit has a row of all its partners; a step is a dense product or a sum along it.

    [n_units, n_units, width]  .  who counts in a draw     ->  sums of the statistics by type of pair
    [n_units, n_units, width]  .  weights of a pair's type ->  influences, summed by unit along the row

A processor is fastest where it touches few pairs (`permuted_sums`, `permuted_influences`, `weighted`); an accelerator
where it multiplies large matrices. A pair stands twice here, once in the row of each of its units, so that nothing is
scattered: the sums of a draw are added in one order, whatever else the device does, and are the same bits in every
run. Units are visited a few at a time; draws are the last axis of every array.

Pairs count as in `permuted_sums`: those above a draw's screen whose type is in the sample, ``copies`` of one unit times
``copies`` of the other where units are resampled. The pair of two classes is dealt with in the row of the unit whose
class is the smaller; pairs within a class in both rows, with half the weight.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyArray, Array
from engine.infer.devices import accelerator_bytes, across_devices, on_all_devices
from engine.pairs.pair_statistics import PairStatistics
from engine.pairs.process_cache import ProcessCache

DRAWS_AT_ONCE = 2048
_ROWS = 1 << 14  # partners of the units that are visited together: 270 MB of influences in a block of draws
_TILE = 1 << 16  # pairs whose statistics are made at once
_SHARE = 0.4  # of the device's memory that rows may take
_CHUNK = 512  # pairs of the table that are counted together to find a screen


class PartnerRows(NamedTuple):
    """Rows of partners on the devices, a few units at a time.

    Attributes
    ----------
    statistics : float64 ``[n_steps, n_rows, n_units, width]``
        Zero where two units form no pair of the table.
    rank : int32 ``[n_steps, n_rows, n_units]``
        Place of the pair in the table; its length where it has none.
    """

    statistics: jax.Array
    rank: jax.Array

    @property
    def n_units(self) -> int:
        return int(self.rank.shape[2])

    def by_step(self, values: jax.Array) -> jax.Array:
        """Values ``[n_units, ...]`` of the units as ``[n_steps, n_rows, ...]``; -1 for rows that are no unit's."""
        n_steps, n_rows, n_units = self.rank.shape
        filled = jnp.full((n_steps * n_rows - n_units, *values.shape[1:]), -1, values.dtype)
        return jnp.concatenate([values, filled]).reshape(n_steps, n_rows, *values.shape[1:])


@dataclass(frozen=True)
class PairTypes:
    """Types of pairs in the sample: a constant of what is compiled.

    Attributes
    ----------
    types : tuple of (int, int)
        Two classes, the smaller first.
    n_classes : int
    spans : tuple of int
        Span of years whose statistics each type has.
    size : int
        Statistics of one span.
    """

    types: tuple[tuple[int, int], ...]
    n_classes: int
    spans: tuple[int, ...]
    size: int

    @property
    def larger_classes(self) -> list[int]:
        return sorted({larger for _, larger in self.types})

    def numbers(self, larger: int) -> AnyArray:
        """``[n_classes + 1]`` the type of each class with ``larger``; ``n_types`` for those outside the sample.

        The last entry is that of rows that are no unit's, whose class is -1.
        """
        numbers = np.full(self.n_classes + 1, len(self.types), dtype=np.int32)
        for number, (smaller, other) in enumerate(self.types):
            if other == larger:
                numbers[smaller] = number
        return numbers


class RowDraws(NamedTuple):
    """A block of draws on the devices.

    Attributes
    ----------
    classes : int8 or int16 ``[n_units, n_draws]``, or ``[n_units, 1]`` where they are the same in all
    screens : int32 ``[n_draws]`` or ``[1]``
        How much of the table passes.
    copies : float64 ``[n_units, n_draws]`` or None
        How often each unit counts; None: once.
    """

    classes: jax.Array
    screens: jax.Array
    copies: jax.Array | None = None


class RowSums(NamedTuple):
    """Sums of influences over the pairs of every draw.

    Attributes
    ----------
    cities : float64 ``[n_targets, n_units, n_draws]``
    degree : int32 ``[n_units, n_draws]``
        Pairs of each unit whose two units are there, each counted once.
    products : float64 ``[n_targets, n_targets, n_draws]``
        Products of the pairs' influences.
    """

    cities: jax.Array
    degree: jax.Array
    products: jax.Array


_ROWS_OF_TABLE: ProcessCache[PartnerRows] = ProcessCache()


def rows_fit(pairs: PairStatistics) -> bool:
    """Whether this process has an accelerator that holds the rows of a table beside its work.

    A directed table has two pairs of the same two units, and a row has one place for them.
    """
    available = accelerator_bytes()
    if pairs.source.moment_pass.design.directed:
        return False
    return available is not None and 8.0 * pairs.n_units**2 * pairs.width <= _SHARE * available


def partner_rows(pairs: PairStatistics) -> PartnerRows:
    """The rows of a table, which a process makes once (call under float64)."""
    return _ROWS_OF_TABLE.get(pairs.key, lambda: _make_rows(pairs))


def _make_rows(pairs: PairStatistics) -> PartnerRows:
    n_units = pairs.n_units
    n_rows = max(1, min(n_units, _ROWS // n_units))
    n_steps = -(-n_units // n_rows)
    statistics = on_all_devices(jnp.zeros((n_steps * n_rows, n_units, pairs.width)))
    for tile in pairs.tiles(pairs.n_pairs, length=_TILE):
        ends = on_all_devices(tile.i), on_all_devices(tile.j)
        statistics = _place(statistics, *ends, on_all_devices(tile.statistics))
    rank = np.full((n_steps * n_rows, n_units), pairs.n_pairs, dtype=np.int32)
    order = np.arange(pairs.n_pairs, dtype=np.int32)
    rank[pairs.i, pairs.j] = rank[pairs.j, pairs.i] = order
    return PartnerRows(
        statistics.reshape(n_steps, n_rows, n_units, pairs.width),
        on_all_devices(rank.reshape(n_steps, n_rows, n_units)),
    )


@partial(jax.jit, donate_argnums=0)
def _place(statistics: jax.Array, i: jax.Array, j: jax.Array, of_tile: jax.Array) -> jax.Array:
    return statistics.at[i, j].set(of_tile).at[j, i].set(of_tile)


# -- screens -----------------------------------------------------------------------------------------------


def find_screens(pairs: PairStatistics, allowed: AnyArray, middle_rank: int, classes: jax.Array) -> jax.Array:
    """How much of the table passes the median screen of every draw, int32 ``[n_draws]``; see `permuted_sums`.

    ``allowed`` bool ``[n_classes, n_classes]``; ``classes`` int8 or int16 ``[n_units, n_draws]``.
    """
    missing = -pairs.n_pairs % _CHUNK
    i, j = (on_all_devices(np.pad(side, (0, missing)).reshape(-1, _CHUNK)) for side in (pairs.i, pairs.j))
    return _find_screens(
        i, j, on_all_devices(pairs.tie_start), on_all_devices(allowed), classes, middle_rank=middle_rank
    )


@partial(jax.jit, static_argnames="middle_rank")
def _find_screens(
    i: jax.Array,
    j: jax.Array,
    tie_start: jax.Array,
    allowed: jax.Array,
    classes: jax.Array,
    *,
    middle_rank: int,
) -> jax.Array:
    def count(_: None, ends: tuple[jax.Array, jax.Array]) -> tuple[None, jax.Array]:
        eligible = allowed[classes[ends[0]], classes[ends[1]]]
        return None, eligible.sum(0, dtype=np.int32)

    by_chunk = jax.lax.scan(count, None, (i, j))[1]
    passed = jnp.cumsum(by_chunk, axis=0, dtype=np.int32)
    chunk = (passed <= middle_rank).sum(0, dtype=np.int32)  # the one that has the middle eligible pair
    draw = jnp.arange(classes.shape[1], dtype=np.int32)
    before = passed[chunk, draw] - by_chunk[chunk, draw]
    eligible = allowed[classes[i[chunk].T, draw[None]], classes[j[chunk].T, draw[None]]]
    counted = before[None] + jnp.cumsum(eligible, axis=0, dtype=np.int32)
    place = (counted <= middle_rank).sum(0, dtype=np.int32)
    return tie_start[chunk * _CHUNK + place]


# -- sums of statistics ------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames="types")
def row_type_sums(rows: PartnerRows, draws: RowDraws, *, types: PairTypes) -> jax.Array:
    """Sums of the pairs' statistics by type, float64 ``[n_draws, n_types, width]``."""
    n_draws = draws.classes.shape[1] if draws.copies is None else draws.copies.shape[1]
    width = rows.statistics.shape[3]

    def add(sums: jax.Array, step: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        statistics, rank, first, *copies = step
        screened = rank[:, :, None] < draws.screens[None, None]
        for larger in types.larger_classes:
            counts = (screened & (draws.classes == larger)[None]).astype(statistics.dtype)
            if draws.copies is not None:
                counts = counts * draws.copies[None]
            by_row = jnp.einsum("rnw,rnb->rwb", statistics, counts)
            for number, (smaller, other) in enumerate(types.types):
                if other == larger:
                    share = jnp.where(first == smaller, 0.5 if smaller == larger else 1.0, 0.0)
                    share = share * copies[0] if copies else share
                    sums = sums.at[number].add((by_row * share[:, None]).sum(0))
        return sums, None

    start = jnp.zeros((len(types.types), width, n_draws))
    return jax.lax.scan(add, start, _steps(rows, draws))[0].transpose(2, 0, 1)


def _steps(rows: PartnerRows, draws: RowDraws) -> tuple[jax.Array, ...]:
    """The arrays that a scan over the units visits, a few of them at a time."""
    steps = rows.statistics, rows.rank, rows.by_step(draws.classes)
    return steps if draws.copies is None else (*steps, rows.by_step(draws.copies))


# -- sums of influences ------------------------------------------------------------------------------------


@partial(jax.jit, static_argnames="types")
def row_influences(rows: PartnerRows, draws: RowDraws, weights: jax.Array, *, types: PairTypes) -> RowSums:
    """Influences of all pairs in every draw, summed by unit, and their products.

    ``weights`` float64 ``[n_targets, n_types, size, n_draws]``: a pair's influence is its statistics times those of
    its type (`feature_weights`).
    """
    n_targets, n_types, _, n_draws = weights.shape
    weights = _in_spans(weights, types, rows.statistics.shape[3])
    none = jnp.zeros((n_targets, 1, *weights.shape[2:]))
    weights = jnp.concatenate([weights, none], axis=1)
    span_of_type = jnp.asarray(np.array([*types.spans, 0], dtype=np.int32))

    def add(sums: RowSums, step: tuple[jax.Array, ...]) -> tuple[RowSums, tuple[jax.Array, jax.Array]]:
        statistics, rank, first, *copies = step
        of_partners, partner_degree, products = sums
        of_rows = jnp.zeros((n_targets, len(rank), n_draws))
        row_degree = jnp.zeros((len(rank), n_draws), dtype=np.int32)
        screened = rank[:, :, None] < draws.screens[None, None]
        for larger in types.larger_classes:
            number = jnp.asarray(types.numbers(larger))[first]  # [n_rows, n_draws]
            counted = screened & (draws.classes == larger)[None] & (number < n_types)[:, None]
            for span in sorted(set(types.spans)):
                observed = statistics[:, :, span * types.size, None] > 0
                counted &= observed | (span_of_type[number] != span)[:, None]
            pair_copies = counted.astype(statistics.dtype)
            if draws.copies is not None:
                pair_copies = pair_copies * draws.copies[None] * copies[0][:, None]
                counted = pair_copies > 0
            other_class = first != larger
            influences = []
            for target in range(n_targets):
                of_type = jnp.take_along_axis(weights[target][None], number[:, None, None], axis=1)[:, 0]
                influences.append(jnp.einsum("rnw,rwb->rnb", statistics, of_type))
                added = influences[-1] * pair_copies
                of_rows = of_rows.at[target].add(added.sum(1))
                of_partners = of_partners.at[target].add(jnp.where(other_class[:, None], added, 0.0).sum(0))
            row_degree = row_degree + counted.sum(1, dtype=np.int32)
            partner_degree = partner_degree + (counted & other_class[:, None]).sum(0, dtype=np.int32)
            half = jnp.where(other_class, 1.0, 0.5)
            for left in range(n_targets):
                for right in range(left, n_targets):
                    product = (influences[left] * influences[right] * pair_copies).sum(1)
                    for place in {(left, right), (right, left)}:
                        products = products.at[place].add((half * product).sum(0))
        return RowSums(of_partners, partner_degree, products), (of_rows, row_degree)

    n_units = rows.n_units
    start = RowSums(
        jnp.zeros((n_targets, n_units, n_draws)),
        jnp.zeros((n_units, n_draws), dtype=np.int32),
        jnp.zeros((n_targets, n_targets, n_draws)),
    )
    if draws.classes.shape[1] != n_draws:  # the same in all draws
        draws = draws._replace(classes=jnp.broadcast_to(draws.classes, (n_units, n_draws)))
    sums, (of_rows, row_degree) = jax.lax.scan(add, start, _steps(rows, draws))
    of_rows = jnp.moveaxis(of_rows, 1, 0).reshape(n_targets, -1, n_draws)[:, :n_units]
    return RowSums(
        sums.cities + of_rows, sums.degree + row_degree.reshape(-1, n_draws)[:n_units], sums.products
    )


def _in_spans(weights: jax.Array, types: PairTypes, width: int) -> jax.Array:
    """Weights of a type's span as weights of all statistics: zero in the other spans."""
    if width == types.size:
        return weights
    wide = jnp.zeros((*weights.shape[:2], width, weights.shape[3]))
    for number, span in enumerate(types.spans):
        part = slice(span * types.size, (span + 1) * types.size)
        wide = wide.at[:, number, part].set(weights[:, number])
    return wide


def draws_last(weights: Array) -> jax.Array:
    """Weights ``[n_draws, n_targets, n_types, size]`` of a term, on the devices with the draws last."""
    return across_devices(np.ascontiguousarray(weights.transpose(1, 2, 3, 0)))
