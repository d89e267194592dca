"""Which cities have enough data to stay in the sample, and why the others leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np

from engine.arrays import Flags
from engine.cities.split_cities import merge_line
from engine.cities.validation import DroppedCity
from engine.errors import InputError
from engine.tables.near_duplicates import NearDuplicates
from engine.tables.problems import TableProblem

_FEWEST_CITIES = 3
_FEWER_GAPS = "use panel.fill or panel.balance: keep, other years, or leave the column out"


def balance_cities(
    missing: Mapping[str, Flags],
    *,
    units: Sequence[str],
    years: Sequence[int],
    balance: Literal["drop", "keep"],
    spellings: Mapping[str, NearDuplicates],
    source: str,
) -> tuple[tuple[DroppedCity, ...], Flags]:
    """Cities that leave and why, and the mask ``[n_units]`` of those that stay.

    Parameters
    ----------
    missing : mapping of str to bool ``[n_units, n_years]``
        Where each column that varies over time is missing in the sample years.
    units, years
        Cities of the file and years of the sample.
    balance : {'drop', 'keep'}
        Cities leave with any missing value, or only without a single value.
    spellings : mapping of str to NearDuplicates
        Further spellings of a city that have its other years, as `engine.cities.split_cities` finds them.
    source : str
        File, for messages.

    Raises
    ------
    InputError
        For a column without any value, and where fewer than three cities are left: it names the column that
        costs most.
    """
    for name, mask in missing.items():
        if mask.all():
            raise InputError(
                f"column '{name}' has no values in {years[0]} to {years[-1]}",
                where=source,
                remedy="choose other years or another column",
            )
    incomplete: dict[str, Flags] = {name: np.asarray(mask.any(axis=1)) for name, mask in missing.items()}
    leave = np.zeros(len(units), dtype=bool)
    if balance == "drop":
        leave[:] = np.any([leave, *incomplete.values()], axis=0)
    elif missing:
        leave[:] = np.all([mask.all(axis=1) for mask in missing.values()], axis=0)
    dropped = []
    for unit in map(int, np.flatnonzero(leave)):
        columns = [name for name, cities in incomplete.items() if cities[unit]]
        gap = tuple(years[int(year)] for year in np.flatnonzero(missing[columns[0]][unit]))
        spelled = spellings.get(units[unit])
        dropped.append(DroppedCity(units[unit], columns[0], gap, len(columns) - 1, spelled))
    if len(units) - len(dropped) < _FEWEST_CITIES:
        raise _too_few(missing if balance == "drop" else {}, dropped, units=units, years=years, source=source)
    return tuple(dropped), ~leave


def _too_few(
    missing: Mapping[str, Flags],
    dropped: Sequence[DroppedCity],
    *,
    units: Sequence[str],
    years: Sequence[int],
    source: str,
) -> InputError:
    """An error for a sample that is too small; it names the column, and its year, that cost most cities."""
    n_left = len(units) - len(dropped)
    remaining = f"{n_left} of {len(units)} cities are left" if n_left else "no city is left"
    problem = f"{remaining}, at least {_FEWEST_CITIES} are needed"
    costs = {name: int(mask.any(axis=1).sum()) for name, mask in missing.items()}
    if not any(costs.values()):
        return InputError(problem, where=source, remedy="give data of more cities")
    worst = max(costs, key=lambda name: costs[name])
    of_year = missing[worst].sum(axis=0)
    year = int(np.argmax(of_year))
    problem = (
        f"{problem}; column '{worst}' costs most: {costs[worst]} cities miss a year of it, "
        f"{of_year[year]} of them {years[year]}"
    )
    spelled = [(city.city, city.spellings) for city in dropped if city.spellings]
    if not spelled:
        return InputError(problem, where=source, remedy=_FEWER_GAPS)
    name, further = spelled[0]
    return TableProblem(
        f"{problem}; '{name}' has no row in years of '{further.names[0]}', which is spelled nearly alike",
        where=source,
        remedy=f"spell each city alike in all of its rows; or {_FEWER_GAPS}",
        job_line=f"{merge_line(group for _, group in spelled)}  # if these spellings are of one city",
    )
