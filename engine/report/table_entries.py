"""Entries and notes that every table of coefficients has, whoever estimated them."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from math import isfinite

from engine.report.language.wording import Words
from engine.report.number_format import AlignedNumbers
from engine.report.printed_table import Entry, Row
from engine.report.table_style import EVERYTHING, TableStyle

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


def coefficient_styles(
    columns: Iterable[Sequence[Mapping[Hashable, float] | None]], style: TableStyle
) -> list[TableStyle]:
    """The style of each column for a coefficient; columns hold its rows of the estimates, one a type of error."""
    present = [[record for record in records if record] for records in columns]
    return style.by_column(
        [
            AlignedNumbers(
                [record["estimate"] for record in of_column], [record["std_error"] for record in of_column]
            )
            for of_column in present
        ]
    )


def estimate_entries(
    estimates: Sequence[float], std_errors: Sequence[float]
) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Coefficients of a term by column, and their standard errors; empty where they are not defined."""
    styles = EVERYTHING.by_column(
        [AlignedNumbers([value], [error]) for value, error in zip(estimates, std_errors, strict=True)]
    )
    return (
        tuple(
            Entry(style.number(value), value) if isfinite(value) else Entry()
            for style, value in zip(styles, estimates, strict=True)
        ),
        tuple(
            error_entry(error, style) if isfinite(error) else Entry()
            for style, error in zip(styles, std_errors, strict=True)
        ),
    )


def fit_entries(values: Sequence[float], style: TableStyle) -> tuple[Entry, ...]:
    """A row of R2 or the like; empty where it is not defined."""
    styles = style.by_column([AlignedNumbers([value]) for value in values])
    return tuple(
        Entry(of_column.number(value), value) if isfinite(value) else Entry()
        for of_column, value in zip(styles, values, strict=True)
    )


def effect_rows(effects: Sequence[Sequence[str]], words: Words) -> Iterator[Row]:
    """Fixed effects by column, those of pair and year where none are given."""
    absorbed = [_with_years(of_column or ("pair", "year")) for of_column in effects]
    for name in dict.fromkeys(["pair", "year", *(name for names in absorbed for name in names)]):
        yield _answers(effect_label(name, words), [name in names for names in absorbed], words)


def slope_rows(slopes: Sequence[Sequence[str]], words: Words) -> Iterator[Row]:
    """Regressors with a slope a year, by column."""
    for name in dict.fromkeys(name for of_column in slopes for name in of_column):
        label = words("{name}, a slope a year", name=name)
        yield _answers(label, [name in of_column for of_column in slopes], words)


def _answers(label: str, holds: Sequence[bool], words: Words) -> Row:
    answers = [words("Yes") if it_does else words("No") for it_does in holds]
    return Row("setting", label, tuple(Entry(answer, answer) for answer in answers))


def _with_years(names: Sequence[str]) -> tuple[str, ...]:
    """The effects, with that of years where one by year contains it."""
    return (*names, "year") if any(name.endswith(" x year") for name in names) else tuple(names)


def effect_label(name: str, words: Words) -> str:
    """The row of a fixed effect."""
    label = words.known(name.capitalize()) if name in ("pair", "year") else name
    return words("{name} FE", name=label)
