"""Columns of further tables put beside a panel, by city, and by year where the table has one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.tables import cells

_SHOWN = 10


def join(
    frame: pd.DataFrame, other: pd.DataFrame, *, source: str, city: str, year: str, missing: float | None
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
        Columns of the panel.
    missing : float, optional
        Value where the other table has no row; default: missing.

    Raises
    ------
    InputError
        No column ``city``, a column that the panel has already, rows given twice, or no city in common.
    """
    if "city" not in other:
        raise InputError("a table that is joined needs a column 'city'", where=source, remedy="rename it")
    columns = [name for name in other.columns if name not in ("city", "year")]
    taken = [name for name in columns if name in frame]
    if taken:
        raise InputError(
            f"the panel already has a column '{taken[0]}'", where=source, remedy="rename one of the two"
        )
    for name in (city, year):
        if name not in frame:
            raise InputError(f"the panel has no column '{name}' to join by", where="panel.join")
    keys = [_names(other["city"])]
    mine = [_names(frame[city])]
    if "year" in other:
        keys.append(pd.Index(cells.years(other["year"], source=source)))
        mine.append(pd.Index(pd.to_numeric(frame[year], errors="coerce")))
    index = pd.MultiIndex.from_arrays(keys)
    if index.duplicated().any():
        row = int(np.argmax(index.duplicated()))
        raise InputError(
            f"{', '.join(map(str, index[row]))} is given twice",
            where=f"{source}: row {row + cells.FIRST_ROW}",
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


def join_notes(frame: pd.DataFrame, other: pd.DataFrame, *, source: str, city: str, last: int) -> list[str]:
    """What of another table finds no place in the panel, in words.

    Parameters
    ----------
    frame, other, source, city
        As in `join`.
    last : int
        Last year of the sample, which a table by year may not reach.
    """
    units = cells.names(other["city"])[1]
    strangers = sorted(set(units) - set(cells.names(frame[city])[1]))
    notes = []
    if strangers:
        shown = ", ".join(strangers[:_SHOWN]) + (", ..." if len(strangers) > _SHOWN else "")
        notes.append(f"{source}: {len(strangers)} of its {len(units)} cities are not in the panel: {shown}")
    if "year" in other:
        end = int(cells.years(other["year"], source=source).max())
        if end < last:
            notes.append(f"{source} ends in {end}, the sample in {last}: the years between have no row of it")
    return notes


def _names(column: pd.Series) -> pd.Index:
    codes, units = cells.names(column)
    return pd.Index(np.array([*units, ""], dtype=object)[codes])
