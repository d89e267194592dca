"""Entries and notes that every table of coefficients has, whoever estimated them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite

from engine.report.language.wording import Words
from engine.report.printed_table import Entry
from engine.report.table_style import TableStyle

_STARS = ((0.01, "***"), (0.05, "**"), (0.10, "*"))


def errors_note(words: Words) -> str:
    """Where the standard errors stand."""
    return words("Standard errors in parentheses, one row for each kind.")


def stars_of(p_value: float) -> str:
    """Marks of significance."""
    return next((mark for level, mark in _STARS if p_value < level), "")


def stars_note(kind: str, words: Words) -> str:
    """Meaning of the stars, and the errors that they are from."""
    return words("Significance levels based on {kind} errors: * p<0.10, ** p<0.05, *** p<0.01.", kind=kind)


def error_entry(std_error: float, style: TableStyle) -> Entry:
    """A standard error in brackets; ``(n/a)`` where it is not defined."""
    return Entry(f"({style.number(std_error)})", std_error) if isfinite(std_error) else Entry("(n/a)")


def fit_entries(values: Sequence[float], style: TableStyle) -> tuple[Entry, ...]:
    """A row of R2 or the like; empty where it is not defined."""
    aligned = style.aligned(values)
    return tuple(Entry(aligned.number(value), value) if isfinite(value) else Entry() for value in values)


def effect_label(name: str, words: Words) -> str:
    """The row of a fixed effect."""
    label = words.known(name.capitalize()) if name in ("pair", "year") else name
    return words("{name} FE", name=label)
