"""Columns of numbers: one decimal sign for all cells of a column, stated or shown by them, never guessed.

Cells that no column mixes are read: plain numbers, separators of thousands, decimal commas, percent signs (shares:
``12%`` is 0.12), full-width digits. What can be read in two ways is refused, with the key that settles it:

====================================== ==========================================
column                                 read
====================================== ==========================================
``1,234.5`` and ``1,234``              1234.5 and 1234
``1,5`` and ``12,25``                  1.5 and 12.25
``1,5`` and ``1,234`` (or ``1.234``)   refused until ``decimal`` is stated
``1,234`` and ``987``                  1234 where other columns of the table show decimal points, else refused
``1,5`` and ``12.5``                   refused: two signs in one column
``12%`` and ``0.5``                    refused: shares and percent, or shares alone?
Excel's TRUE beside 0, 1 or empty      1; beside other numbers refused, as the text ``TRUE`` is
====================================== ==========================================
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd

from engine.arrays import Array
from engine.notes import Note
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.labels import EXCEL_ERRORS
from engine.tables.missing import Code, half_width, numeric_codes, says_missing, text_codes
from engine.tables.problems import FIRST_ROW, Problems, TableProblem, cell_excerpt, other_rows, row_place
from engine.tables.written_numbers import (
    PLAIN_NUMBER,
    DecimalSign,
    WrittenNumber,
    is_dotted,
    plain_text,
    written_number,
)

_WORDS = {"point": "decimal points", "comma": "decimal commas"}


@dataclass(frozen=True)
class NumberColumn:
    """Values of a column, and how they were read.

    Attributes
    ----------
    values : float64 ``[n_rows]``
        NaN where missing.
    n_marks : int
        Cells that said "missing", in words or by a declared code.
    notes : tuple of Note
        Cells that were no plain numbers, counted by kind.
    """

    values: Array
    n_marks: int
    notes: tuple[Note, ...] = ()


def read_numbers(
    cells: pd.Series,
    *,
    source: str,
    owners: Sequence[str] | None = None,
    missing: Collection[Code] = (),
    rules: CellRules = NO_RULES,
) -> NumberColumn:
    """A column of numbers.

    Parameters
    ----------
    cells : Series
        The column; its name goes into messages, its index is the number of the row below the header, from 0.
    source : str
        File, for messages.
    owners : sequence of str, optional
        Whose row it is (the city), for messages.
    missing : collection of number or str
        Codes of this column that mean "missing", beside the words that always do (`engine.tables.missing`).
    rules : CellRules
        What the job states of the table.

    Raises
    ------
    InputError
        For text that is no number and does not say "missing", and for numbers that can be read in two ways: the
        first such cell, the rows of others, and the line of the job that would mend it.
    """
    if not pd.api.types.is_numeric_dtype(cells.dtype):
        return _Cells(cells, source, owners, missing, rules).column()
    values = cells.to_numpy(dtype=np.float64, na_value=np.nan)
    coded = np.isin(values, numeric_codes(missing))
    return NumberColumn(np.where(coded, np.nan, values), int(coded.sum()))


@dataclass
class _Cells:
    """Cells of a column that have no type of their own, sorted by what they are.

    ``points`` are the positions of plain numbers with a decimal point, ``written`` those of other numbers that are
    text, ``wrong`` those of no numbers, ``wide`` those of full-width text, ``truths`` those of Excel's TRUE and FALSE.
    A declared code for missing is in none of them.
    """

    cells: pd.Series
    source: str
    owners: Sequence[str] | None
    missing: Collection[Code]
    rules: CellRules
    n_marks: int = 0
    points: list[int] = field(default_factory=list)
    written: dict[int, WrittenNumber] = field(default_factory=dict)
    wrong: list[int] = field(default_factory=list)
    wide: list[int] = field(default_factory=list)
    truths: list[int] = field(default_factory=list)

    def column(self) -> NumberColumn:
        self.objects = self.cells.to_numpy(dtype=object)
        self.values = np.full(len(self.objects), np.nan)
        self.codes, self.text_codes = numeric_codes(self.missing), text_codes(self.missing)
        for position, cell in enumerate(self.objects):
            if isinstance(cell, str):
                self._sort_text(position, cell)
            else:
                self._sort_typed(position, cell)
        numbers = self.values[~np.isnan(self.values)]
        if self.truths and (self.written or self.wrong or not np.isin(numbers, (0, 1)).all()):
            self.wrong = sorted(self.wrong + self.truths)
        self._refuse_text()
        decimal = self.rules.decimal or self._shown_sign()
        self._read_written(decimal)
        self._refuse_mixed_percent()
        return NumberColumn(self.values, self.n_marks, tuple(self._notes(decimal)))

    def _sort_text(self, position: int, cell: str) -> None:
        text = plain_text(cell)
        plain = PLAIN_NUMBER.fullmatch(text) is not None and not is_dotted(text)
        declared = half_width(cell).strip() in self.text_codes or (plain and float(text) in self.codes)
        if declared or says_missing(cell):
            self.n_marks += 1
            return
        if plain and not ("." in text and self.rules.decimal == "comma"):
            self.values[position] = float(text)
            if "." in text:
                self.points.append(position)
        elif (written := written_number(text)) is not None:
            self.written[position] = written
        else:
            self.wrong.append(position)
        if not cell.isascii() and text != cell.strip().replace("\u2212", "-"):
            self.wide.append(position)

    def _sort_typed(self, position: int, cell: object) -> None:
        value = _typed_number(cell)
        is_truth = isinstance(cell, bool | np.bool_)
        if value in self.codes or ((value is None or is_truth) and str(cell) in self.text_codes):
            self.n_marks += 1
        elif value is None:
            self.wrong.append(position)
        else:
            self.values[position] = value
            self.truths += [position] * is_truth

    # -- the decimal sign

    def _shown_sign(self) -> DecimalSign:
        """The decimal sign of the column; raises InputError where its cells leave it open."""
        by_sign: dict[str, list[int]] = {"point": self.points[:1], "comma": [], "open": []}
        for position, written in self.written.items():
            by_sign.setdefault(written.shows, []).append(position)
        dotted = [position for position in by_sign["open"] if not self.written[position].point_grouped]
        commas = [position for position in by_sign["open"] if self.written[position].point_grouped]
        if by_sign["point"] and by_sign["comma"]:
            self._refuse_signs(by_sign["point"][0], by_sign["comma"])
        if by_sign["comma"]:
            first = by_sign["comma"][0]
            if by_sign["open"]:
                self._refuse_open(by_sign["open"], f"beside {self._shown(first)}", "comma")
            if self.rules.signs.floats is not None:
                beside = f"while column '{self.rules.signs.floats}' is written with points"
                self._refuse_open(by_sign["comma"], beside, "comma")
            if self.rules.signs.whole_floats is not None:
                beside = f"while column '{self.rules.signs.whole_floats}' may have thousands with points"
                self._refuse_open(by_sign["comma"], beside, "comma")
            return "comma"
        if by_sign["point"]:
            return "point"
        if commas and (dotted or self.rules.signs.points is None or self.rules.signs.commas is not None):
            self._refuse_open(commas, f"beside {self._shown(dotted[0])}" if dotted else "", "point")
        if dotted and self.rules.signs.commas is not None:
            beside = f"while column '{self.rules.signs.commas}' has decimal commas"
            self._refuse_open(dotted, beside, "comma")
        return "point"

    def _refuse_open(self, positions: list[int], beside: str, sign: DecimalSign) -> None:
        text = self._shown(positions[0])
        written = self.written[positions[0]]
        if written.point is None or written.comma is None:
            problem = f"{text} has a decimal comma, {beside}"
        else:
            reason = f", {beside}" if beside else ""
            problem = f"{text} may be {written.point:.15g} or {written.comma:.15g}{reason}"
        opposite: DecimalSign = "point" if sign == "comma" else "comma"
        alternative = f"  # or {opposite}" if written.shows == "open" else ""
        settles = sign == "point" or self.rules.signs.points is None  # else other columns are no numbers then
        line = self.rules.decimal_line(sign) if settles else ""
        self._refuse(
            problem,
            positions,
            remedy="write all numbers of the table with one decimal sign",
            line=line and f"{line}{alternative}",
        )

    def _refuse_signs(self, point: int, commas: list[int]) -> None:
        row = f"row {self.cells.index[point] + FIRST_ROW}"
        self._refuse(
            f"{self._shown(commas[0])} has a decimal comma, {self._shown(point)} in {row} a decimal point",
            commas,
            remedy="write all numbers of a column with one decimal sign",
        )

    def _read_written(self, decimal: DecimalSign) -> None:
        unread, coded = [], set[int]()
        for position, written in self.written.items():
            value = written.value(decimal)
            if value is None:
                unread.append(position)
            elif value in self.codes or (
                written.percent and np.isclose(100 * value, self.codes, rtol=1e-12).any()
            ):
                coded.add(position)
            else:
                self.values[position] = value
        self.n_marks += len(coded)
        self.written = {place: written for place, written in self.written.items() if place not in coded}
        self.wide = [position for position in self.wide if position not in coded]
        if unread:
            self._refuse(
                f"{self._shown(unread[0])} is not a number with {_WORDS[decimal]}, which {self._key('decimal')} states",
                unread,
                remedy="write all numbers of the table with one decimal sign, or state the other",
            )

    # -- percent signs, and text

    def _refuse_mixed_percent(self) -> None:
        percent = {position for position, written in self.written.items() if written.percent}
        if not percent:
            return
        bare = [
            position
            for position, value in enumerate(self.values)
            if position not in percent and np.isfinite(value) and value != 0
        ]
        if bare:
            fewer, more_often = sorted((sorted(percent), bare), key=len)
            place = f"{self._shown(more_often[0])} in row {self.cells.index[more_often[0]] + FIRST_ROW}"
            text, is_percent = self._shown(fewer[0]), fewer[0] in percent
            self._refuse(
                f"{text} has a percent sign, {place} has none"
                if is_percent
                else f"{text} has no percent sign, {place} has one",
                fewer,
                remedy="write all numbers of a column with the sign or none; with it 12% is 0.12",
            )

    def _refuse_text(self) -> None:
        """Raises InputError for texts that are no numbers; one in a row of units is a problem by itself."""
        in_unit_row = [p for p in self.wrong if self.cells.index[p] + FIRST_ROW == self.rules.unit_row]
        below = [position for position in self.wrong if position not in in_unit_row]
        problems = Problems(self.source)
        for positions in filter(None, (in_unit_row, below)):
            with problems.collect():
                self._refuse_texts(positions)
        problems.raise_any()

    def _refuse_texts(self, positions: list[int]) -> None:
        first, texts = positions[0], [str(self.objects[position]) for position in positions]
        cell = self.objects[first]
        is_excel_error = isinstance(cell, str) and cell.strip() in EXCEL_ERRORS
        owner = f" ({self.owners[first]})" if self.owners is not None else ""
        name, distinct = str(self.cells.name), list(dict.fromkeys(texts))
        n_numbers = len(self.objects) - len(self.wrong) - self.n_marks - int(self.cells.isna().sum())
        row, is_first = int(self.cells.index[first]) + FIRST_ROW, self.wrong == [0] and len(self.objects) > 1
        if row == self.rules.unit_row or (is_first and self.rules.has_layout):
            line, meaning = self.rules.rows_line([row]), "the row is no data"
        elif (n_numbers == 0 or name in self.rules.recoded) and not is_excel_error:
            line, meaning = self.rules.recode_line(name, distinct), "the texts stand for numbers"
        else:
            line, meaning = self.rules.missing_line(name, [*self.missing, *distinct]), "it means missing"
        kind = "an error of Excel, not a number" if is_excel_error else "not a number"
        self._refuse(
            f"{self._shown(first)} is {kind}{owner}",
            positions,
            remedy="write a plain number such as 1234.5, or leave the cell empty where it is missing",
            line=line and f"{line}  # if {meaning}",
        )

    def _refuse(self, problem: str, positions: list[int], *, remedy: str, line: str = "") -> None:
        place = row_place(self.source, self.cells, positions[0])
        raise TableProblem(
            problem + other_rows(self.cells, positions), where=place, remedy=remedy, job_line=line
        )

    def _key(self, name: str) -> str:
        return f"{self.rules.block}.{name}" if self.rules.block else name

    def _shown(self, position: int) -> str:
        return f"'{cell_excerpt(self.objects[position])}'"

    # -- how they were read

    def _notes(self, decimal: DecimalSign) -> list[Note]:
        numbers = self.written.items()
        commas = [p for p in self.written if decimal == "comma" and "," in plain_text(str(self.objects[p]))]
        kinds = (
            (Note("separators_of_thousands"), [p for p, number in numbers if number.is_grouped(decimal)]),
            (Note("decimal_commas"), commas),
            (Note("percent_signs"), [p for p, number in numbers if number.percent]),
            (Note("full_width_characters"), self.wide),
        )
        return [
            Note.of(
                "numbers_read",
                source=self.source,
                column=str(self.cells.name),
                count=len(positions),
                kind=kind,
                text=str(self.objects[positions[0]]).strip(),
                value=f"{self.values[positions[0]]:.15g}",
            )
            for kind, positions in kinds
            if positions
        ]


def _typed_number(cell: object) -> float | None:
    """The value of a cell that is no text, NaN where it is missing, None where it is no number."""
    try:
        if isinstance(cell, Real | Decimal | np.bool_):
            return float(cell)  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return None
    return np.nan if cell is None or cell is pd.NA or cell is pd.NaT else None
