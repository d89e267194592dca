"""Printed tables side by side, as one: columns of several jobs, or of other programs, under common rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import isfinite

from engine.report.language.wording import columns_phrase
from engine.report.number_format import AlignedNumbers
from engine.report.printed_table import Entry, PrintedTable, Row
from engine.report.table_style import EVERYTHING, TableStyle

_Key = tuple[str, str, str]


def joined(tables: Sequence[PrintedTable], *, title: str) -> PrintedTable:
    """One table of the columns of all, in their order.

    Rows of one kind, label and term are one row; a further row of a term stands below those of that term, any other
    below the rows of its kind. Numbers of a row have one notation over all columns, as `number_format.notations` has
    it, but for tables of chosen digits. A note that not all tables have names its columns. Columns headed by numbers
    are numbered anew.
    """
    widths = [len(table.header) for table in tables]
    entries: dict[_Key, list[Entry]] = {}
    for place, table in enumerate(tables):
        for row in table.rows:
            entries.setdefault(_key(row), [Entry()] * sum(widths))
            start = sum(widths[:place])
            entries[_key(row)][start : start + widths[place]] = row.entries
    header = [name for table in tables for name in table.header]
    if all(name.startswith("(") for name in header):
        header = [f"({column})" for column in range(1, len(header) + 1)]
    merged = _merged_rows([table.rows for table in tables])
    rows = [replace(row, entries=tuple(entries[_key(row)])) for row in merged]
    digits = [table.digits for table, width in zip(tables, widths, strict=True) for _ in range(width)]
    return replace(
        tables[0],
        title=title,
        header=tuple(header),
        rows=tuple(_aligned_rows(rows, digits)),
        notes=tuple(_merged_notes(tables, widths)),
    )


def _aligned_rows(rows: Sequence[Row], digits: Sequence[int | None]) -> Iterator[Row]:
    """The rows with their numbers printed anew, in the notation of all columns or with digits chosen for a column."""
    for row in rows:
        if row.kind not in ("coefficient", "error", "fit"):
            yield row
            continue
        of_term = [line for line in rows if row.term and line.term == row.term] or [row]
        columns = [
            AlignedNumbers(()) if chosen is not None else _number_column(of_term, place)
            for place, chosen in enumerate(digits)
        ]
        styles = EVERYTHING.by_column(columns)
        entries = (
            _printed_anew(entry, replace(style, digits=chosen))
            for entry, style, chosen in zip(row.entries, styles, digits, strict=True)
        )
        yield replace(row, entries=tuple(entries))


def _number_column(rows: Sequence[Row], place: int) -> AlignedNumbers:
    """Numbers of a term, or of a measure of fit, in a column."""
    numbers: dict[bool, list[float]] = {True: [], False: []}
    for row in rows:
        value = row.entries[place].value
        if isinstance(value, float):
            numbers[row.kind == "error"].append(value)
    return AlignedNumbers(numbers[False], numbers[True])


def _printed_anew(entry: Entry, style: TableStyle) -> Entry:
    """The entry with its number in this style; stars and brackets stay."""
    value, stem = entry.value, entry.text.rstrip("*")
    if not isinstance(value, float) or not isfinite(value):
        return entry
    text = style.number(value)
    marks = entry.text[len(stem) :]
    return replace(entry, text=f"({text})" if stem.startswith("(") else text + marks)


def _merged_notes(tables: Sequence[PrintedTable], widths: Sequence[int]) -> Iterator[str]:
    """Each note once, with its columns where some table lacks it."""
    words, first = tables[0].words, [1 + sum(widths[:place]) for place in range(len(widths))]
    columns: dict[str, list[int]] = {}
    for table, start, width in zip(tables, first, widths, strict=True):
        for note in table.notes:
            columns.setdefault(note, []).extend(range(start, start + width))
    for note, of_note in columns.items():
        if len(of_note) == sum(widths):
            yield note
        else:
            phrase = columns_phrase(of_note, words)
            yield words("{columns}: {note}", columns=phrase[:1].upper() + phrase[1:], note=note)


def _key(row: Row) -> _Key:
    """Rows of one key are one row."""
    return row.kind, row.term, row.label


def _merged_rows(tables: Sequence[Sequence[Row]]) -> list[Row]:
    """Every row once; one that comes later stands after the last row of its term, or else of its kind."""
    merged = list(tables[0])
    for rows in tables[1:]:
        for row in rows:
            if any(_key(row) == _key(present) for present in merged):
                continue
            of_term = [place for place, present in enumerate(merged) if row.term and present.term == row.term]
            of_kind = [place for place, present in enumerate(merged) if _block(present) == _block(row)]
            places = of_term or of_kind
            merged.insert(places[-1] + 1 if places else len(merged), row)
    return merged


def _block(row: Row) -> str:
    return {"error": "coefficient", "words": "setting"}.get(row.kind, row.kind)
