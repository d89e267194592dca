"""How the cells of a table are to be read, as the job states it, and which of its keys mend what is wrong with them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from engine.tables.problems import job_line
from engine.tables.table_signs import TableSigns
from engine.tables.written_numbers import DecimalSign

_SHOWN = 5  # values of a line that is proposed
_MOST_ROWS = 20
_PLACEHOLDER = "NUMBER"


@dataclass(frozen=True)
class CellRules:
    """Statements of a job on the cells of one table.

    Attributes
    ----------
    block : str
        Block that names the table: ``panel``, ``panel.join[0]``, ``pair_table``; "" where there is no job.
    decimal : {'point', 'comma'} or None
        Decimal sign of numbers that are text; None: as the cells show.
    signs : TableSigns
        Decimal signs that the whole table shows.
    has_layout : bool
        Whether rows can be named by ``header`` and ``skip_rows``, as those of text and Excel files can.
    skipped : collection of int
        Rows that ``skip_rows`` passes over already.
    recoded : collection of str
        Columns whose values ``recode`` replaces.
    filled : tuple of str
        Columns that ``fill_down`` names already.
    to_fill : tuple of str
        Key columns that it may well have to name (`engine.tables.fill_down.columns_to_fill`).
    unit_row : int or None
        Number of a row of units below the headers, which no key passes over yet.
    """

    block: str = ""
    decimal: DecimalSign | None = None
    signs: TableSigns = field(default_factory=TableSigns)
    has_layout: bool = False
    skipped: Collection[int] = ()
    recoded: Collection[str] = ()
    filled: tuple[str, ...] = ()
    to_fill: tuple[str, ...] = ()
    unit_row: int | None = None

    def missing_line(self, column: str, values: Sequence[object]) -> str:
        """The line that declares values of a column to be missing; "" without a job."""
        block = "panel" if self.block.startswith("panel") else self.block
        codes = list(dict.fromkeys(map(_code, values)))
        return job_line(f"{block}.missing", {column: codes}) if block and len(codes) <= _MOST_ROWS else ""

    def recode_line(self, column: str, values: Sequence[object]) -> str:
        """The line that gives values of a column their numbers, which the user knows."""
        numbers = {str(value).strip(): _PLACEHOLDER for value in values[:_SHOWN]}
        return job_line(f"{self.block}.recode", {column: numbers}) if self.block else ""

    def decimal_line(self, sign: DecimalSign) -> str:
        """The line that states the decimal sign."""
        return job_line(f"{self.block}.decimal", sign) if self.block else ""

    def fill_line(self, column: str) -> str:
        """The line that fills key columns down, what it means beside it; "" where this column is none of them."""
        if not self.block or column not in self.to_fill:
            return ""
        names = list(dict.fromkeys([*self.filled, *self.to_fill]))
        return f"{job_line(f'{self.block}.fill_down', names)}  # if an empty cell repeats the one above"

    def no_data_line(self, column: str, numbers: Sequence[int]) -> str:
        """The line that mends empty cells of a key column: filled down, or in rows that are no data; "" for neither."""
        line = self.fill_line(column)
        if not line and (rows := self.rows_line(numbers)):
            line = f"{rows}  # if the rows are no data"
        return line

    def rows_line(self, numbers: Sequence[int]) -> str:
        """The line that passes over rows of the file, by their numbers; "" where no key can, or they are many."""
        if not self.block or not self.has_layout or len(numbers) > _MOST_ROWS:
            return ""
        return job_line(f"{self.block}.skip_rows", sorted({*self.skipped, *numbers}))


def _code(value: object) -> int | float | str:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int | float) else str(value).strip()


NO_RULES = CellRules()
"""Rules of a table that no job names."""
