"""Years out of the cells of a column: whole numbers, ``2008年``, or dates where every cell is one."""

from __future__ import annotations

import datetime
import re
from collections.abc import Collection, Iterator, Sequence
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from engine.arrays import AnyArray, Array, Flags, LongIntegers
from engine.errors import InputError
from engine.notes import Note
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.missing import Code, half_width, numeric_codes, says_missing, text_codes
from engine.tables.problems import FIRST_ROW, Problems, TableProblem, cell_excerpt, other_rows, row_place

FIRST_YEAR, LAST_YEAR = 1500, 2500
_YEAR = re.compile(r"([+-]?[0-9]+)(?:[.,]0*)?\s*(年度?|年末|년)?")
_DATES = (
    re.compile(r"(?P<year>[0-9]{4})[-/.](?P<month>[0-9]{1,2})(?:[-/.](?P<day>[0-9]{1,2}))?(?P<time>[T ].*)?"),
    re.compile(r"(?P<year>[0-9]{4})年(?P<month>[0-9]{1,2})月(?:(?P<day>[0-9]{1,2})[日号])?(?P<time>)"),
    re.compile(r"(?P<day>[0-9]{1,2})[-/.](?P<month>[0-9]{1,2})[-/.](?P<year>[0-9]{4})(?P<time>)"),
)
_TIME = re.compile(r"[T ][0-9]{1,2}(:[0-9]{2}){1,2}(\.[0-9]+)?\s*(Z|[+-][0-9]{2}:?[0-9]{2})?")
_UTC_RANGE = (datetime.timedelta(hours=-12), datetime.timedelta(hours=14))


def read_years(
    column: pd.Series,
    *,
    source: str,
    owners: Sequence[str] | None = None,
    optional: bool = False,
    missing: Collection[Code] = (),
    rules: CellRules = NO_RULES,
) -> tuple[Array, list[Note]]:
    """Whole years ``[n_rows]`` as float64, and notes of how cells were read.

    Parameters
    ----------
    column : Series
        Numbers, text or dates; its index is the number of the row, from 0 below the header.
    source : str
        File, for messages.
    owners : sequence of str, optional
        Whose row it is (the city), for messages.
    optional : bool
        Missing cells are NaN; else they are refused.
    missing : collection of number or str
        Codes of this column that mean "missing".
    rules : CellRules
        What the job states of the table: which of its keys mend what is wrong.

    Raises
    ------
    InputError
        For a cell that is no year between 1500 and 2500, a date among plain years, and a moment whose year
        depends on the time zone. All in one error.
    """
    codes, raw = _distinct(column)
    read = [_read(value, missing) for value in raw]
    years = np.array([year for year, _ in read] + [np.nan])[codes]
    kinds = np.array([kind for _, kind in read] + ["missing"], dtype=object)[codes]
    problems = Problems(source)
    texts = [*map(cell_excerpt, raw), ""]
    in_unit_row = np.zeros(len(column), dtype=bool)
    if optional and rules.unit_row is not None:
        in_unit_row = column.index.to_numpy() + FIRST_ROW == rules.unit_row
    for problem, bad, remedy in _refusals(kinds, in_unit_row, optional):
        positions = np.flatnonzero(bad).tolist()
        if positions:
            first = positions[0]
            owner = f" ({owners[first]})" if owners is not None else ""
            text = problem.format(f"'{texts[codes[first]]}'") + owner + other_rows(column, positions)
            place = row_place(source, column, first)
            values = [] if kinds[first] != "wrong" else [texts[codes[position]] for position in positions]
            is_code = optional and values and not in_unit_row[first]
            codes_of_missing, empty = [*missing, *values] if is_code else [], kinds[first] == "missing"
            line = _job_line(rules, column, positions, codes_of_missing, empty=empty)
            problems.add(TableProblem(text, where=place, remedy=remedy, job_line=line))
    problems.raise_any()
    return years, _notes(column, kinds, years, texts, codes, source)


def _refusals(kinds: AnyArray, in_unit_row: Flags, optional: bool) -> Iterator[tuple[str, Flags, str]]:
    """Problems of cells, each with the mask of its cells and the remedy; that of a row of units is one by itself."""
    for of_row in (in_unit_row, ~in_unit_row):
        yield "{} is not a year", (kinds == "wrong") & of_row, _remedy(optional)
    yield "a year is missing", (kinds == "missing") & (not optional), "give every row its year"
    yield (
        "{} falls into one year here and another in other time zones",
        kinds == "zoned",
        "write the year alone",
    )
    yield (
        "{} is a date, other cells are plain years",
        (kinds == "date") & bool((kinds == "year").any()),
        "write years alone, or dates alone, in the whole column",
    )


def _job_line(
    rules: CellRules, column: pd.Series, positions: Sequence[int], missing: Sequence[object], *, empty: bool
) -> str:
    """The line that declares values to be missing, fills empty cells down, or else passes over the rows."""
    if missing:
        line = rules.missing_line(str(column.name), missing)
        return line and f"{line}  # if that means missing"
    return rules.no_data_line(
        str(column.name) if empty else "",
        [int(column.index[position]) + FIRST_ROW for position in positions],
    )


def readable_years(column: pd.Series) -> Array:
    """Years ``[n_rows]`` of the cells that are years, NaN elsewhere."""
    codes, raw = _distinct(column)
    return np.array([_read(value, ())[0] for value in raw] + [np.nan])[codes]


def check_years(values: Array, *, owners: Sequence[str], column: str, key: str) -> None:
    """Raises InputError for a computed value ``[n_owners]`` that is no year, and names its owner; NaN is no value."""
    bad = ~np.isnan(values) & ~_plausible(values)
    if bad.any():
        first = int(np.argmax(bad))
        tail = f" ({bad.sum()} in all)" if bad.sum() > 1 else ""
        raise InputError(
            f"'{column}' of {owners[first]} is {values[first]:g}, which is not a year{tail}",
            where=key,
            remedy=_remedy(optional=True),
        )


def _remedy(optional: bool) -> str:
    whole = f"write a whole number between {FIRST_YEAR} and {LAST_YEAR}"
    return f"{whole}, or leave the cell empty where there is none (never adopts)" if optional else whole


def _plausible(values: Array) -> Flags:
    return (values == np.floor(values)) & (values >= FIRST_YEAR) & (values <= LAST_YEAR)


def _year_or_wrong(value: float, kind: str) -> tuple[float, str]:
    return (value, kind) if _plausible(np.asarray(value)) else (np.nan, "wrong")


def _distinct(column: pd.Series) -> tuple[LongIntegers, list[object]]:
    try:
        codes, raw = pd.factorize(column)
    except TypeError:  # a list, say, which is refused as no year
        return np.arange(len(column)), list(column.to_numpy(dtype=object))
    return codes, list(raw)


def _read(cell: object, missing: Collection[Code]) -> tuple[float, str]:
    """Year and kind of a cell: ``year``, ``date``, ``zoned``, ``missing`` or ``wrong``."""
    if isinstance(cell, str):
        return _read_text(half_width(cell).strip(), missing)
    if isinstance(cell, pd.Period):
        return float(cell.year), "year" if cell.freqstr.startswith(("Y", "A")) else "date"
    if isinstance(cell, datetime.date | np.datetime64):
        return _read_date(cell)
    if isinstance(cell, Real | Decimal) and not isinstance(cell, bool | np.bool_):
        value = float(cell) if abs(cell) < 1e300 else np.inf  # type: ignore[operator]
        if np.isnan(value) or value in numeric_codes(missing):
            return np.nan, "missing"
        return _year_or_wrong(value, "year")
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return np.nan, "missing"
    return np.nan, "missing" if str(cell) in text_codes(missing) else "wrong"


def _read_text(text: str, missing: Collection[Code]) -> tuple[float, str]:
    if says_missing(text) or text in text_codes(missing):
        return np.nan, "missing"
    if match := _YEAR.fullmatch(text):
        kind = "suffixed" if match[2] else "year"
        value = float(match[1]) if len(match[1]) < 20 else np.inf
        if value in numeric_codes(missing):
            return np.nan, "missing"
        return _year_or_wrong(value, kind)
    for pattern in _DATES:
        if match := pattern.fullmatch(text):
            time = match["time"]
            if not _is_date(match) or (time and not _TIME.fullmatch(time)):
                return np.nan, "wrong"
            if time and re.search(r"Z$|[+-][0-9]{2}:?[0-9]{2}$", time):
                return _read_date(pd.Timestamp(text))
            return float(match["year"]), "date"
    return np.nan, "wrong"


def _is_date(match: re.Match[str]) -> bool:
    year, month, day = int(match["year"]), int(match["month"]), int(match["day"] or 1)
    if max(month, day) > 12 >= min(month, day) and match.string.startswith(match["day"] or "-"):
        month, day = min(month, day), max(month, day)  # 12/31/2008 beside 31/12/2008: the year is the same
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return FIRST_YEAR <= year <= LAST_YEAR


def _read_date(cell: datetime.date | np.datetime64) -> tuple[float, str]:
    moment = cell if isinstance(cell, datetime.date) else pd.Timestamp(cell)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        return np.nan, "wrong"
    if isinstance(moment, datetime.datetime) and moment.tzinfo and (moment.hour, moment.minute) != (0, 0):
        universal = moment.astimezone(datetime.UTC)
        if len({(universal + shift).year for shift in _UTC_RANGE}) > 1:
            return np.nan, "zoned"
    return float(moment.year), "date"


def _notes(
    column: pd.Series, kinds: AnyArray, years: Array, texts: Sequence[str], codes: LongIntegers, source: str
) -> list[Note]:
    notes, name = [], str(column.name)
    suffixed = np.flatnonzero(kinds == "suffixed")
    if len(suffixed):
        first, kind = int(suffixed[0]), Note("words_for_year")
        text, value = texts[codes[first]], str(int(years[first]))
        count = len(suffixed)
        notes.append(
            Note.of(
                "numbers_read", source=source, column=name, count=count, kind=kind, text=text, value=value
            )
        )
    dates = np.flatnonzero(kinds == "date")
    if len(dates):
        first = int(dates[0])
        year, date = int(years[first]), texts[codes[first]]
        notes.append(Note.of("dates_read", source=source, column=name, date=date, year=year))
    return notes
