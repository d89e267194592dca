"""The validation report: the content of a panel and its preparation, before any estimation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise

import numpy as np

from engine.arrays import Array, Flags
from engine.characters import aligned
from engine.cities.fill import MOST_GAP
from engine.cities.panel import CityPanel
from engine.cities.places import groups_at_one_place
from engine.cities.split_cities import merge_notes
from engine.notes import Note, message_lines, note_record, notes_record, shortened
from engine.tables.near_duplicates import NearDuplicates
from engine.tables.problems import job_line

JUMP = 20.0  # a factor between two years that smells of a changed unit
_SHOWN, _LISTED = 3, 20
_WIDTH = 12  # places of a number on the terminal


@dataclass(frozen=True)
class ColumnReport:
    """One column of the panel.

    Attributes
    ----------
    column, expression : str
        Canonical name, and the column of the file or the arithmetic it came from.
    minimum, maximum, mean : float
        Over the cities and years of the sample, in the unit of the column; NaN where there are no values.
    missing_share : float
        Of the city-years of all cities of the file in the sample years, after filling and before cities
        are dropped.
    n_marked : int
        Cells of the whole file that said "missing" in words (``NA``, ``-``, ``..``).
    n_filled, n_nonpositive : int
        Cells of the sample that were interpolated, and that are zero or negative.
    """

    column: str
    expression: str
    minimum: float
    maximum: float
    mean: float
    missing_share: float
    n_marked: int
    n_filled: int
    n_nonpositive: int


@dataclass(frozen=True)
class DroppedCity:
    """A city that left the sample, the first column that cost it its place, and how many more there were.

    ``spellings`` are further names of the table, nearly alike, that have rows of other years.
    """

    city: str
    column: str
    years: tuple[int, ...]
    n_more_columns: int
    spellings: NearDuplicates | None = None

    @property
    def reason(self) -> Note:
        """Note: ``retail_sales missing in 2012-2014 (and 2 more columns)``."""
        more = [Note.of("more_columns", count=self.n_more_columns)] * bool(self.n_more_columns)
        reason = Note.of("column_missing", column=self.column, years=year_ranges(self.years), more=more)
        if self.spellings is None:
            return reason
        return Note.of("spelled_nearly_alike", reason=reason, names=self.spellings.names)


@dataclass(frozen=True)
class ColumnOrigin:
    """How a column was read: the fields of `ColumnReport` that the panel itself does not tell."""

    expression: str
    missing_share: float
    n_marked: int


@dataclass(frozen=True)
class Preparation:
    """A panel's way from the file to the sample.

    Attributes
    ----------
    source : str
        File or builtin name.
    n_cities_read : int
        Cities of the file.
    origins : mapping of str to ColumnOrigin
        By column of the panel.
    dropped : tuple of DroppedCity
    static : tuple of str
        Columns that are constant in a city by nature.
    warnings, notes : tuple of Note
        Of the preparation.
    """

    source: str
    n_cities_read: int
    origins: Mapping[str, ColumnOrigin]
    dropped: tuple[DroppedCity, ...] = ()
    static: tuple[str, ...] = ()
    warnings: tuple[Note, ...] = ()
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True)
class Validation:
    """The validation report of a panel.

    Attributes
    ----------
    source : str
        File or builtin name.
    years : tuple of int
        First and last year of the sample.
    n_cities_read, n_cities : int
        Cities of the file and of the sample.
    columns : tuple of ColumnReport
        In the order the job needs them.
    n_duplicates : int
        City-years given twice; always 0, since they are refused.
    identical : mapping of str to tuple of groups
        Column to groups of two or more cities whose varying series are equal in every year: their
        synchronization is infinite.
    constant : mapping of str to tuple of str
        Column to cities whose series does not vary while that of others does.
    same_place : tuple of groups
        Cities with equal coordinates.
    dropped : tuple of DroppedCity
    filled : mapping of str to mapping of str to tuple of int
        Column to city to the years that were interpolated.
    warnings, notes : tuple of Note
        What should be looked at, and what is worth knowing.
    """

    source: str
    years: tuple[int, int]
    n_cities_read: int
    n_cities: int
    columns: tuple[ColumnReport, ...]
    identical: Mapping[str, tuple[tuple[str, ...], ...]]
    constant: Mapping[str, tuple[str, ...]]
    same_place: tuple[tuple[str, ...], ...]
    dropped: tuple[DroppedCity, ...]
    filled: Mapping[str, Mapping[str, tuple[int, ...]]]
    warnings: tuple[Note, ...]
    notes: tuple[Note, ...]
    n_duplicates: int = 0

    def to_dict(self, worded: Callable[[Note], str]) -> dict[str, object]:
        """Plain lists, strings and numbers, ready for JSON; undefined numbers become None, notes are worded too."""
        dropped = [{**asdict(city), **note_record("reason", city.reason, worded)} for city in self.dropped]
        for city in dropped:
            del city["spellings"]  # the reason has them
        plain = {name: _plain(value) for name, value in {**asdict(self), "dropped": dropped}.items()}
        return (
            plain | notes_record("warning", self.warnings, worded) | notes_record("note", self.notes, worded)
        )

    def lines(self, worded: Callable[[Note], str]) -> list[str]:
        """The report for a terminal, one string a line."""
        first, last = self.years
        head = Note.of(
            "panel_read", source=self.source, count=self.n_cities, total=self.n_cities_read, first=first, last=last
        )  # fmt: skip
        table = [worded(Note("panel_columns")).split(" | "), *map(_cells, self.columns)]
        lines = [worded(head), "", *aligned(table, _WIDTH)]
        if self.dropped:
            shown = [Note.of("entry", name=city.city, content=city.reason) for city in self.dropped[:_LISTED]]
            n_further = len(self.dropped) - _LISTED
            further = [Note.of("further", count=n_further)] if n_further > 0 else []
            lines += ["", worded(Note.of("dropped_cities", count=len(self.dropped)))]
            spellings = {city.city: city.spellings for city in self.dropped if city.spellings}
            remedies = (*merge_notes(spellings), *self._fill_notes())
            lines += [f"  {worded(note)}" for note in (*shown, *further, *remedies)]
        return lines + message_lines(self.warnings, self.notes, worded)

    def _fill_notes(self) -> list[Note]:
        """The key of the job that fills the gaps of dropped cities that lack one column between known years."""
        first, last = self.years
        interior = [
            city
            for city in self.dropped
            if not city.n_more_columns
            and not city.spellings
            and first < city.years[0]
            and city.years[-1] < last
        ]
        gaps = [(city.column, gap) for city in interior if (gap := longest_run(city.years)) <= MOST_GAP]
        if not gaps:
            return []
        columns = list(dict.fromkeys(column for column, _ in gaps))
        rule = job_line("panel.fill", {"max_gap": max(gap for _, gap in gaps), "columns": columns})
        return [Note.of("gaps_to_fill", rule=rule, count=len(gaps))]


def _cells(report: ColumnReport) -> list[str]:
    """Name and numbers of a column, as the terminal shows them."""
    numbers = [f"{value:.5g}" for value in (report.minimum, report.maximum, report.mean)]
    counts = [f"{count:,}" for count in (report.n_filled, report.n_nonpositive)]
    return [report.column, *numbers, f"{report.missing_share:.1%}", *counts]


def longest_run(years: Sequence[int]) -> int:
    """The most consecutive years among ascending ones."""
    longest = length = 1
    for earlier, later in pairwise(years):
        length = length + 1 if later == earlier + 1 else 1
        longest = max(longest, length)
    return longest


def validate(panel: CityPanel, preparation: Preparation) -> Validation:
    """Check a finished panel for series that look wrong, and report on all its columns.

    Parameters
    ----------
    panel : CityPanel
        The sample.
    preparation : Preparation
        How it was made; the report has its warnings and notes, then those of the checks.
    """
    checks = _check_series(panel, preparation.static)
    same_place = _same_place(panel)
    places = [Note.of("one_place", cities=group) for group in same_place]
    return Validation(
        source=preparation.source,
        years=(panel.years[0], panel.years[-1]),
        n_cities_read=preparation.n_cities_read,
        n_cities=panel.n_units,
        columns=tuple(_report(name, panel, preparation.origins[name]) for name in panel.values),
        identical=checks.identical,
        constant=checks.constant,
        same_place=same_place,
        dropped=preparation.dropped,
        filled={name: _filled(mask, panel) for name, mask in panel.filled.items()},
        warnings=(*preparation.warnings, *checks.warnings, *places, *_odd_coordinates(panel)),
        notes=(*preparation.notes, *checks.notes),
    )


@dataclass
class _SeriesChecks:
    """Series that look wrong, by column (see the fields of `Validation`), and what to tell about them."""

    identical: dict[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    constant: dict[str, tuple[str, ...]] = field(default_factory=dict)
    warnings: list[Note] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)


def _check_series(panel: CityPanel, static: Sequence[str]) -> _SeriesChecks:
    """Series of the columns that vary over time: those that do not vary, are identical, or jump."""
    checks = _SeriesChecks()
    warnings, notes = checks.warnings, checks.notes
    for name in (name for name in panel.values if name not in static and panel.n_years > 1):
        values = panel.values[name]
        moving = _varies(values)
        if not moving.any():
            notes.append(Note.of("constant_everywhere", column=name))
            continue
        if _equal_rows(values):
            notes.append(Note.of("equal_everywhere", column=name))
            continue
        still = tuple(panel.units[i] for i in np.flatnonzero(~moving & ~np.isnan(values).all(axis=1)))
        if still:
            checks.constant[name] = still
            cities = shortened(still, _SHOWN)
            warnings.append(Note.of("constant_cities", column=name, count=len(still), cities=cities))
        groups = _identical(values, moving, panel.units)
        if groups:
            checks.identical[name] = groups
            equal = shortened([" = ".join(shortened(group, _SHOWN)) for group in groups], _SHOWN)
            warnings.append(Note.of("identical_series", column=name, count=len(groups), groups=equal))
        warnings.extend(_jumps(name, values, panel))
    return checks


def year_ranges(years: Sequence[int]) -> str:
    """``2010-2012, 2015`` of ascending years."""
    runs: list[list[int]] = []
    for year in years:
        if runs and year == runs[-1][-1] + 1:
            runs[-1].append(year)
        else:
            runs.append([year])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _report(name: str, panel: CityPanel, origin: ColumnOrigin) -> ColumnReport:
    values = panel.values[name]
    finite = values[~np.isnan(values)]
    nonempty = finite.size > 0
    return ColumnReport(
        column=name,
        expression=origin.expression,
        minimum=float(finite.min()) if nonempty else math.nan,
        maximum=float(finite.max()) if nonempty else math.nan,
        mean=float(finite.mean()) if nonempty else math.nan,
        missing_share=origin.missing_share,
        n_marked=origin.n_marked,
        n_filled=int(panel.filled[name].sum()) if name in panel.filled else 0,
        n_nonpositive=int((finite <= 0).sum()),
    )


def _varies(values: Array) -> Flags:
    """Mask ``[n_units]``: at least two different values over the years."""
    return np.fmax.reduce(values, axis=1) > np.fmin.reduce(values, axis=1)


def _equal_rows(values: Array) -> bool:
    return bool(np.array_equal(values, np.broadcast_to(values[0], values.shape), equal_nan=True))


def _identical(values: Array, moving: Flags, units: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Groups of cities whose whole series are equal, by their bytes."""
    groups: dict[bytes, list[str]] = {}
    same_zero = values + 0.0  # -0.0 becomes 0.0
    _, code, count = np.unique(values[:, 0], return_inverse=True, return_counts=True)
    for unit in map(int, np.flatnonzero(moving & (count[code] > 1))):  # few share even their first value
        groups.setdefault(same_zero[unit].tobytes(), []).append(units[unit])
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _jumps(name: str, values: Array, panel: CityPanel) -> list[Note]:
    """Year-to-year factors above `JUMP` in columns without negative values (a rate may do what it likes)."""
    if np.fmin.reduce(values, axis=None) < 0:
        return []
    earlier, later = values[:, :-1], values[:, 1:]
    with np.errstate(invalid="ignore"):
        jump = (earlier > 0) & (later > 0) & ((later > JUMP * earlier) | (earlier > JUMP * later))
    count = int(jump.sum())
    if not count:
        return []
    unit, year = np.argwhere(jump)[0]
    note = Note.of(
        "jumps", column=name, factor=JUMP, count=count, city=panel.units[unit], year=panel.years[year],
        next_year=panel.years[year + 1], before=float(earlier[unit, year]), after=float(later[unit, year]),
    )  # fmt: skip
    return [note]


def _odd_coordinates(panel: CityPanel) -> list[Note]:
    """Warnings of coordinates that are no place: radians in place of degrees, and zeros for an unknown place."""
    coordinates = _coordinates(panel)
    if coordinates is None:
        return []
    latitude, longitude = coordinates
    warnings = []
    nowhere = [panel.units[k] for k in np.flatnonzero((latitude == 0) & (longitude == 0))]
    if nowhere:
        cities = shortened(nowhere, _SHOWN)
        warnings.append(Note.of("coordinates_zero", count=len(nowhere), cities=cities))
    if (np.abs(latitude) <= np.pi / 2).all() and (np.abs(longitude) <= np.pi).all():
        warnings.append(Note("coordinates_like_radians"))
    return warnings


def _same_place(panel: CityPanel) -> tuple[tuple[str, ...], ...]:
    coordinates = _coordinates(panel)
    return () if coordinates is None else groups_at_one_place(panel.units, *coordinates)


def _coordinates(panel: CityPanel) -> tuple[Array, Array] | None:
    """Latitude and longitude ``[n_units]``; None where the panel has not both."""
    if not {"latitude", "longitude"} <= panel.values.keys():
        return None
    return panel.values["latitude"][:, 0], panel.values["longitude"][:, 0]


def _filled(mask: Flags, panel: CityPanel) -> dict[str, tuple[int, ...]]:
    return {
        panel.units[unit]: tuple(panel.years[year] for year in np.flatnonzero(mask[unit]))
        for unit in np.flatnonzero(mask.any(axis=1))
    }


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
