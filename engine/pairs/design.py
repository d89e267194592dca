"""What a pair-year is: city arrays and the rules that make pair columns of them, or a user's own pair table.

Both kinds of design cut their pairs into tasks (a fixed function of the grid), and tasks into chunks of one
fixed length, so that a kernel is compiled once and never sees which design it serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.arrays import Array, Flags, Integers, LongIntegers, check_shape
from engine.pairs.centre import middle_values, year_effects
from engine.pairs.gravity import PairSample
from engine.pairs.tiles import Tile, groups, tile_edge, triangle

Range = tuple[int, int]

_CHUNK = 4096  # pairs a kernel call: its arrays stay in cache


@dataclass(frozen=True)
class Chunk:
    """Pairs of one kernel call, padded to the design's chunk length.

    Attributes
    ----------
    i, j : int32 ``[chunk]``
        Unit positions; zero beyond ``n``.
    n : int
        Pairs that count.
    rows, cols : tuple of int
        Ranges of unit positions that i and j fall into.
    values : float64 ``[chunk, n_years, n_columns]`` or None
        Columns of a pair table; None where the kernel computes them from city arrays.
    weights : float64 ``[chunk, n_years]`` or None
        Weights of the rows; None where all are one.
    """

    i: Integers
    j: Integers
    n: int
    rows: tuple[int, int]
    cols: tuple[int, int]
    values: Array | None = None
    weights: Array | None = None


@dataclass(frozen=True)
class Split:
    """A class of pairs by the sum of a city value: low < v_i + v_j <= high.

    Attributes
    ----------
    value : float64 ``[n_units]``
    bounds : (float, float)
    n_pairs : int
        Pairs of the sample in it.
    """

    value: Array
    bounds: tuple[float, float]
    n_pairs: int


@dataclass(frozen=True)
class Matches:
    """Pairs that matching keeps, with the weights of their rows.

    Attributes
    ----------
    code : int64 ``[n]``
        i * n_units + j with i < j, ascending.
    weights : float64 ``[n, n_years]``
        Zero where a row is left out; mean one over the other rows.
    """

    code: LongIntegers
    weights: Array

    def of(self, i: Integers, j: Integers, n_units: int) -> tuple[Flags, Array]:
        """Which of the pairs are kept, and the weights of those."""
        code = i.astype(np.int64) * n_units + j
        at = np.minimum(np.searchsorted(self.code, code), len(self.code) - 1)
        kept = self.code[at] == code
        return kept, self.weights[at[kept]]


@dataclass(frozen=True)
class PanelDesign:
    """Pairs of a city panel.

    Attributes
    ----------
    sample : PairSample
    series : float64 ``[n_units, n_years]``
        The series whose synchronization (or variation) is the outcome; NaN where missing.
    window : bool ``[n_years]``
        Years that standardise the series.
    clip : float
        Smallest distance of two standardised values; 0 leaves infinite outcomes infinite.
    levels : float64 ``[n_units, n_years, k]``
        City columns of the regressors; NaN where missing.
    kept_rows : bool ``[n_classes, n_classes, n_years]`` or None
        Pair-years that stay, by class; None keeps all.
    edge : int
        Cities along a tile's edge.
    outcome : str
    kinds : tuple of str
        What pair columns are made of series and levels, see `kernels.Rule`; empty: differences throughout.
    weight : float64 ``[n_units, n_years]`` or None
        City weights of outcome ``variation``.
    split : Split or None
        Only this class of pairs.
    matches : Matches or None
        Only these pairs, with weights.
    lag : int
        Years by which columns of kind ``synchronization`` are late; the other levels come lagged.
    """

    sample: PairSample
    series: Array
    window: Flags
    clip: float
    levels: Array
    kept_rows: Flags | None
    edge: int
    kinds: tuple[str, ...] = ()
    outcome: str = "synchronization"
    weight: Array | None = None
    split: Split | None = None
    matches: Matches | None = None
    lag: int = 0

    def __post_init__(self) -> None:
        units, years, classes = self.n_units, self.n_years, self.n_classes
        check_shape("series", self.series, (units, years))
        check_shape("window", self.window, (years,))
        check_shape("levels", self.levels, (units, years, len(self.kinds) or None))
        if self.kept_rows is not None:
            check_shape("kept_rows", self.kept_rows, (classes, classes, years))
        if self.weight is not None:
            check_shape("weight", self.weight, (units, years))
        if self.split is not None:
            check_shape("value of the split", self.split.value, (units,))
        if self.matches is not None:
            check_shape("weights of the matches", self.matches.weights, (len(self.matches.code), years))

    @property
    def n_units(self) -> int:
        return self.sample.n_units

    @property
    def n_classes(self) -> int:
        return len(self.sample.allowed)

    @property
    def classes(self) -> Integers:
        return self.sample.classes

    @property
    def n_years(self) -> int:
        return self.series.shape[1]

    @property
    def n_columns(self) -> int:
        return self.levels.shape[2] + 1

    @property
    def complete(self) -> bool:
        """True where no city-year is missing and no rule removes or weights pair-years."""
        whole = (self.series, self.levels, *([] if self.weight is None else [self.weight]))
        ruled = self.kept_rows is not None or self.matches is not None
        return not ruled and all(bool(np.isfinite(array).all()) for array in whole)

    @property
    def directed(self) -> bool:
        return False

    def without_years(self, years: Flags) -> PanelDesign:
        """The design without the rows of some years, bool ``[n_years]``."""
        shape = (self.n_classes, self.n_classes, self.n_years)
        kept = np.ones(shape, dtype=bool) if self.kept_rows is None else self.kept_rows
        return replace(self, kept_rows=kept & ~years)

    @property
    def chunk(self) -> int:
        return _chunk_length(self.sample.n_pairs)

    def tasks(self) -> tuple[tuple[Tile, ...], ...]:
        return groups(triangle(self.n_units, self.edge))

    def span(self, task: tuple[Tile, ...]) -> tuple[Range, Range]:
        """Ranges of unit positions that the first and the second unit of a task's pairs fall into."""
        rows, cols = [tile.rows for tile in task], [tile.cols for tile in task]
        return (rows[0][0], rows[-1][1]), (min(a for a, _ in cols), max(b for _, b in cols))

    def chunks(self, task: tuple[Tile, ...]) -> Iterator[Chunk]:
        for tile in task:
            i, j = self.sample.pairs(tile)
            weights = None
            if self.matches is not None:
                kept, weights = self.matches.of(i, j, self.n_units)
                i, j = i[kept], j[kept]
            for start in range(0, len(i), self.chunk):
                part = slice(start, start + self.chunk)
                yield Chunk(
                    padded(i[part], self.chunk),
                    padded(j[part], self.chunk),
                    len(i[part]),
                    tile.rows,
                    tile.cols,
                    weights=None if weights is None else padded(weights[part], self.chunk),
                )


@dataclass(frozen=True)
class TableDesign:
    """Pairs of a user's own dyadic table, as dense arrays.

    Attributes
    ----------
    i, j : int32 ``[n_pairs]``
        Unit positions. With ``directed``, rows 2q and 2q+1 are the two directions of a dyad.
    values : float64 ``[n_pairs, n_years, n_columns]``
        Regressors, then the outcome; NaN where missing.
    n_units : int
    directed : bool
    weights : float64 ``[n_pairs, n_years]`` or None
        Weights of the rows, mean one over those that count; zero where missing.
    centre : float64 ``[n_columns]`` or None
        Subtracted from the columns before anything else; None for nothing.
    profile : float64 ``[n_years]`` or None
        Subtracted from the outcome too; its year effects, which every regression takes out anyhow.
    """

    i: Integers
    j: Integers
    values: Array
    n_units: int
    directed: bool
    weights: Array | None = None
    centre: Array | None = None
    profile: Array | None = None

    n_classes = 1
    kept_rows = None

    def __post_init__(self) -> None:
        check_shape("j", self.j, self.i.shape)
        check_shape("values", self.values, (len(self.i), None, None))
        if self.weights is not None:
            check_shape("weights", self.weights, (len(self.i), self.n_years))

    def centred(self) -> TableDesign:
        """The same regression, with a centre and a profile of the values: levels far from zero cost no digits."""
        centre = middle_values(self.values)
        return replace(self, centre=centre, profile=year_effects(self.values[:, :, -1] - centre[-1]))

    @property
    def classes(self) -> Integers:
        return np.zeros(self.n_units, dtype=np.int32)

    @property
    def n_years(self) -> int:
        return self.values.shape[1]

    @property
    def n_columns(self) -> int:
        return self.values.shape[2]

    @property
    def complete(self) -> bool:
        return self.weights is None and bool(np.isfinite(self.values).all())

    def without_years(self, years: Flags) -> TableDesign:
        """The design without the rows of some years, bool ``[n_years]``."""
        return replace(self, values=np.where(years[None, :, None], np.nan, self.values))

    @property
    def edge(self) -> int:
        return self.n_units

    @property
    def chunk(self) -> int:
        return _chunk_length(len(self.i))

    def tasks(self) -> tuple[tuple[int, int], ...]:
        step = max(self.chunk, -(-len(self.i) // 64 // self.chunk) * self.chunk)
        return tuple((start, min(start + step, len(self.i))) for start in range(0, len(self.i), step))

    def span(self, task: tuple[int, int]) -> tuple[Range, Range]:
        """Both units of a pair may be any."""
        return (0, self.n_units), (0, self.n_units)

    def chunks(self, task: tuple[int, int]) -> Iterator[Chunk]:
        everywhere = (0, self.n_units)
        for start in range(*task, self.chunk):
            part = slice(start, min(start + self.chunk, task[1]))
            yield Chunk(
                padded(self.i[part], self.chunk),
                padded(self.j[part], self.chunk),
                part.stop - part.start,
                everywhere,
                everywhere,
                padded(self.values[part], self.chunk),
                None if self.weights is None else padded(self.weights[part], self.chunk),
            )


Design = PanelDesign | TableDesign


def panel_edge(n_units: int, n_classes: int, n_features: int, *, memory_bytes: float) -> int:
    """Tile edge for a panel whose pairs have ``n_features`` statistics of 8 bytes, summed by city and class."""
    return tile_edge(n_units, memory_bytes=memory_bytes, bytes_per_unit=8.0 * n_classes * n_features)


def _chunk_length(n_pairs: int) -> int:
    """4,096, or the next power of two where there are fewer pairs; always even."""
    return min(_CHUNK, max(2, 1 << (n_pairs - 1).bit_length()))


def padded(values: Any, length: int) -> Any:
    """Rows of zeros appended up to a length."""
    out = np.zeros((length, *values.shape[1:]), dtype=values.dtype)
    out[: len(values)] = values
    return out
