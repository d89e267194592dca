"""Which cities are linked, from a table of links: a row each, or a square matrix.

Links have no direction: one that is written either way, or both ways, is one. One of a city with itself says nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.fill_down import with_columns_to_fill
from engine.tables.labels import read_labels
from engine.tables.near_duplicates import MergeRule
from engine.tables.number_columns import read_numbers
from engine.tables.problems import FIRST_ROW, TableProblem, other_rows, row_place

if TYPE_CHECKING:  # a finished run that is found needs no scipy
    from scipy import sparse

_SHOWN = 10


@dataclass(frozen=True)
class LinkColumns:
    """Where a table says which cities are linked.

    Attributes
    ----------
    unit_i, unit_j : str or None
        Columns with the two cities of a row; None where the table is a square matrix, its cities the first column and
        the headers of the others.
    strength : str or None
        Column with how strong the link of a row is; None where every row is a link.
    at_least : float or None
        The least strength that is a link; None where strengths are 0 and 1.
    """

    unit_i: str | None = None
    unit_j: str | None = None
    strength: str | None = None
    at_least: float | None = None


@dataclass(frozen=True)
class CityLinks:
    """Links of the cities of a panel.

    Attributes
    ----------
    matrix : sparse bool ``[n_names, n_names]``
        The panel's cities first, then those that the table alone has: ways lead through them too.
    names : tuple of str
        Cities of the table, merged as the panel's are.
    notes : tuple of Note
        How many links there are, and cities that have none.
    """

    matrix: sparse.csr_matrix
    n_units: int
    names: tuple[str, ...]
    notes: tuple[Note, ...]

    def ways(self, most: int) -> Array:
        """Links of the shortest way between two cities ``[n_units, n_units]``, infinite beyond ``most``."""
        from scipy.sparse import csgraph

        lengths = csgraph.dijkstra(
            self.matrix, directed=False, indices=np.arange(self.n_units), unweighted=True, limit=float(most)
        )
        return np.asarray(lengths[:, : self.n_units])


def read_links(
    frame: pd.DataFrame,
    units: Sequence[str],
    columns: LinkColumns,
    *,
    source: str,
    merge: Collection[MergeRule] = (),
    rules: CellRules = NO_RULES,
) -> CityLinks:
    """The links of a panel's cities.

    Parameters
    ----------
    frame : DataFrame
        As read; its index is the number of the row below the header, from 0.
    units : sequence of str
        Cities of the panel.
    columns : LinkColumns
    source : str
        Of the frame, for messages.
    merge : collection of str
        Rules by which names of cities that are nearly alike are one.
    rules : CellRules
        What the job states of the cells.

    Raises
    ------
    InputError
        For columns that are not there, rows without a city, strengths that are missing, negative, or other than 0 and 1
        where no least one is stated, a matrix whose rows and columns are not the same cities, and where no two cities
        of the panel are linked.
    """
    from scipy import sparse

    frame = frame.dropna(how="all")
    read = _matrix_links if columns.unit_i is None else _row_links
    first, second = read(frame, columns, source, rules)
    labels = read_labels([pd.Series(list(units)), first, second], source=source, merge=merge)
    of_units, *ends = labels.codes
    n_units, strangers = len(units), sorted(set(np.concatenate(ends).tolist()) - set(of_units.tolist()))
    place = dict(zip([*of_units.tolist(), *strangers], range(n_units + len(strangers)), strict=True))
    i, j = (np.array([place[code] for code in codes.tolist()], dtype=np.int64) for codes in ends)
    apart = i != j
    one_way = sparse.csr_matrix(
        (np.ones(int(apart.sum()), dtype=bool), (i[apart], j[apart])), shape=(len(place), len(place))
    )
    matrix = sparse.csr_matrix(one_way + one_way.T)
    names = tuple(labels.names[code] for code in sorted(set(np.concatenate(ends).tolist())))
    return CityLinks(matrix, n_units, names, _notes(matrix, units, source))


def _row_links(
    frame: pd.DataFrame, columns: LinkColumns, source: str, rules: CellRules
) -> tuple[pd.Series, pd.Series]:
    """The two cities of every link of a table that has a row for each."""
    read = [name for name in (columns.unit_i, columns.unit_j, columns.strength) if name is not None]
    absent = [name for name in read if name not in frame]
    if absent:
        raise InputError(
            f"there is no column '{absent[0]}'; the columns are {', '.join(map(str, frame.columns))}",
            where=source,
            remedy="name the columns of the two cities in panel.links.unit_i and unit_j",
        )
    ends = frame[columns.unit_i], frame[columns.unit_j]
    keys = [name for name in (columns.unit_i, columns.unit_j) if name is not None]
    for column in ends:
        nameless = np.flatnonzero(read_labels([column], source=source).codes[0] < 0)
        if len(nameless):
            numbers = [int(column.index[place]) + FIRST_ROW for place in nameless.tolist()]
            raise TableProblem(
                "the row has no city" + other_rows(column, nameless.tolist()),
                where=row_place(source, column, int(nameless[0])),
                remedy="name two cities in every row, or take the row out",
                job_line=with_columns_to_fill(rules, frame, keys).no_data_line(str(column.name), numbers),
            )
    if columns.strength is None:
        return ends
    linked = _is_link(frame[columns.strength], columns, source, rules)
    return ends[0][linked], ends[1][linked]


def _matrix_links(
    frame: pd.DataFrame, columns: LinkColumns, source: str, rules: CellRules
) -> tuple[pd.Series, pd.Series]:
    """The two cities of every link of a square matrix."""
    rows, headers = frame.iloc[:, 0], pd.Series(frame.columns[1:].astype(str), name="header")
    labels = read_labels([rows, headers], source=source)
    of_rows, of_columns = labels.codes
    unmatched = sorted(set(of_rows.tolist()) ^ set(of_columns.tolist()))
    if unmatched or len(of_rows) != len(set(of_rows.tolist())) or len(of_columns) != len(of_rows):
        names = [labels.names[code] for code in unmatched if code >= 0]
        raise InputError(
            f"the cities of its {len(of_rows)} rows and of its {len(of_columns)} further columns are not the same, "
            f"each once" + (f": {', '.join(shortened(names, _SHOWN))}" if names else ""),
            where=source,
            remedy="give a square matrix, its first column and its headers the cities; or, where the table has a row "
            "for each link, name the columns of the two cities in panel.links.unit_i and unit_j",
        )
    first, second = [], []
    for position, name in enumerate(frame.columns[1:]):
        of_pair = of_rows != of_columns[position]  # what a matrix says of a city with itself is never read
        linked = _is_link(frame[name][of_pair], columns, source, rules)
        first += rows[of_pair][linked].tolist()
        second += [name] * int(linked.sum())
    return pd.Series(first, dtype=object), pd.Series(second, dtype=object)


def _is_link(strengths: pd.Series, columns: LinkColumns, source: str, rules: CellRules) -> Flags:
    """Rows whose strength is that of a link."""
    values = read_numbers(strengths, source=source, rules=rules).values
    least = columns.at_least
    if least is None:
        wrong = ~np.isin(values, (0.0, 1.0))
        problem = "is neither 0 nor 1"
        remedy = (
            "write 1 for a link and 0 for none, or state the least strength of a link in panel.links.at_least"
        )
    else:
        wrong, problem, remedy = ~(values >= 0), "is no strength", "write numbers from 0 on"
    if wrong.any():
        at = np.flatnonzero(wrong)
        value = values[at[0]]
        fault = "a strength is missing" if np.isnan(value) else f"{value:g} {problem}"
        raise InputError(
            fault + other_rows(strengths, at.tolist()),
            where=row_place(source, strengths, int(at[0])),
            remedy="write 0 where there is no link" if np.isnan(value) else remedy,
        )
    return np.asarray(values >= (1.0 if least is None else least))


def _notes(matrix: sparse.csr_matrix, units: Sequence[str], source: str) -> tuple[Note, ...]:
    """How many links the panel's cities have; raises InputError where they have none."""
    n_units = len(units)
    within = matrix[:n_units, :n_units]
    n_links = within.nnz // 2
    if not n_links:
        raise InputError(
            f"no two cities of the panel are linked: its first is '{units[0]}'",
            where=source,
            remedy="spell the cities as in the panel",
        )
    notes = [Note.of("links_read", source=source, count=n_links, cities=n_units)]
    alone = [units[int(at)] for at in np.flatnonzero(np.diff(matrix.indptr)[:n_units] == 0)]
    if alone:
        notes.append(
            Note.of("cities_without_links", source=source, count=len(alone), cities=shortened(alone, _SHOWN))
        )
    return tuple(notes)
