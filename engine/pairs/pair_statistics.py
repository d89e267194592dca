"""Pair statistics of every pair that a draw may need, sorted by gravity force and read tile by tile.

Draws relabel or reweight cities; the statistics of a pair never change. With the pairs sorted by force, the
gravity screen of any draw is a position in the table. The table is kept where it fits into memory; where it
does not, its tiles are computed again from the city arrays whenever they are read.

What is sent to a worker is what the table is computed from: 8 N T (k + 1) bytes for N units, T years and k
regressors. Each process that reads the table makes it, at 12 bytes for the place of each of its pairs (while they
are sorted, 25 bytes for each pair of the grid), and 8 F bytes a pair for F statistics where it is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from operator import add
from typing import Any
from uuid import uuid4

import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyArray, Array, Flags, Integers
from engine.float64 import double_precision
from engine.pairs import kernels
from engine.pairs.city_series import may_coincide
from engine.pairs.design import PairDesign, padded
from engine.pairs.map_reduce import MomentPass, city_arrays, kernel_options
from engine.pairs.moments import Layout
from engine.pairs.process_cache import ProcessCache
from engine.pairs.tiles import MAX_GROUPS, MapReduce, serial_map_reduce

TILE = 1024
"""Pairs of a tile: its statistics fit a core's cache."""


@dataclass(frozen=True, eq=False)
class YearSpans:
    """Sets of years of which pairs have statistics, for draws in which they depend on the treatment.

    Attributes
    ----------
    kept : bool ``[n_spans, T]`` or None
        Years whose rows a pair has; None for all.
    untreated : bool ``[n_spans, T]`` or None
        Years of the window, where statistics are those of `engine.pairs.untreated_window`.
    """

    kept: Flags | None
    untreated: Flags | None = None

    def __len__(self) -> int:
        sets = self.kept if self.kept is not None else self.untreated
        return 0 if sets is None else len(sets)

    def arrays(self, span: int, n_classes: int) -> dict[str, AnyArray]:
        """Of the kernels, for pairs of any classes."""
        sets = {"kept_rows": self.kept, "untreated": self.untreated}
        return {
            name: np.broadcast_to(flags[span], (n_classes, n_classes, flags.shape[1]))
            for name, flags in sets.items()
            if flags is not None
        }


@dataclass(frozen=True, eq=False)
class StatisticsSource:
    """Input from which pair statistics are computed.

    Attributes
    ----------
    moment_pass : MomentPass
    layout : Layout
        That of the pass, with a column for the treatment that happened where one is wanted.
    observed : float64 ``[n_classes, n_classes, T]`` or None
        Treatment path that happened, by the units' own classes.
    spans : YearSpans or None
        Each pair has the statistics of its rows in each of these sets of years, one after another; None: those of
        the rows that the design leaves it.
    """

    moment_pass: MomentPass
    layout: Layout
    observed: Array | None
    spans: YearSpans | None = None

    @property
    def width(self) -> int:
        """Statistics of a pair, in all spans of years."""
        return self.layout.size * (1 if self.spans is None else len(self.spans))


@dataclass(frozen=True)
class TableTile:
    """Consecutive pairs of the table. All tiles have one length, so the last may repeat pairs of the one before.

    Attributes
    ----------
    start : int
        Position of the first pair in the table.
    fresh : int
        Position of the first pair that no tile before had.
    i, j : int32 ``[length]``
    statistics : float64 ``[length, width]``
        A view of the table, or an array of JAX.
    """

    start: int
    fresh: int
    i: Integers
    j: Integers
    statistics: Any


@dataclass(frozen=True)
class PairStatistics:
    """Statistics by pair: their source, and the pairs of the table.

    This is what tasks are sent, and it is as large as the panel (or the user's own pair table). The order of the
    pairs, and the table where it is kept, are made in each process that reads them, once.

    Attributes
    ----------
    source : StatisticsSource
    every_screen : bool
        The pairs that the screen of any reassignment may let through, not only those of the sample's own.
    n_pairs : int
        Length of the table.
    n_screened : int or None
        Pairs above the screen of the sample itself, over all pairs, eligible or not; None without a screen.
    in_memory : bool
        Keep the statistics in memory; else tiles are computed when they are read.
    key : str
        Equal for equal tables alone: processes keep what they made under it.
    """

    source: StatisticsSource
    every_screen: bool
    n_pairs: int
    n_screened: int | None
    in_memory: bool = field(compare=False)
    key: str = field(compare=False)

    @property
    def layout(self) -> Layout:
        return self.source.layout

    @property
    def width(self) -> int:
        return self.source.width

    @property
    def n_units(self) -> int:
        return self.source.moment_pass.design.n_units

    @property
    def order(self) -> PairOrder:
        """The pairs of the table."""
        return _ORDER.get(self.key, lambda: _order(self))

    @property
    def i(self) -> Integers:
        """``[n_pairs]`` unit positions; by force, strongest first, where there is a gravity screen."""
        return self.order.i

    @property
    def j(self) -> Integers:
        return self.order.j

    @property
    def tie_start(self) -> Integers:
        """``[n_pairs]`` first pair of the same force (the pair itself where forces differ)."""
        return self.order.tie_start

    @property
    def table(self) -> Array | None:
        """``[n_pairs, width]``, zero for pairs without two observed years; None where tiles are not kept."""
        return _TABLE.get(self.key, lambda: _table(self)) if self.in_memory else None

    def tiles(self, stop: int, *, start: int = 0, length: int | None = None) -> Iterator[TableTile]:
        """Tiles that cover the pairs from ``start`` up to ``stop`` (and, in the last one, a few beyond)."""
        order, table = self.order, self.table
        length = min(length or TILE, self.n_pairs)
        for fresh in range(start, stop, length):
            first = min(fresh, self.n_pairs - length)
            part = slice(first, first + length)
            statistics: Any = table[part] if table is not None else _statistics(self, part, length)[0]
            yield TableTile(first, fresh, order.i[part], order.j[part], statistics)


@dataclass(frozen=True, eq=False)
class PairOrder:
    """Pairs in the order of the table, see `PairStatistics`; int32 ``[n_pairs]`` each: 12 bytes a pair."""

    i: Integers
    j: Integers
    tie_start: Integers


_ORDER: ProcessCache[PairOrder] = ProcessCache()
_TABLE: ProcessCache[Array] = ProcessCache()


def pair_statistics(
    design: PairDesign,
    *,
    every_screen: bool,
    memory_bytes: float,
    observed: Array | None = None,
    spans: YearSpans | None = None,
    key: str = "",
    map_reduce: MapReduce = serial_map_reduce,
) -> PairStatistics:
    """Statistics of all pairs of a design, whatever their treatment.

    Parameters
    ----------
    design : PairDesign
    every_screen : bool
        Keep the pairs that the median screen of any reassignment may let through, not only those that the
        sample's own threshold does.
    memory_bytes : float
        What the table may take in a process; where it would take more, none is kept, and tiles are computed when
        they are read.
    observed : float64 ``[n_classes, n_classes, T]``, optional
        Treatment path that happened, by the units' own classes: one more column before the outcome.
    spans : YearSpans, optional
    key : str, optional
        Stands for the content of the other arguments; default: for this call alone.
    map_reduce : callable
        Runs the passes over the pairs that this takes: one that counts those above a screen; another where some
        outcomes may be infinite.
    """
    length, screened = design.list_length(every_screen=every_screen, map_reduce=map_reduce)
    key = key or uuid4().hex
    for balanced in [True, False] if design.complete else [False]:
        layout = Layout(design.n_years, design.n_columns + (observed is not None), balanced)
        source = StatisticsSource(MomentPass(design, balanced), layout, observed, spans)
        pairs = PairStatistics(
            source=source,
            every_screen=every_screen,
            n_pairs=length,
            n_screened=screened,
            in_memory=8.0 * length * source.width <= memory_bytes,
            key=f"{key}-{balanced}",
        )
        if not (balanced and _may_be_infinite(pairs.source.moment_pass)):
            break
        step = design.chunk * max(1, -(-length // design.chunk // MAX_GROUPS))
        parts = [(start, min(start + step, length)) for start in range(0, length, step)]
        if not map_reduce(infinite_outcomes, pairs, parts, add):
            break
    return pairs


def _order(pairs: PairStatistics) -> PairOrder:
    design = pairs.source.moment_pass.design
    return PairOrder(*design.pair_list(pairs.n_pairs, screened=pairs.n_screened is not None))


def _table(pairs: PairStatistics) -> Array:
    table, length = np.empty((pairs.n_pairs, pairs.width)), pairs.source.moment_pass.design.chunk
    for start in range(0, pairs.n_pairs, length):
        part = slice(start, min(start + length, pairs.n_pairs))
        table[part] = np.asarray(_statistics(pairs, part, length)[0])[: part.stop - start]
    return table


def infinite_outcomes(pairs: PairStatistics, part: tuple[int, int]) -> int:
    """Infinite outcomes among some pairs of the table: a balanced layout has no place for them."""
    length = pairs.source.moment_pass.design.chunk
    slices = (slice(start, min(start + length, part[1])) for start in range(*part, length))
    return sum(_statistics(pairs, pairs_slice, length)[1] for pairs_slice in slices)


def _may_be_infinite(moment_pass: MomentPass) -> bool:
    """False where no pair of units at all has an infinite outcome or regressor in any year (balanced layouts).

    Two standardised series are infinitely synchronized where they are equal, or as far apart as they can be, up
    to rounding.
    """
    options = kernel_options(moment_pass)
    series = moment_pass.design.standardised_series(city_arrays(moment_pass))
    return any(may_coincide(z, look_ahead=options.look_ahead, clip=options.clip) for z in series)


def _statistics(pairs: PairStatistics, part: slice, length: int) -> tuple[Any, int]:
    """Statistics ``[length, width]`` of some pairs of the table, zero rows at the end; infinite outcomes."""
    source, order = pairs.source, pairs.order
    design, n = source.moment_pass.design, part.stop - part.start
    i, j = order.i[part], order.j[part]
    values, weights = design.listed_rows(part, i, j, length)
    options = replace(kernel_options(source.moment_pass), layout=source.layout)
    i, j = padded(i, length), padded(j, length)
    chunk = kernels.PairChunk(i, j, n, values, weights)
    with double_precision():
        by_span = [kernels.pair_statistics(options, arrays, chunk) for arrays in _on_device(source)]
        statistics, counts = zip(*by_span, strict=True)
        joined = statistics[0] if len(statistics) == 1 else jnp.concatenate(statistics, axis=1)
        return joined, int(counts[0][0])


@lru_cache(maxsize=1)
def _on_device(source: StatisticsSource) -> list[dict[str, Any]]:
    """City arrays, once for every span of years."""
    arrays, h = city_arrays(source.moment_pass), source.moment_pass.design.n_classes
    if source.observed is not None:
        arrays = arrays | {"observed": source.observed}
        if "profile" in arrays:  # of the outcome, before which the treatment that happened stands
            arrays["profile"] = np.insert(arrays["profile"], -1, 0.0, axis=1)
    if source.spans is None:
        return [kernels.to_device(arrays)]
    of_classes = ("kept_rows", "untreated")
    common = kernels.to_device({name: values for name, values in arrays.items() if name not in of_classes})
    return [common | kernels.to_device(source.spans.arrays(span, h)) for span in range(len(source.spans))]
