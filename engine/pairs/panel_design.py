"""Pairs of a city panel: city arrays, and the rules by which a kernel makes pair columns of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import AnyArray, Array, Flags, Integers, LongIntegers, check_shape
from engine.notes import Note
from engine.pairs.centre import deviations, standardise
from engine.pairs.design import Chunk, FilterStep, Range, chunk_length, padded
from engine.pairs.gravity import PairSample
from engine.pairs.outcomes import OUTCOMES
from engine.pairs.pair_rows import PairRows
from engine.pairs.pair_split import PairSplit
from engine.pairs.process_cache import ProcessCache
from engine.pairs.regressors import REGRESSORS
from engine.pairs.tiles import MapReduce, Tile, groups, tile_edge, triangle

_SMALL = 1000  # units, of whose pairs a process may hold a list
_ONLY_TILE: ProcessCache[tuple[PairSample, Integers, Integers]] = ProcessCache()


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
        """Which of the pairs are matched, and the weights of those."""
        code = i.astype(np.int64) * n_units + j
        position = np.minimum(np.searchsorted(self.code, code), len(self.code) - 1)
        matched = self.code[position] == code
        return matched, self.weights[position[matched]]


@dataclass(frozen=True)
class PanelDesign:
    """Pairs of a city panel; meets `engine.pairs.design.PairDesign`.

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
        Name in `OUTCOMES`.
    kinds : tuple of str
        Kind of regressor of each of the levels, names in `REGRESSORS`; empty: differences throughout.
    weight : float64 ``[n_units, n_years]`` or None
        City weights of outcome ``variation``.
    split : PairSplit or None
        Only this class of pairs.
    matches : Matches or None
        Only these pairs, with weights.
    lag : int
        Years by which pair columns of standardised series are lagged; the other levels come lagged.
    untreated : bool ``[n_classes, n_classes, n_years]`` or None
        Pair-years that are not treated, where pair statistics are those of `engine.pairs.untreated_window`.
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
    split: PairSplit | None = None
    matches: Matches | None = None
    lag: int = 0
    untreated: Flags | None = None

    def __post_init__(self) -> None:
        units, years, classes = self.n_units, self.n_years, self.n_classes
        check_shape("series", self.series, (units, years))
        check_shape("window", self.window, (years,))
        check_shape("levels", self.levels, (units, years, len(self.kinds) or None))
        if self.kept_rows is not None:
            check_shape("kept_rows", self.kept_rows, (classes, classes, years))
        if self.untreated is not None:
            check_shape("untreated", self.untreated, (classes, classes, years))
        if self.weight is not None:
            check_shape("weight", self.weight, (units, years))
        if self.split is not None:
            check_shape("value of the split", self.split.value, (units,))
        if self.matches is not None:
            check_shape("weights of the matches", self.matches.weights, (len(self.matches.code), years))

    directed = False
    profile = None

    @property
    def n_units(self) -> int:
        return self.sample.n_units

    @property
    def n_classes(self) -> int:
        return len(self.sample.allowed)

    @property
    def classes(self) -> Integers:
        return self.sample.classes

    def pair_classes(self, i: Integers, j: Integers) -> tuple[Integers, Integers]:
        return self.classes[i], self.classes[j]

    @property
    def allowed(self) -> Flags:
        return self.sample.allowed

    @property
    def n_years(self) -> int:
        return self.series.shape[1]

    @property
    def n_columns(self) -> int:
        return self.levels.shape[2] + 1

    @property
    def least_rows(self) -> int:
        return 2

    @property
    def look_ahead(self) -> bool:
        return bool(self.window.all())

    @property
    def complete(self) -> bool:
        """True where no city-year is missing and no filter removes or weights pair-years."""
        whole = (self.series, self.levels, *([] if self.weight is None else [self.weight]))
        filtered = self.kept_rows is not None or self.matches is not None
        return not filtered and all(bool(np.isfinite(array).all()) for array in whole)

    @property
    def steps(self) -> tuple[FilterStep, ...]:
        """Exclusion, gravity screen, split and matching, where each filters; rows still include missing ones."""
        sample, years = self.sample, self.n_years
        steps = []
        if not sample.allowed.all():
            steps.append(
                FilterStep(Note("both_treated_excluded"), sample.n_eligible, sample.n_eligible * years)
            )
        if sample.n_kept is not None:
            steps.append(FilterStep(Note("gravity_above_median"), sample.n_kept, sample.n_kept * years))
        if self.split is not None:
            steps.append(FilterStep(self.split.name, self.split.n_pairs, self.split.n_pairs * years))
        if self.matches is not None:
            n_rows = int((self.matches.weights > 0).sum())
            steps.append(FilterStep(Note("matched"), len(self.matches.code), n_rows))
        return tuple(steps)

    def city_arrays(self, *, balanced: bool) -> dict[str, AnyArray]:
        """Classes, series, levels and filters; series and levels are standardised where the layout is balanced."""
        standardised = balanced and OUTCOMES[self.outcome].standardised
        series = standardise(self.series, self.window) if standardised else self.series
        arrays: dict[str, AnyArray] = {"classes": self.classes, "series": series, "window": self.window}
        arrays["levels"] = self._prepared_levels(standardised=balanced)
        if self.weight is not None:
            arrays["weight"] = self.weight
        if self.kept_rows is not None:
            arrays["kept_rows"] = self.kept_rows
        if self.untreated is not None:
            arrays["untreated"] = self.untreated
        if self.split is not None:
            arrays |= {"split": self.split.value, "split_bounds": np.array(self.split.bounds)}
        return arrays

    def with_columns(self, places: Sequence[int]) -> PanelDesign:
        """The design with some of its regressors."""
        kinds = tuple(self.kinds[place] for place in places) if self.kinds else ()
        return replace(self, levels=self.levels[..., list(places)], kinds=kinds)

    def with_level_of(self, column: int, cities: Integers) -> PanelDesign:
        """The design in which each city has the series of a regressor that another has, ``cities [n_units]``."""
        levels = self.levels.copy()
        levels[..., column] = self.levels[cities, :, column]
        return replace(self, levels=levels)

    def _prepared_levels(self, *, standardised: bool) -> Array:
        """Levels as the kernels take them.

        Those that are summed are without their city means, which pair effects absorb anyhow: a sum of deviations has
        digits that a sum of large levels has not. Those whose synchronization is a column are standardised where
        ``standardised`` says so.
        """
        kinds = [REGRESSORS[name] for name in self.kinds]
        if not any(kind.centred or kind.standardised for kind in kinds):
            return self.levels
        levels = np.array(self.levels)
        for number, kind in enumerate(kinds):
            if kind.centred:
                levels[:, :, number] = deviations(levels[:, :, number])
            elif kind.standardised and standardised:
                levels[:, :, number] = standardise(levels[:, :, number], self.window)
        return levels

    def standardised_series(self, arrays: Mapping[str, AnyArray]) -> list[Array]:
        outcome = [arrays["series"]] if OUTCOMES[self.outcome].standardised else []
        columns = np.moveaxis(arrays["levels"], 2, 0)
        return [*outcome, *(columns[k] for k, name in enumerate(self.kinds) if REGRESSORS[name].standardised)]

    def data_values(self, rows: PairRows) -> Array:
        """The columns of rows, sums with the means that `_prepared_levels` takes off."""
        values = rows.values.copy()
        for number, name in enumerate(self.kinds):
            if REGRESSORS[name].centred:
                levels = self.levels[:, :, number]
                means = levels - deviations(levels)
                values[:, number] += means[rows.first, rows.year] + means[rows.second, rows.year]
        return values

    def without_years(self, years: Flags) -> PanelDesign:
        """The design without the rows of some years, bool ``[n_years]``."""
        shape = (self.n_classes, self.n_classes, self.n_years)
        kept_rows = np.ones(shape, dtype=bool) if self.kept_rows is None else self.kept_rows
        return replace(self, kept_rows=kept_rows & ~years)

    def uncut(self) -> tuple[PanelDesign, PairSplit | None]:
        """The design with the pairs of every third, where other samples have other thirds, and its own third."""
        if self.split is None or self.split.third is None or self.allowed.all():
            return self, None
        return replace(self, split=None), self.split

    @property
    def chunk(self) -> int:
        return chunk_length(self.sample.n_pairs)

    @property
    def n_tiles(self) -> int:
        return sum(len(task) for task in self.tasks())

    def tasks(self) -> tuple[tuple[Tile, ...], ...]:
        return groups(triangle(self.n_units, self.edge))

    def span(self, task: tuple[Tile, ...]) -> tuple[Range, Range]:
        """Ranges of unit positions that the first and the second unit of a task's pairs fall into."""
        rows, cols = [tile.rows for tile in task], [tile.cols for tile in task]
        return (rows[0][0], rows[-1][1]), (min(a for a, _ in cols), max(b for _, b in cols))

    def chunks(self, task: tuple[Tile, ...], among: Flags | None = None) -> Iterator[Chunk]:
        for tile in task:
            i, j = self._pairs(tile) if among is None else self.sample.pairs(tile, among)
            weights = None
            if self.matches is not None:
                matched, weights = self.matches.of(i, j, self.n_units)
                i, j = i[matched], j[matched]
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

    def _pairs(self, tile: Tile) -> tuple[Integers, Integers]:
        """Positions (i, j) of a tile's pairs; of a small sample those of its only tile are found once."""
        if self.n_units > self.edge or self.n_units > _SMALL:
            return self.sample.pairs(tile)
        # With the sample beside them no other has its address.
        key = id(self.sample), tile
        return _ONLY_TILE.get(key, lambda: (self.sample, *self.sample.pairs(tile)))[1:]

    def list_length(self, *, every_screen: bool, map_reduce: MapReduce) -> tuple[int, int | None]:
        return self.sample.list_length(every_screen=every_screen, map_reduce=map_reduce)

    def pair_list(self, length: int, *, screened: bool) -> tuple[Integers, Integers, Integers]:
        return self.sample.pair_list(length, screened=screened)

    def listed_rows(
        self, part: slice, i: Integers, j: Integers, length: int
    ) -> tuple[Array | None, Array | None]:
        if self.matches is None:
            return None, None
        matched, row_weights = self.matches.of(i, j, self.n_units)
        weights = np.zeros((length, self.n_years))
        weights[np.flatnonzero(matched)] = row_weights
        return None, weights


def panel_edge(n_units: int, n_classes: int, n_statistics: int, *, memory_bytes: float) -> int:
    """Tile edge for a panel whose pairs have ``n_statistics`` of 8 bytes, summed by city and class."""
    return tile_edge(n_units, memory_bytes=memory_bytes, bytes_per_unit=8.0 * n_classes * n_statistics)
