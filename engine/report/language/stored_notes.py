"""Notes of a JSON file, worded in the language of the page.

A file holds English sentences beside codes and values (`engine.notes.notes_record`). What an older version left has
sentences alone, and a newer one may have codes that this one does not know: there the English stands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.notes import read_note
from engine.report.language.wording import Words


def sentences(record: Mapping[str, Any], name: str, words: Words) -> list[str]:
    """Sentences of the notes that a file lists under ``names``."""
    texts = record.get(f"{name}s") or []
    codes = record.get(f"{name}_codes") or []
    stored = codes if len(codes) == len(texts) else [None] * len(texts)
    return [_sentence(note, text, words) for note, text in zip(stored, texts, strict=True)]


def sentence(record: Mapping[str, Any], name: str, words: Words) -> str:
    """The sentence of the note that a file has under ``name``."""
    return _sentence(record.get(f"{name}_code"), record.get(name, ""), words)


def _sentence(stored: Mapping[str, Any] | None, text: Any, words: Words) -> str:
    known = stored is not None and stored["code"] in words.sentences
    return words.note(read_note(stored)) if known and stored is not None else str(text)
