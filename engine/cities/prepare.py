"""From a raw table to a `CityPanel` and a `Validation`, in seven steps.

1. Columns are resolved: canonical name to a column of the file or to arithmetic (`engine.cities.panel_grid`).
2. Cells become numbers, strictly; every city-year has one row.
3. Everything is laid on the grid [city, year] of the whole file, where lags and growth rates are taken.
4. Money is deflated. Arithmetic of step 3 reads undeflated columns: deflate its result.
5. Interior gaps are filled and flagged.
6. The sample years are cut out.
7. Cities with missing years are dropped, or kept with missing values.

Only columns that are required, directly or through others, are read at all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from engine.arrays import AnyArray, Array, Flags
from engine.cities.dropped_cities import balance_cities
from engine.cities.fill import Deflation, Filling, fill_gaps, real_factor
from engine.cities.first_years import STATUS, Status
from engine.cities.panel import CityPanel
from engine.cities.panel_grid import CityYearGrid
from engine.cities.panel_request import PanelRequest
from engine.cities.split_cities import split_cities
from engine.cities.validation import ColumnOrigin, Preparation, Validation, validate
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables.arithmetic import parse
from engine.tables.cell_rules import CellRules
from engine.tables.problems import Problems, TableProblem

_SHOWN, _FAR = 5, 50
_AnyArray = TypeVar("_AnyArray", bound=AnyArray)


def prepare(frame: pd.DataFrame, request: PanelRequest, *, source: str) -> tuple[CityPanel, Validation]:
    """Clean a table of city-years.

    Parameters
    ----------
    frame : DataFrame
        One row a city-year, as `read_table` or `builtin.load` gives it.
    request : PanelRequest
        The columns that are needed, and how they are cleaned.
    source : str
        File or builtin name, for messages.

    Raises
    ------
    InputError
        For anything wrong with the table or the request, with file, row or key and the remedy.
    """
    problems = Problems(source)
    grid = CityYearGrid(frame, request, source=source, problems=problems)
    values, labels = _read_columns(grid, request, problems)
    of_status = _with_first_years(values, request, grid)
    in_part = [
        note for name in request.year_columns if name in values for note in _in_part(values[name], name, grid)
    ]
    values = {name: _spread(v, name, grid) if name in request.static else v for name, v in values.items()}
    moving = [name for name in values if name not in request.static]
    warnings = [*grid.warnings, *_shadow_warnings(values, grid), *in_part, *of_status]
    warnings += _deflate(values, request.deflate, moving, grid) if request.deflate else []
    filled = _fill(values, request.fill, moving, grid)
    values, filled, years = _cut(values, filled, request.years, grid)
    _refuse_undefined(values, years, grid)
    gaps = {name: np.isnan(values[name]) for name in moving}
    spellings = split_cities(grid.units, grid.has_row(), request.merge_names)
    dropped, stay = balance_cities(
        gaps, units=grid.units, years=years, balance=request.balance, spellings=spellings, source=source
    )
    panel = CityPanel(
        units=_of_sample(grid.units, stay),
        years=years,
        values={name: _frozen(array[stay]) for name, array in values.items()},
        filled={name: _frozen(mask[stay]) for name, mask in filled.items() if mask[stay].any()},
        labels={name: _of_sample(of_city, stay) for name, of_city in labels.items()},
    )
    _refuse_incomplete(panel, request, grid)
    warnings += _far_years(panel, request.year_columns)
    columns = {year: status for status, year in request.status.items()}
    preparation = Preparation(
        source=source,
        n_cities_read=len(grid.units),
        origins={name: _origin(columns.get(name, name), array, grid) for name, array in values.items()},
        dropped=dropped,
        static=tuple(request.static),
        warnings=tuple(warnings),
        notes=(*grid.notes, *_rows_left(grid, years)),
    )
    return panel, validate(panel, preparation)


def _rows_left(grid: CityYearGrid, years: tuple[int, ...]) -> Iterator[Note]:
    """Rows of the file that are none of the sample."""
    if grid.n_blank:
        yield Note.of("blank_city_rows", count=grid.n_blank)
    has_row, first, last = grid.has_row(), years[0], years[-1]
    outside = [not first <= year <= last for year in grid.years]
    count = int(has_row[:, outside].sum())
    if count:
        yield Note.of("rows_outside_years", count=count, total=int(has_row.sum()), first=first, last=last)


def _read_columns(
    grid: CityYearGrid, request: PanelRequest, problems: Problems
) -> tuple[dict[str, Array], dict[str, tuple[str, ...]]]:
    """Values and labels of all columns; raises one InputError for everything wrong with their cells."""
    values: dict[str, Array] = {}
    labels: dict[str, tuple[str, ...]] = {}
    indexed = not problems.errors
    for name, key in request.required.items():
        if name not in ("city", "year"):
            with problems.collect():
                values[name] = grid.column(name, key=key)
    for name, key in request.labels.items():
        with problems.collect():
            if indexed:
                labels[name] = grid.label(name, key="panel.columns", use=key)
    problems.raise_any()
    return values, labels


def _with_first_years(values: dict[str, Array], request: PanelRequest, grid: CityYearGrid) -> list[Note]:
    """Put the first year of each status in the place of the status, in all years of a city; returns notes."""
    notes: list[Note] = []
    for column in [name for name in request.status if name in values]:
        last_year = request.years[1] if request.years else grid.years[-1]
        status = Status(
            column, values[column], grid.has_row(), grid.units, grid.years, last_year, grid.source
        )
        years, of_column = status.first_years()
        values[request.status[column]] = np.broadcast_to(years[:, None], status.values.shape)
        notes += of_column
        if request.required[column] == STATUS:
            del values[column]
    return notes


def _in_part(year: Array, name: str, grid: CityYearGrid) -> Iterator[Note]:
    """Years of adoption that only some of a city's rows have: all its rows take them."""
    n_rows, n_given = grid.has_row().sum(axis=1), (~np.isnan(year)).sum(axis=1)
    in_part = np.flatnonzero((n_given > 0) & (n_given < n_rows))
    if len(in_part):
        yield Note.of(
            "adoption_in_part", column=name, count=len(in_part), city=grid.units[in_part[0]],
            given=int(n_given[in_part[0]]), rows=int(n_rows[in_part[0]]),
        )  # fmt: skip


def _spread(values: Array, name: str, grid: CityYearGrid) -> Array:
    """The one value of each city in all its years; raises InputError where a city has a second value."""
    observed = ~np.isnan(values)
    first = np.take_along_axis(values, np.argmax(observed, axis=1)[:, None], axis=1)
    varies = observed & (values != first)
    if varies.any():
        unit, year = np.argwhere(varies)[0]
        raise InputError(
            f"'{name}' must be constant within a city, but {grid.units[unit]} has both "
            f"{first[unit, 0]:g} and {values[unit, year]:g} (in {grid.years[year]})",
            where=grid.source,
            remedy="give one value a city",
        )
    return np.broadcast_to(first, values.shape)


def _shadow_warnings(values: Mapping[str, Array], grid: CityYearGrid) -> list[Note]:
    """Arithmetic that reads a column of the file where a canonical column of that name is something else."""
    reached = dict.fromkeys(name for column in values for name in (column, *grid.canonical_inputs(column)))
    return [
        Note.of("column_shadowed", column=name, other=operand, expression=grid.text(operand))
        for name in reached
        for operand in grid.shadowed(name)
    ]


def _deflate(
    values: dict[str, Array], deflate: Deflation, moving: list[str], grid: CityYearGrid
) -> list[Note]:
    """Deflate in place; returns warnings."""
    key = "panel.deflate"
    for name in deflate.columns:
        if not grid.known(name):
            grid.column(name, key=f"{key}.columns")  # raises, with a suggestion
    repeated = [name for name in deflate.columns if list(deflate.columns).count(name) > 1]
    if repeated:
        raise InputError(
            f"'{repeated[0]}' is listed twice, and would be deflated twice",
            where=f"{key}.columns",
            remedy="list it once",
        )
    concerned = [name for name in deflate.columns if name in moving]
    if not concerned:
        return []
    if deflate.base_year not in grid.years:
        raise InputError(
            f"base year {deflate.base_year} is not in the data",
            where=f"{key}.base_year",
            remedy=f"{grid.source} has {grid.years[0]} to {grid.years[-1]}",
        )
    factor = _real_factor(deflate, grid, key=key)
    unpriced = np.zeros(factor.shape, dtype=bool)
    for name in concerned:
        unpriced |= ~np.isnan(values[name]) & np.isnan(factor)
        values[name] = values[name] * factor
    return _price_warnings(unpriced, concerned, deflate, moving, grid)


def _real_factor(deflate: Deflation, grid: CityYearGrid, *, key: str) -> Array:
    """Factor ``[n_units, n_years]`` from current to constant prices; raises InputError where it is undefined."""
    level = [grid.column(name, key=key) for name in deflate.price_columns]
    with np.errstate(all="ignore"):
        price = level[0] / level[1] if len(level) == 2 else level[0]
    bad = (price <= 0) | np.isinf(price)
    if bad.any():
        unit, year = np.argwhere(bad)[0]
        raise InputError(
            f"the price level is {price[unit, year]:g} in {grid.units[unit]}, {grid.years[year]}",
            where=f"{key} ({' / '.join(deflate.price_columns)})",
            remedy="a price level is a positive number; mend the cell or leave it empty",
        )
    base = grid.years.index(deflate.base_year)
    if np.isnan(price[:, base]).all():
        raise InputError(
            f"no city has a price level in base year {deflate.base_year}", where=f"{key}.base_year"
        )
    return real_factor(price, base)


def _price_warnings(
    unpriced: Flags, concerned: list[str], deflate: Deflation, moving: list[str], grid: CityYearGrid
) -> list[Note]:
    """City-years unpriced for want of a price, and arithmetic that may have been meant in constant prices."""
    out = []
    if unpriced.any():
        cities = [grid.units[unit] for unit in np.flatnonzero(unpriced.any(axis=1))]
        shown, year = shortened(cities, _SHOWN), deflate.base_year
        out.append(
            Note.of(
                "prices_missing", count=int(unpriced.sum()), total=unpriced.size, base_year=year, cities=shown
            )
        )
    for name in moving:
        current = sorted(grid.canonical_inputs(name) & set(concerned))
        if name not in concerned and current:
            out.append(Note.of("current_prices", column=name, input=current[0]))
    return out


def _fill(
    values: dict[str, Array], rules: Sequence[Filling], moving: list[str], grid: CityYearGrid
) -> dict[str, Flags]:
    """Fill in place, each column by the rule that names it or else by the rule without names; returns what was."""
    rule_of: dict[str, Filling] = {}
    for rule in sorted(rules, key=lambda rule: rule.columns is not None):
        for name in rule.columns or ():
            if not grid.known(name):
                grid.column(name, key=f"{rule.key}.columns")  # raises, with a suggestion
            if name in values and name not in moving:
                raise InputError(
                    f"'{name}' has one value a city, in which no year is missing",
                    where=f"{rule.key}.columns",
                    remedy="take it out of the list",
                )
        rule_of |= dict.fromkeys(moving if rule.columns is None else rule.columns, rule)
    filled = {}
    for name in moving:
        if name in rule_of:
            values[name], filled[name] = fill_gaps(
                values[name], filling=rule_of[name], column=name, units=grid.units, years=grid.years
            )
    return filled


def _cut(
    values: Mapping[str, Array],
    filled: Mapping[str, Flags],
    years: tuple[int, int] | None,
    grid: CityYearGrid,
) -> tuple[dict[str, Array], dict[str, Flags], tuple[int, ...]]:
    """Values, filled masks and years of the sample."""
    first, last = years or (grid.years[0], grid.years[-1])
    if first < grid.years[0] or last > grid.years[-1]:
        raise InputError(
            f"[{first}, {last}] reach outside the data",
            where="years",
            remedy=f"{grid.source} has {grid.years[0]} to {grid.years[-1]}",
        )
    window = slice(first - grid.years[0], last - grid.years[0] + 1)
    return (
        {name: array[:, window] for name, array in values.items()},
        {name: mask[:, window] for name, mask in filled.items()},
        grid.years[window],
    )


def _refuse_undefined(values: Mapping[str, Array], years: tuple[int, ...], grid: CityYearGrid) -> None:
    for name, array in values.items():
        undefined = np.isinf(array)
        if undefined.any():
            unit, year = np.argwhere(undefined)[0]
            text = grid.text(name)
            column = f"'{name}'" if text == name else f"'{name}' ({text})"
            raise InputError(
                f"{column} is infinite or undefined in {grid.units[unit]}, {years[year]} "
                f"({undefined.sum()} of {undefined.size} city-years)",
                where=grid.source,
                remedy="look for a zero divisor, or a logarithm or root of a value that has none; "
                "mend the cells or leave them empty",
            )


def _refuse_incomplete(panel: CityPanel, request: PanelRequest, grid: CityYearGrid) -> None:
    """Raises InputError where a city of the sample lacks a label or a static column, or a logarithm is undefined."""
    for name, key in request.labels.items():
        panel.label(name, key=key, source=f"{grid.source}: column '{grid.text(name)}'")
    static = [name for name in request.static if name not in request.optional]
    _refuse_unknown(panel, static, request.required, grid.source)
    _refuse_nonpositive(panel, request.logged, request.rules)


def _refuse_unknown(
    panel: CityPanel, static: Collection[str], required: Mapping[str, str], source: str
) -> None:
    """Raises InputError where a city of the sample lacks a static column."""
    for name in static:
        if name not in panel.values:
            continue
        unknown = np.flatnonzero(np.isnan(panel.values[name][:, 0]))
        if len(unknown):
            cities = ", ".join(panel.units[unit] for unit in unknown[:_SHOWN])
            dots = ", ..." if len(unknown) > _SHOWN else ""
            raise InputError(
                f"column '{name}' is empty for {cities}{dots} ({len(unknown)} of {panel.n_units} cities)",
                where=f"{required[name]}: {source}",
                remedy=f"give their {name}, or leave the cities out of the table",
            )


def _far_years(panel: CityPanel, year_columns: Collection[str]) -> list[Note]:
    """Years of adoption so far from the sample that they may be mistyped."""
    out = []
    for name in year_columns:
        year = panel.values[name][:, 0] if name in panel.values else np.array([])
        far = (year > panel.years[-1] + _FAR) | (year < panel.years[0] - _FAR)
        if far.any():
            unit = int(np.argmax(far))
            note = Note.of(
                "adoption_far", column=name, city=panel.units[unit], year=int(year[unit]), distance=_FAR,
                count=int(far.sum()),
            )  # fmt: skip
            out.append(note)
    return out


def _refuse_nonpositive(panel: CityPanel, logged: Mapping[str, str], rules: CellRules) -> None:
    """Raises InputError where a value whose logarithm will be taken is zero, negative or infinite."""
    for text, key in logged.items():
        values = panel.evaluate(parse(text))
        with np.errstate(invalid="ignore"):
            bad = (values <= 0) | np.isinf(values)
        if bad.any():
            unit, year = np.argwhere(bad)[0]
            value = float(values[unit, year])
            line = rules.missing_line(text, [value]) if text in panel.values and np.isfinite(value) else ""
            raise TableProblem(
                f"the logarithm of '{text}' is taken, but it is {value:g} in "
                f"{panel.units[unit]}, {panel.years[year]} ({bad.sum()} of {bad.size} city-years)",
                where=key,
                remedy="mend or drop these cities, or use the difference in levels",
                job_line=line and f"{line}  # if that means missing",
            )


def _origin(name: str, values: Array, grid: CityYearGrid) -> ColumnOrigin:
    n_marked = sum(grid.marks[column] for column in grid.file_inputs(name))
    return ColumnOrigin(grid.text(name), float(np.isnan(values).mean()), n_marked)


def _of_sample(labels: tuple[str, ...], stay: Flags) -> tuple[str, ...]:
    return tuple(label for label, stays in zip(labels, stay, strict=True) if stays)


def _frozen(array: _AnyArray) -> _AnyArray:
    """The array, read-only, as the fields of a frozen panel are."""
    array.setflags(write=False)
    return array
