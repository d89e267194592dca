"""The dictionary of policy instruments and the terms that speak of them: a table users can edit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from engine.characters import without_apostrophe
from engine.errors import InputError
from engine.tables import cell_values as cells
from engine.tables.read import read_columns
from engine.text.extract import clean

KINDS = ("supply", "environment", "demand")
DEFAULT = Path(__file__).parent / "data" / "instruments.csv"

_COLUMNS = ("kind", "instrument", "terms")
_SEPARATOR = re.compile("[;；]")
_TERM = re.compile(r"[\u4e00-\u9fd5A-Za-z0-9+#&._%-]{2,}")  # of these characters jieba makes words


@dataclass(frozen=True)
class Instrument:
    """One policy instrument: its kind, one of ``KINDS``, its name, and the words that speak of it."""

    kind: str
    name: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class Dictionary:
    """Instruments in the order of the file; no term belongs to two of them."""

    instruments: tuple[Instrument, ...]

    @property
    def of_term(self) -> dict[str, Instrument]:
        """The instrument of every term."""
        return {term: instrument for instrument in self.instruments for term in instrument.terms}


def read_dictionary(path: Path = DEFAULT) -> Dictionary:
    """Instruments from a table with the columns kind, instrument and terms, a row an instrument.

    ``kind`` is supply, environment or demand; ``terms`` are words of two characters or more, separated by
    ``;``. A term within a longer one (采购 in 政府采购) counts only where it stands without the longer one.

    Raises
    ------
    InputError
        For a missing column, an empty cell, an unknown kind, an instrument or a term given twice, a term that
        is too short or has blanks or punctuation, and a kind without instruments.
    """
    table = read_columns(path, _COLUMNS)
    instruments: dict[str, Instrument] = {}
    owners: dict[str, str] = {}
    for position, *row in table.itertuples(name=None):
        place = f"{path}: row {position + cells.FIRST_ROW}"
        instrument = _instrument(row, place)
        if instrument.name in instruments:
            raise InputError(
                f"instrument '{instrument.name}' is given twice",
                where=place,
                remedy="put its terms in one row",
            )
        instruments[instrument.name] = instrument
        for term in instrument.terms:
            if term in owners:
                raise InputError(
                    f"the term '{term}' is given twice, for {owners[term]} and for {instrument.name}",
                    where=place,
                    remedy="leave it with one instrument: a passage counts once",
                )
            owners[term] = instrument.name
    for kind in KINDS:
        if kind not in {instrument.kind for instrument in instruments.values()}:
            raise InputError(f"there is no instrument of kind '{kind}'", where=str(path), remedy="add one")
    return Dictionary(tuple(instruments.values()))


def _instrument(row: list[object], place: str) -> Instrument:
    """One row, checked by itself."""
    texts = ("" if pd.isna(cell) else str(cell).strip() for cell in row)  # type: ignore[call-overload]
    kind, name, terms = map(without_apostrophe, texts)  # a dictionary that policy-text wrote has them
    if kind not in KINDS:
        raise InputError(f"unknown kind '{kind}'", where=place, remedy=f"a kind is {', '.join(KINDS)}")
    if not name:
        raise InputError("the instrument has no name", where=place, remedy="fill the cell 'instrument'")
    words = tuple(word for word in (clean(part) for part in _SEPARATOR.split(terms)) if word)
    if not words:
        raise InputError(f"instrument '{name}' has no terms", where=place, remedy="fill the cell 'terms'")
    for word in words:
        if not _TERM.fullmatch(word):
            raise InputError(
                f"'{word}' cannot be a term of {name}",
                where=place,
                remedy="a term has two characters or more, no blanks and no punctuation; "
                "terms are separated by ;",
            )
    return Instrument(kind, name, words)
