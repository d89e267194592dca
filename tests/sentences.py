"""English sentences of notes, for tests that say what a reader is told."""

from __future__ import annotations

from collections.abc import Iterable

from engine.notes import Note
from engine.report.language.wording import ENGLISH


def english(notes: Iterable[Note]) -> tuple[str, ...]:
    """One sentence a note."""
    return tuple(map(ENGLISH.note, notes))
