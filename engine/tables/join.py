"""Columns of further tables put beside a panel, by city, and by year where the table has one."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from engine.arrays import Array, LongIntegers
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables import cell_values as cells
from engine.tables.alike import Rule, near_duplicates
from engine.tables.labels import read_labels
from engine.tables.years import read_years

_SHOWN = 10


def join(
    frame: pd.DataFrame,
    other: pd.DataFrame,
    *,
    source: str,
    city: str,
    year: str,
    missing: float | None,
    merge: Collection[Rule] = (),
) -> pd.DataFrame:
    """The panel with the columns of another table.

    Parameters
    ----------
    frame : DataFrame
        One row a city and year; its index and order stay.
    other : DataFrame
        With a column ``city``, one row a city; with ``year`` too, one row a city and year.
    source : str
        Of the other table, for messages.
    city, year : str
        The panel's columns of cities and years, by name.
    missing : float, optional
        Value where the other table has no row; default: missing.
    merge : collection of str
        Rules by which names of cities that are nearly alike are one.

    Raises
    ------
    InputError
        No column ``city``, a column that the panel has already, rows given twice, or no city in common.
    """
    if "city" not in other:
        raise InputError("a table that is joined needs a column 'city'", where=source, remedy="rename it")
    other = other.dropna(how="all")
    columns = [name for name in other.columns if name not in ("city", "year")]
    taken = [name for name in columns if name in frame]
    if taken:
        raise InputError(
            f"the panel already has a column '{taken[0]}'", where=source, remedy="rename one of the two"
        )
    for name in (city, year):
        if name not in frame:
            raise InputError(f"the panel has no column '{name}' to join by", where="panel.join")
    read_labels([frame[city]], source="panel.source")  # so that its faults are not laid at the other table
    labels = read_labels([frame[city], other["city"]], source=source, merge=merge)
    _refuse_nameless(other, labels.codes[1], source)
    named = np.array([*labels.names, ""], dtype=object)  # code -1 reads the last entry
    mine, keys = ([pd.Index(named[codes])] for codes in labels.codes)
    if "year" in other:
        keys.append(pd.Index(cells.years(other["year"], source=source)))
        mine.append(pd.Index(_readable_years(frame[year])))
    index = pd.MultiIndex.from_arrays(keys)
    if index.duplicated().any():
        row = int(np.argmax(index.duplicated()))
        raise InputError(
            f"{', '.join(map(str, index[row]))} is given twice",
            where=f"{source}: row {other.index[row] + cells.FIRST_ROW}",
            remedy="keep one row a city" + (" and year" if "year" in other else ""),
        )
    place = index.get_indexer(pd.MultiIndex.from_arrays(mine))
    if not (place >= 0).any():
        raise InputError(
            f"no row of the panel is in it: its first city is '{keys[0][0]}', the panel's '{mine[0][0]}'",
            where=source,
            remedy="spell the cities alike in both"
            + (", and have years in common" if "year" in other else ""),
        )
    found = other[columns].iloc[np.maximum(place, 0)].set_axis(frame.index)
    absent = place < 0
    for name in columns:
        if pd.api.types.is_numeric_dtype(found[name]):
            found[name] = found[name].astype(float).where(~absent, np.nan if missing is None else missing)
        else:
            found[name] = found[name].astype(object).where(~absent, missing)
    return pd.concat([frame, found], axis=1)


def join_notes(
    frame: pd.DataFrame,
    other: pd.DataFrame,
    *,
    source: str,
    city: str,
    last: int,
    merge: Collection[Rule] = (),
) -> list[Note]:
    """Notes of cities and years of another table that find no place in the panel.

    Parameters
    ----------
    frame, other, source, city, merge
        As in `join`.
    last : int
        Last year of the sample, which a table by year may not reach.
    """
    labels = read_labels([frame[city], other["city"]], source=source, merge=merge)
    panel_codes, codes = (set(codes[codes >= 0].tolist()) for codes in labels.codes)
    units = [labels.names[code] for code in sorted(codes)]
    strangers = [labels.names[code] for code in sorted(codes - panel_codes)]
    notes = _near_misses(strangers, [labels.names[code] for code in panel_codes], source)
    if strangers:
        cities, count = shortened(strangers, _SHOWN), len(strangers)
        note = Note.of("cities_not_in_panel", source=source, count=count, total=len(units), cities=cities)
        notes.append(note)
    if "year" in other:
        end = int(cells.years(other["year"], source=source).max())
        if end < last:
            notes.append(Note.of("table_ends_early", source=source, end=end, last=last))
    return notes


def _refuse_nameless(other: pd.DataFrame, codes: LongIntegers, source: str) -> None:
    nameless = np.flatnonzero(codes < 0)
    if len(nameless):
        raise InputError(
            f"a row has no city ({len(nameless)} in all)",
            where=f"{source}: row {other.index[nameless[0]] + cells.FIRST_ROW}",
            remedy="fill merged cells, and remove notes and totals around the table",
        )


def _near_misses(strangers: Sequence[str], panel: Sequence[str], source: str) -> list[Note]:
    """Cities of the other table that the panel spells nearly alike, which is why they find no place."""
    lost, there = set(strangers), set(panel)
    groups = [
        group
        for group in near_duplicates({*lost, *there})
        if lost & set(group.names) and there & set(group.names)
    ]
    if not groups:
        return []
    spelled = shortened([" = ".join(group.names) for group in groups], _SHOWN)
    rules = list(dict.fromkeys(rule for group in groups for rule in group.rules))
    return [Note.of("cities_nearly_joined", source=source, groups=spelled, rules=rules)]


def _readable_years(column: pd.Series) -> Array:
    """Years of the panel, NaN where a cell has none; what is wrong with them is told when the panel is read."""
    try:
        return read_years(column, source="", optional=True)[0]
    except InputError:
        return np.asarray(pd.to_numeric(column, errors="coerce"), dtype=np.float64)
