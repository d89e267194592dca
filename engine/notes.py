"""Notes and warnings as data: a code and its values, which a language turns into a sentence.

Any room makes a `Note`. The sentence of each code, with a place for each value, stands in
`engine.report.language.english` and `engine.report.language.chinese`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

NoteRecord: TypeAlias = Mapping[str, Any]
"""A note, or an entry with one, as a JSON file has it."""
Value: TypeAlias = "str | int | float | Note | Sequence[Value]"


@dataclass(frozen=True)
class Note:
    """A fact that a reader should know.

    Attributes
    ----------
    code : str
        Stable identifier of the sentence, such as ``rows_infinite``.
    values : mapping of str to text, number, Note, or a list of them
        By the place of the sentence that they fill. A list of no or one note is a part that may be absent.
    """

    code: str
    values: Mapping[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, code: str, /, **values: Value) -> Note:
        """``Note.of("rows_without_lag", count=3, total=90, lag=1)``."""
        return cls(code, values)


def of_cell(cell: str, note: Note) -> Note:
    """The note, said of one cell of a job."""
    return Note.of("of_cell", cell=cell, note=note)


def message_lines(
    warnings: Iterable[Note], notes: Iterable[Note], worded: Callable[[Note], str]
) -> list[str]:
    """``warning: ...`` and ``note: ...`` for a terminal, one a line."""
    messages = [Note.of("warning_line", text=warning) for warning in warnings]
    return [worded(message) for message in (*messages, *(Note.of("note_line", text=note) for note in notes))]


def shortened(names: Sequence[str], length: int) -> list[str]:
    """The first ``length`` names, and ``...`` where there are more."""
    return [*names[:length], *["..."] * (len(names) > length)]


def and_more(count: int) -> list[Note]:
    """The part ``and 3 more`` of a sentence, absent where there are none."""
    return [Note.of("and_more", count=count)] if count > 0 else []


def distinct(notes: Iterable[Note]) -> list[Note]:
    """Each note once, in order."""
    return list({repr(note): note for note in notes}.values())


def note_record(name: str, note: Note, worded: Callable[[Note], str]) -> dict[str, object]:
    """Entries ``name`` and ``name_code`` of a JSON file: the sentence, and the code and values it was made of."""
    return {name: worded(note), f"{name}_code": asdict(note)}


def notes_record(name: str, notes: Iterable[Note], worded: Callable[[Note], str]) -> dict[str, object]:
    """Entries ``names`` and ``name_codes`` of a JSON file: lists of the same length."""
    notes = list(notes)
    return {f"{name}s": [worded(note) for note in notes], f"{name}_codes": [asdict(note) for note in notes]}


def read_note(stored: NoteRecord) -> Note:
    """A note as a JSON file has it."""
    return Note(stored["code"], {name: _read_value(value) for name, value in stored["values"].items()})


def _read_value(stored: Value | NoteRecord) -> Value:
    if isinstance(stored, Mapping):
        return read_note(stored)
    return [_read_value(element) for element in stored] if isinstance(stored, list | tuple) else stored
