"""The one protocol of pair designs: all that the passes over the pairs, and every stage above, know of panel or table.

A design cuts its pairs into tasks (a fixed function of the grid), and tasks into chunks of one fixed length, so that a
kernel is compiled once and never sees which design it serves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from engine.arrays import AnyArray, Array, Flags, Integers
from engine.notes import Note
from engine.pairs.gravity import PairSample
from engine.pairs.pair_rows import PairRows
from engine.pairs.pair_split import PairSplit
from engine.pairs.tiles import MapReduce

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
    adoption : int32 ``[chunk]`` or None
        Adoption class of each pair itself, see `engine.pairs.treatment.Adoption.of_pairs`.
    """

    i: Integers
    j: Integers
    n: int
    rows: Range
    cols: Range
    values: Array | None = None
    weights: Array | None = None
    adoption: Integers | None = None


@dataclass(frozen=True)
class FilterStep:
    """One filter of the sample: a note that names it, and the pairs and pair-years that passed it."""

    step: Note
    pairs: int
    rows: int


class PairDesign(Protocol):
    """Pairs by year and the columns of a regression on them, as pure kernels of city arrays or as a table's columns."""

    @property
    def n_units(self) -> int: ...

    @property
    def n_classes(self) -> int: ...

    @property
    def classes(self) -> Integers:
        """int32 ``[n_units]`` adoption class of each unit."""

    def pair_classes(self, i: Integers, j: Integers) -> tuple[Integers, Integers]:
        """Adoption classes of the units of pairs ``[n]``; a pair's own class stands in place of the second's."""

    @property
    def allowed(self) -> Flags:
        """bool ``[n_classes, n_classes]`` pairs of classes that are in the sample."""

    @property
    def n_years(self) -> int: ...

    @property
    def n_columns(self) -> int:
        """Regressors that are no treatment terms, and the outcome."""

    @property
    def complete(self) -> bool:
        """True where no pair-year is missing, removed or weighted."""

    @property
    def directed(self) -> bool:
        """True where rows 2q and 2q + 1 are the two directions of a dyad."""

    @property
    def kept_rows(self) -> Flags | None:
        """bool ``[n_classes, n_classes, n_years]`` pair-years that stay, by class; None keeps all."""

    @property
    def untreated(self) -> Flags | None:
        """bool ``[n_classes, n_classes, n_years]`` pair-years whose window statistics are of; None: of all rows."""

    @property
    def sample(self) -> PairSample:
        """The pairs of a city panel; raises InputError where a table lists the pairs."""

    @property
    def steps(self) -> tuple[FilterStep, ...]:
        """Counts after each filter that the design applies to the pairs of the data."""

    # -- columns of a pair-year

    @property
    def outcome(self) -> str:
        """``synchronization``, ``variation``, or ``column`` of a table."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """Rules that make pair columns of city levels, names in `REGRESSORS`."""

    @property
    def look_ahead(self) -> bool:
        """True where all years standardise the series, so that the index has its lower bound."""

    @property
    def clip(self) -> float: ...

    @property
    def lag(self) -> int: ...

    @property
    def least_rows(self) -> int:
        """Observed years that a pair must have: two, but one where regressions have no pair effects."""

    @property
    def profile(self) -> Array | None:
        """float64 ``[n_years]`` year effects that kernels subtract from the outcome; None for none."""

    def city_arrays(self, *, balanced: bool) -> dict[str, AnyArray]:
        """Arrays that a kernel reads beside the pairs of a chunk."""

    def standardised_series(self, arrays: Mapping[str, AnyArray]) -> list[Array]:
        """Standardised series among city arrays: a pair-year in which two of a series coincide is infinite."""

    def data_values(self, rows: PairRows) -> Array:
        """``[n_rows, n_columns]`` the columns of rows as the data have them: what keeps digits is put back."""

    def without_years(self, years: Flags) -> Self:
        """The design without the rows of some years, bool ``[n_years]``."""

    def uncut(self) -> tuple[PairDesign, PairSplit | None]:
        """The design with the pairs of every third, where other samples have other thirds, and its own third.

        Without such a split, the design as it is.
        """

    # -- order of the work

    @property
    def edge(self) -> int:
        """Units along the longer side of a chunk's city sums."""

    @property
    def chunk(self) -> int:
        """Pairs of a kernel call."""

    @property
    def n_tiles(self) -> int: ...

    def tasks(self) -> tuple[Any, ...]:
        """The pairs in parts, each the work of one task."""

    def span(self, task: Any) -> tuple[Range, Range]:
        """Ranges of unit positions that the first and the second unit of a task's pairs fall into."""

    def chunks(self, task: Any, among: Flags | None = None) -> Iterator[Chunk]:
        """The pairs of a task, kernel call by kernel call; of those ``among`` ``[n_units, n_units]``, if not of all."""

    # -- pairs in one list, strongest gravity force first where there is a screen (`engine.pairs.pair_statistics`)

    def list_length(self, *, every_screen: bool, map_reduce: MapReduce) -> tuple[int, int | None]:
        """Pairs of the list, and those above the sample's own screen, None without one.

        ``every_screen`` lists all pairs that the screen of any reassignment may let through.
        """

    def pair_list(self, length: int, *, screened: bool) -> tuple[Integers, Integers, Integers]:
        """Positions i and j of the listed pairs, and the first pair of the same force; int32 ``[length]`` each."""

    def listed_rows(
        self, part: slice, i: Integers, j: Integers, length: int
    ) -> tuple[Array | None, Array | None]:
        """Values and weights of listed pairs (i, j), padded, as in `Chunk`."""


def chunk_length(n_pairs: int) -> int:
    """4,096, or the next power of two where there are fewer pairs; always even."""
    return min(_CHUNK, max(2, 1 << (n_pairs - 1).bit_length()))


def padded(values: AnyArray, length: int) -> AnyArray:
    """Rows of zeros appended up to a length."""
    longer = np.zeros((length, *values.shape[1:]), dtype=values.dtype)
    longer[: len(values)] = values
    return longer
