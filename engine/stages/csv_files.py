"""Frames as CSV files that people open in a spreadsheet."""

from __future__ import annotations

import pandas as pd

from engine.characters import spreadsheet_cell


def csv_text(frame: pd.DataFrame) -> str:
    """The frame as CSV without its index; no text in it is a formula (`engine.characters.spreadsheet_cell`)."""
    safe = frame.rename(columns=lambda name: spreadsheet_cell(str(name)))
    for place, kind in enumerate(frame.dtypes):
        if kind.kind not in "biufM":
            cells = [_cell(cell) for cell in frame.iloc[:, place].astype(object)]
            safe.isetitem(place, pd.array(cells, dtype=object))
    return safe.to_csv(index=False)


def _cell(cell: object) -> object:
    return spreadsheet_cell(cell) if isinstance(cell, str) else cell
