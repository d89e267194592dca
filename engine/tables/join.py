"""Columns of further tables put beside a panel, by city, and by year where the table has one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from engine.arrays import LongIntegers
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables import cell_values as cells
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.fill_down import with_columns_to_fill
from engine.tables.labels import read_labels
from engine.tables.near_duplicates import MergeRule, near_duplicates
from engine.tables.problems import FIRST_ROW, TableProblem
from engine.tables.years import read_years, readable_years

_KEYS = ("city", "year")
_SHOWN = 10


def join(
    frame: pd.DataFrame,
    table: pd.DataFrame,
    *,
    source: str,
    keys: tuple[str, str],
    missing: float | None,
    merge: Collection[MergeRule] = (),
    rules: CellRules = NO_RULES,
) -> pd.DataFrame:
    """The panel with the columns of another table.

    Parameters
    ----------
    frame : DataFrame
        One row a city and year; its index and order stay.
    table : DataFrame
        With a column ``city``, one row a city; with ``year`` too, one row a city and year.
    source : str
        Of the table, for messages.
    keys : (str, str)
        The panel's columns of cities and years, by name.
    missing : float, optional
        Value where the table has no row; default: missing.
    merge : collection of str
        Rules by which names of cities that are nearly alike are one.
    rules : CellRules
        How the cells of the table are read.

    Raises
    ------
    InputError
        No column ``city``, a column that the panel has already, rows given twice, or no city in common.
    """
    city, year = keys
    _refuse_columns(frame, table, source=source, city=city, year=year)
    table = table.dropna(how="all")
    rules = with_columns_to_fill(rules, table, [name for name in _KEYS if name in table])
    panel_cities, cities = _city_names(frame[city], table, source=source, merge=merge, rules=rules)
    panel_keys, table_keys = [panel_cities], [cities]
    if "year" in table:
        table_keys.append(pd.Index(read_years(table["year"], source=source, rules=rules)[0].astype(np.int64)))
        panel_keys.append(pd.Index(readable_years(frame[year])))
    rows = _matching_rows(panel_keys, table_keys, table, source=source)
    names = [name for name in table.columns if name not in _KEYS]
    columns = table[names].iloc[np.maximum(rows, 0)].set_axis(frame.index)
    matched = rows >= 0
    for name in names:
        if pd.api.types.is_numeric_dtype(columns[name]):
            columns[name] = columns[name].astype(float).where(matched, np.nan if missing is None else missing)
        else:
            columns[name] = columns[name].astype(object).where(matched, missing)
    return pd.concat([frame, columns], axis=1)


def _refuse_columns(frame: pd.DataFrame, table: pd.DataFrame, *, source: str, city: str, year: str) -> None:
    """Raises InputError where the columns of panel and table cannot stand side by side."""
    if "city" not in table:
        raise InputError("a table that is joined needs a column 'city'", where=source, remedy="rename it")
    duplicates = [name for name in table.columns if name not in _KEYS and name in frame]
    if duplicates:
        raise InputError(
            f"the panel already has a column '{duplicates[0]}'", where=source, remedy="rename one of the two"
        )
    for name in (city, year):
        if name not in frame:
            raise InputError(f"the panel has no column '{name}' to join by", where="panel.join")


def _city_names(
    panel_cities: pd.Series,
    table: pd.DataFrame,
    *,
    source: str,
    merge: Collection[MergeRule],
    rules: CellRules,
) -> tuple[pd.Index, pd.Index]:
    """Normalised and merged city of every row of the panel, "" where it has none, and of every row of the table."""
    read_labels([panel_cities], source="panel.source")  # so that its errors do not name the table
    labels = read_labels([panel_cities, table["city"]], source=source, merge=merge)
    panel_codes, codes = labels.codes
    _refuse_nameless(table, codes, source, rules)
    names = np.array([*labels.names, ""], dtype=object)  # code -1 reads the last entry
    return pd.Index(names[panel_codes]), pd.Index(names[codes])


def _matching_rows(
    panel_keys: Sequence[pd.Index], keys: Sequence[pd.Index], table: pd.DataFrame, *, source: str
) -> LongIntegers:
    """Position in the table of every row of the panel ``[n_rows]``, -1 where the table has no row for it."""
    by_year = len(keys) > 1
    index = pd.MultiIndex.from_arrays(keys)
    if index.duplicated().any():
        row = int(np.argmax(index.duplicated()))
        raise InputError(
            f"{', '.join(map(str, index[row]))} is given twice",
            where=f"{source}: row {table.index[row] + FIRST_ROW}",
            remedy="keep one row a city" + (" and year" if by_year else ""),
        )
    rows = index.get_indexer(pd.MultiIndex.from_arrays(panel_keys))
    if not (rows >= 0).any():
        raise InputError(
            f"no row of the panel is in it: its first city is '{keys[0][0]}', the panel's '{panel_keys[0][0]}'",
            where=source,
            remedy="spell the cities alike in both" + (", and have years in common" if by_year else ""),
        )
    return rows.astype(np.int64)


def join_notes(
    frame: pd.DataFrame,
    table: pd.DataFrame,
    *,
    source: str,
    city: str,
    last: int,
    merge: Collection[MergeRule] = (),
) -> list[Note]:
    """Notes on the rows of another table that find no place in the panel.

    Parameters
    ----------
    frame, table, source, city, merge
        As in `join`.
    last : int
        Last year of the sample, which a table by year may not reach.
    """
    labels = read_labels([frame[city], table["city"]], source=source, merge=merge)
    panel_codes, codes = (set(codes[codes >= 0].tolist()) for codes in labels.codes)
    units = [labels.names[code] for code in sorted(codes)]
    strangers = [labels.names[code] for code in sorted(codes - panel_codes)]
    notes = _near_misses(strangers, [labels.names[code] for code in panel_codes], source)
    if strangers:
        cities, count = shortened(strangers, _SHOWN), len(strangers)
        note = Note.of("cities_not_in_panel", source=source, count=count, total=len(units), cities=cities)
        notes.append(note)
    if "year" in table:
        end = int(cells.years(table["year"], source=source).max())
        if end < last:
            notes.append(Note.of("table_ends_early", source=source, end=end, last=last))
    return notes


def _refuse_nameless(table: pd.DataFrame, codes: LongIntegers, source: str, rules: CellRules) -> None:
    numbers = (table.index[codes < 0] + FIRST_ROW).tolist()
    if numbers:
        raise TableProblem(
            f"a row has no city ({len(numbers)} in all)",
            where=f"{source}: row {numbers[0]}",
            remedy="fill merged cells, and remove notes and totals around the table",
            job_line=rules.no_data_line("city", numbers),
        )


def _near_misses(strangers: Sequence[str], panel: Sequence[str], source: str) -> list[Note]:
    """A note on cities of the table that the panel spells nearly alike, which is why they find no place."""
    groups = [
        group
        for group in near_duplicates({*strangers, *panel})
        if set(strangers) & set(group.names) and set(panel) & set(group.names)
    ]
    if not groups:
        return []
    spelled = shortened([" = ".join(group.names) for group in groups], _SHOWN)
    rules = list(dict.fromkeys(rule for group in groups for rule in group.merge_rules))
    return [Note.of("cities_nearly_joined", source=source, groups=spelled, rules=rules)]
