"""A table that a job names, as read: a file or a builtin, with the hash of what was read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from engine.cities import builtin
from engine.errors import InputError
from engine.notes import Note
from engine.spec.data import TableFile
from engine.spec.data_frames import FRAME
from engine.tables.arithmetic import parse
from engine.tables.cell_rules import NO_RULES, CellRules
from engine.tables.data_frame import frame_hash
from engine.tables.fill_down import filled_down
from engine.tables.headers import FileLayout
from engine.tables.read import FileTable, read_file, refuse_broken
from engine.tables.recode import recoded
from engine.tables.table_signs import TableSigns
from engine.tables.unit_row import unit_row

Option = int | float | bool

_BUILTIN = "builtin:"


@dataclass(frozen=True)
class KeyColumns:
    """Columns of a file that hold names of units, and those that hold years: by header, or by position from 0."""

    names: frozenset[str | int] = frozenset()
    years: frozenset[str | int] = frozenset()


NO_KEYS = KeyColumns()


@dataclass(frozen=True)
class SourceTable:
    """A table as read.

    Attributes
    ----------
    name : str
        File name or builtin name.
    frame : DataFrame
    description : str
        One line on the data.
    synthetic : bool
    table : FileTable or None
        The file as read; None for a builtin.
    builtin_sha256 : str
        Of headers, types and figures of a builtin, as they were before ``fill_down`` and ``recode``; empty for a file.
    rules : CellRules
        How its cells are read, as the job states it.
    cell_notes, recode_warnings : tuple of Note
        Cells that ``fill_down`` filled and values that ``recode`` replaced; what recode left or did not find.
    truth : mapping
        Effects that a builtin was made with, by adoption year and year, where they differ.
    """

    name: str
    frame: pd.DataFrame
    description: str
    synthetic: bool
    table: FileTable | None = None
    builtin_sha256: str = ""
    rules: CellRules = NO_RULES
    cell_notes: tuple[Note, ...] = ()
    recode_warnings: tuple[Note, ...] = ()
    truth: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of the bytes that were parsed; of headers, types and figures for a builtin."""
        return self.table.sha256 if self.table is not None else self.builtin_sha256

    @property
    def label(self) -> str:
        """The name for messages, with the sheet where the job leaves it open."""
        sheet = self.table.sheet if self.table is not None else None
        return self.name if sheet is None else f"{self.name} (sheet '{sheet}')"

    @property
    def warnings(self) -> tuple[Note, ...]:
        """Remarks on how the file was read, for readers of the results."""
        return (*(self.table.notes if self.table is not None else ()), *self.recode_warnings)

    @property
    def notes(self) -> tuple[Note, ...]:
        """Cells that were read as something else than they hold: merged ones, and as `fill_down` and `recode` say."""
        return (*(self.table.merged if self.table is not None else ()), *self.cell_notes)

    def refuse_broken(self, columns: Iterable[str]) -> None:
        """Raises InputError where one of these columns has a cell in error or a formula without a value."""
        if self.table is not None:
            refuse_broken(self.table, columns, source=self.label)


def read_source(
    block: TableFile,
    options: Mapping[str, Option],
    *,
    key: str,
    frames: Mapping[str, FileTable] = MappingProxyType({}),
    keys: KeyColumns = NO_KEYS,
) -> SourceTable:
    """The table of a block of the job.

    ``key`` is the block's, e.g. ``panel.join[0]``, ``frames`` are those of the job, ``keys`` the columns of names and
    years.
    """
    layout = _layout(block, key)
    if block.source.startswith(_BUILTIN):
        _refuse_layout(layout, "builtin")
        name = block.source.removeprefix(_BUILTIN)
        block_key = "panel.join" if key.startswith("panel.join") else "panel.source"
        description = builtin.describe(name, key=block_key)
        frame = builtin.load(name, **options)
        return SourceTable(
            block.source,
            frame,
            description,
            synthetic=description.startswith("SYNTHETIC"),
            builtin_sha256=frame_hash(frame),
            truth=builtin.truth(name, **options),
        )
    if options:
        raise InputError(
            f"a file has no options, but panel.options gives {', '.join(options)}",
            where="panel.options",
            remedy="options are for builtin sources; take them out",
        )
    if block.source.startswith(FRAME):
        _refuse_layout(replace(layout, decimal=None), "a data frame")
        return _of_frame(block.source, key, frames)
    path = Path(block.source)
    table = read_file(path, replace(layout, names=keys.names, years=keys.years))
    return SourceTable(path.name, table.frame, path.name, synthetic=False, table=table)


def _layout(block: TableFile, key: str) -> FileLayout:
    skip_rows = tuple(block.skip_rows) if isinstance(block.skip_rows, list) else block.skip_rows
    return FileLayout(block.sheet, block.encoding, block.header, skip_rows, key, block.decimal)


def _of_frame(source: str, key: str, frames: Mapping[str, FileTable]) -> SourceTable:
    if source not in frames:
        name = source.removeprefix(FRAME)
        raise InputError(
            f"'{source}' stands for a data frame, but none of that name is given",
            where=f"{key}.source",
            remedy=f"pass the frame with the job as '{name}' in Python, or name a file",
        )
    table = frames[source]
    return SourceTable(table.label, table.frame, table.label, synthetic=False, table=table)


def with_rules(source: SourceTable, block: TableFile, key: str, columns: Mapping[str, str]) -> SourceTable:
    """The table with what its block states of its cells: empty ones filled, values recoded, and rules for numbers.

    ``columns`` maps canonical names to columns of the file, as ``panel.columns`` does; both keys take either.
    """
    rules = _rules(source, block, key, columns)
    source.refuse_broken(rules.filled)
    frame, filled = filled_down(source.frame, rules.filled, source=source.label, rules=rules)
    notes, warnings = tuple[Note, ...](), tuple[Note, ...]()
    if block.recode:
        named = {_file_column(name, columns): mapping for name, mapping in block.recode.items()}
        if len(named) < len(block.recode):
            raise InputError(
                "two names stand for one column of the table",
                where=f"{key}.recode",
                remedy="give each column one mapping",
            )
        frame, notes, warnings = recoded(frame, named, source=source.label, key=f"{key}.recode")
    return replace(source, frame=frame, rules=rules, cell_notes=(*filled, *notes), recode_warnings=warnings)


def _rules(source: SourceTable, block: TableFile, key: str, columns: Mapping[str, str]) -> CellRules:
    storage = source.table.storage if source.table is not None else "typed"
    return CellRules(
        block=key,
        decimal=block.decimal,
        signs=TableSigns(source.frame, typed=storage != "text"),
        has_layout=storage != "typed",
        skipped=_layout(block, key).skipped,
        recoded=[_file_column(name, columns) for name in block.recode],
        filled=tuple(dict.fromkeys(_file_column(name, columns) for name in block.fill_down)),
        unit_row=unit_row(source.frame) if storage != "typed" else None,
    )


def key_columns(
    names: Iterable[str], years: Iterable[str], columns: Mapping[str, str] = MappingProxyType({})
) -> KeyColumns:
    """Columns of a file that hold names, and years, in its own words and in canonical ones."""
    of_names, of_years = (
        frozenset(text for name in part for text in (name, _file_column(name, columns)))
        for part in (names, years)
    )
    return KeyColumns(of_names, of_years)


def _file_column(name: str, columns: Mapping[str, str]) -> str:
    """The column of the file that a canonical name is mapped to, bare or in backticks; other names are columns."""
    text = columns.get(name, name)
    if text == name:
        return name
    expression = parse(text)
    return expression.names[0] if expression.is_name else name


def file_columns(names: Iterable[str], columns: Mapping[str, str]) -> set[str]:
    """Columns of a file that canonical names are read or computed from; ``columns`` maps names to arithmetic."""
    read: set[str] = set()
    pending, visited = list(names), set()
    while pending:
        name = pending.pop()
        text = columns.get(name, name)
        inputs = [text] if text == name or name in visited else parse(text).names
        read |= {column for column in inputs if column == name or column not in columns} | {text}
        pending += [
            column for column in inputs if column != name and column in columns and column not in visited
        ]
        visited.add(name)
    return read


def _refuse_layout(layout: FileLayout, source: str) -> None:
    for key in ("sheet", "encoding", "header", "skip_rows", "decimal"):
        if getattr(layout, key) is not None:
            raise InputError(
                f"{key} says how a file is read, but the source is {source}",
                where=layout.named(key),
                remedy="take it out",
            )
