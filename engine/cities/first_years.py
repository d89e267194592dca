"""The year of adoption of each city, out of a status of 0 and 1 by city and year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.arrays import Array, Flags, LongIntegers, check_shape
from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables.problems import Problems

STATUS = "treatment.status"
"""The job key that asks for it."""

_SHOWN = 5


@dataclass(frozen=True)
class Status:
    """A column of 0 before adoption and 1 from then on.

    Attributes
    ----------
    column : str
    values : float64 ``[n_units, n_years]``
        NaN where there is no cell, or an empty one.
    has_row : bool ``[n_units, n_years]``
        The table has a row.
    units : sequence of str
    years : sequence of int
    last_year : int
        Of the sample: who adopts later adopts outside it.
    source : str
        File, for messages.
    """

    column: str
    values: Array
    has_row: Flags
    units: Sequence[str]
    years: Sequence[int]
    last_year: int
    source: str

    def __post_init__(self) -> None:
        check_shape("values", self.values, (len(self.units), len(self.years)))
        check_shape("has_row", self.has_row, self.values.shape)

    def first_years(self) -> tuple[Array, list[Note]]:
        """First year ``[n_units]`` with a 1, NaN where there is none, and notes.

        Raises
        ------
        InputError
            For cells other than 0 and 1, a status that goes back to 0, a city without any status, and an empty cell
            between the last 0 and the first 1, or after the last 0 where there is no 1, which leaves the year open;
            all of them at once.
        """
        problems = Problems(self.source)
        with problems.collect():
            self._refuse_other_values()
        problems.raise_any()  # the other checks read 0 and 1
        for check in (
            self._refuse_none,
            self._refuse_going_back,
            self._refuse_open,
            self._refuse_open_end,
        ):
            with problems.collect():
                check()
        problems.raise_any()
        first = self._first_ones()
        return np.where(first >= 0, np.asarray(self.years)[first], np.nan), [
            *self._may_be_earlier(),
            *self._may_be_later(),
        ]

    def _refuse_other_values(self) -> None:
        bad = ~np.isnan(self.values) & (self.values != 0.0) & (self.values != 1.0)
        if not bad.any():
            return
        unit, year = np.argwhere(bad)[0]
        remedy = "write 0 before adoption and 1 from then on"
        if ((self.values[bad] >= self.years[0]) & (self.values[bad] <= self.years[-1])).any():
            remedy = f"a column with the year of adoption is treatment.adoption: {self.column}"
        raise self._refused(
            f"is {self.values[unit, year]:g} in {self.units[unit]}, {self.years[year]}, which is neither 0 nor 1 "
            f"({bad.sum()} of {bad.size} city-years)",
            remedy,
        )

    def _refuse_none(self) -> None:
        without = np.count_nonzero(~np.isnan(self.values), axis=1) == 0
        if without.any():
            raise self._refused(
                f"is empty in all rows of {self._cities(without)}",
                "write 0 where a city does not adopt, or leave the city out of the table",
            )

    def _refuse_going_back(self) -> None:
        has_adopted = np.maximum.accumulate(self.values == 1.0, axis=1)
        back = has_adopted & (self.values == 0.0)
        goes_back: Flags = back.any(axis=1)
        if goes_back.any():
            unit, year = np.argwhere(back)[0]
            raise self._refused(
                f"of {self.units[unit]} goes back to 0 in {self.years[year]}, after a 1 "
                f"({self._cities(goes_back)})",
                "who has adopted stays treated here: mend the cells, or leave out cities that ended the policy",
            )

    def _refuse_open(self) -> None:
        """An empty cell, or no row, after a 0 and just before the first 1."""
        first, unknown = self._first_ones(), np.isnan(self.values)
        before = np.maximum(first - 1, 0)
        rows = np.arange(len(first))
        has_zero_before = (self.values == 0.0).any(axis=1)
        is_open = (first > 0) & has_zero_before & unknown[rows, before]
        if is_open.any():
            unit = int(np.argmax(is_open))
            raise self._refused(
                f"of {self.units[unit]} is missing in {self.years[before[unit]]}, before the first 1 in "
                f"{self.years[first[unit]]}: the year of adoption is open ({self._cities(is_open)})",
                "write 0 or 1 there, or name the year in a column of treatment.adoption",
            )

    def _refuse_open_end(self) -> None:
        """An empty cell after the last 0 of a city without a 1."""
        after = self._after_last_zero() & self.has_row
        is_open = np.count_nonzero(after, axis=1) > 0
        if is_open.any():
            unit, year = np.argwhere(after)[0]
            raise self._refused(
                f"of {self.units[unit]} is missing in {self.years[year]}, after the last 0 and without a 1: whether "
                f"it adopts is open ({self._cities(is_open)})",
                "write 0 or 1 there, or name the year in a column of treatment.adoption",
            )

    def _may_be_later(self) -> list[Note]:
        """Cities without a 1 whose rows end before the sample: in truth they may have adopted since."""
        after = self._after_last_zero() & ~self.has_row
        ends_early = np.count_nonzero(after, axis=1) > 0
        if not ends_early.any():
            return []
        unit, year = np.argwhere(after)[0]
        return [
            Note.of(
                "adoption_may_be_later", column=self.column, count=int(ends_early.sum()), city=self.units[unit],
                year=int(self.years[year]),
            )
        ]  # fmt: skip

    def _after_last_zero(self) -> Flags:
        """Years of the sample after the last 0 of each city that has a 0 and no 1."""
        is_zero = self.values == 0.0
        n_years = len(self.years)
        last_zero = n_years - 1 - is_zero[:, ::-1].argmax(axis=1)
        is_after = (np.arange(n_years) > last_zero[:, None]) & (np.asarray(self.years) <= self.last_year)
        has_no_year = is_zero.any(axis=1) & (self._first_ones() < 0)
        return np.asarray(is_after & has_no_year[:, None])

    def _may_be_earlier(self) -> list[Note]:
        """Cities whose first cell is a 1: in truth they may have adopted before."""
        first, known = self._first_ones(), ~np.isnan(self.values)
        early = (first >= 0) & (first == known.argmax(axis=1))
        if not early.any():
            return []
        unit = int(np.argmax(early))
        return [
            Note.of(
                "adoption_may_be_earlier", column=self.column, count=int(early.sum()), city=self.units[unit],
                year=int(self.years[first[unit]]),
            )
        ]  # fmt: skip

    def _first_ones(self) -> LongIntegers:
        """Position of the first 1 of each city; -1 where there is none."""
        is_one = self.values == 1.0
        return np.where(is_one.any(axis=1), is_one.argmax(axis=1), -1)

    def _cities(self, chosen: Flags) -> str:
        names = [unit for unit, is_chosen in zip(self.units, chosen, strict=True) if is_chosen]
        return f"{len(names)} of {len(self.units)} cities: {', '.join(shortened(names, _SHOWN))}"

    def _refused(self, problem: str, remedy: str) -> InputError:
        return InputError(f"'{self.column}' {problem}", where=f"{self.source}: {STATUS}", remedy=remedy)
