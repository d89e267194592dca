"""Phrases of sentences on several outputs."""

from __future__ import annotations

from math import isfinite

from engine.report.language.wording import Words
from engine.report.number_format import percent

LEVEL = 0.05
"""Sentences and figures call significant what is so at this level."""


def level_of(confidence: float, words: Words) -> str:
    """``95%`` before "interval"; where the intervals shown together differ in it, that they do."""
    return percent(confidence) if isfinite(confidence) else words("own-level")


def in_columns(sentence: str, columns: str, words: Words) -> str:
    """The sentence, and the columns that it is of; alone where the table has one column."""
    return words("{said} in {columns}", said=sentence, columns=columns) if columns else sentence
