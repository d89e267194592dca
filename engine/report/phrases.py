"""Phrases of sentences on several outputs."""

from __future__ import annotations

from engine.report.language.wording import Words

LEVEL = 0.05
"""Sentences and figures call significant what is so at this level."""


def in_columns(sentence: str, columns: str, words: Words) -> str:
    """The sentence, and the columns that it is of; alone where the table has one column."""
    return words("{said} in {columns}", said=sentence, columns=columns) if columns else sentence
