"""Values of a column that stand for others: ``tier: {直辖市: 4, 省会: 3}``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.notes import Note, shortened
from engine.tables.labels import cell_text, normalize

_SHOWN = 8  # values of a note

Recoding = Mapping[str, int | float | str]
"""Value as the table writes it, and what it stands for."""


def recoded(
    frame: pd.DataFrame, mappings: Mapping[str, Recoding], *, source: str, key: str
) -> tuple[pd.DataFrame, tuple[Note, ...], tuple[Note, ...]]:
    """A copy of a table with values replaced, notes of what was, and warnings of what a mapping lacks or has too much.

    Cells and entries are compared as names are (`engine.tables.labels.normalize`): by their text, whatever blanks and
    widths of characters; 4 and 4.0 are the text 4. A cell that its mapping lacks stays as it is.

    Parameters
    ----------
    frame : DataFrame
    mappings : mapping of str to mapping
        By column: value, and what it stands for.
    source, key : str
        File, and job key of the mappings, for messages.

    Raises
    ------
    InputError
        Where the table has no such column, for two entries that are one value, and for an entry without text.
    """
    columns, notes, warnings = {}, list[Note](), list[Note]()
    for name, mapping in mappings.items():
        if name not in frame.columns:
            near = difflib.get_close_matches(name, [str(column) for column in frame.columns], 1)
            raise InputError(
                f"there is no column '{name}' in {source}",
                where=key,
                remedy=f"did you mean '{near[0]}'?" if near else "name a column of the table",
            )
        entries: dict[str, int | float | str] = {}
        for text, value in mapping.items():
            if not normalize(text):
                raise InputError(
                    f"'{text}' is no value: empty cells are missing and stay so",
                    where=f"{key}.{name}",
                    remedy="take the entry out, or write a value into the empty cells and recode that",
                )
            if normalize(text) in entries:
                raise InputError(
                    f"'{text}' is there twice, but for blanks or widths of characters",
                    where=f"{key}.{name}",
                    remedy="keep one of the two",
                )
            entries[normalize(text)] = value
        columns[name], used, lacking = _replaced(frame[name], entries)
        if used:
            values = shortened(
                [f"'{text}' = '{entries[text]}': {count}" for text, count in used.items()], _SHOWN
            )
            count = sum(used.values())
            notes.append(Note.of("values_recoded", source=source, column=name, count=count, values=values))
        warnings += _warnings(entries, used, lacking, key=f"{key}.{name}")
    return frame.assign(**columns), tuple(notes), tuple(warnings)


def _replaced(column: pd.Series, entries: Recoding) -> tuple[pd.Series, dict[str, int], list[str]]:
    """The column with values replaced, cells by entry that they used, and values that have no entry."""
    codes, values = pd.factorize(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(values))
    replaced = np.array([*values, None], dtype=object)
    used: dict[str, int] = {}
    lacking: dict[str, None] = {}
    for place, value in enumerate(values):
        text = normalize(cell_text(value))
        if text in entries:
            replaced[place] = entries[text]
            used[text] = used.get(text, 0) + int(counts[place])
        elif text:
            lacking[text] = None
    return pd.Series(replaced[codes], index=column.index, dtype=object).infer_objects(), used, list(lacking)


def _warnings(entries: Recoding, used: Mapping[str, int], lacking: list[str], *, key: str) -> Iterator[Note]:
    if lacking and used:
        values = shortened([f"'{text}'" for text in lacking], _SHOWN)
        yield Note.of("values_not_recoded", key=key, count=len(lacking), values=values)
    unused = [f"'{text}'" for text in entries if text not in used]
    if unused:
        yield Note.of("recode_unused", key=key, count=len(unused), values=shortened(unused, _SHOWN))
