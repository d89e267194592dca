"""Notes of a JSON file, worded in the language of the page.

A file holds English sentences beside codes and values (`engine.notes.notes_record`). What an older version left has
sentences alone, and a newer one may have codes that this one does not know: there the English stands.
"""

from __future__ import annotations

from engine.notes import NoteRecord, read_note
from engine.report.language.wording import Words


def sentences(record: NoteRecord, name: str, words: Words) -> list[str]:
    """Sentences of the notes that a file lists under ``names``."""
    texts = record.get(f"{name}s") or []
    codes = record.get(f"{name}_codes") or []
    if len(codes) != len(texts):
        codes = [None] * len(texts)
    return [_sentence(code, text, words) for code, text in zip(codes, texts, strict=True)]


def sentence(record: NoteRecord, name: str, words: Words) -> str:
    """The sentence of the note that a file has under ``name``."""
    return _sentence(record.get(f"{name}_code"), record.get(name, ""), words)


def _sentence(code: NoteRecord | None, text: object, words: Words) -> str:
    if code is None or code["code"] not in words.sentences:
        return str(text)
    return words.note(read_note(code))
