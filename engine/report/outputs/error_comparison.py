"""The estimates in plain words, and above all where the standard-error types disagree."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from math import isfinite
from typing import NamedTuple

import pandas as pd

from engine.report.error_types import error_adjective, error_phrase, robust_and_conventional
from engine.report.few_adopters import adopter_sentences, has_few_adopters
from engine.report.language.wording import ENGLISH, Words, columns_phrase
from engine.report.outputs.output import JobReport, Output
from engine.report.outputs.regression_table import EVENT_TERM, check_estimates, ordered_terms
from engine.report.phrases import LEVEL, in_columns


def error_sentences(estimates: pd.DataFrame, *, main: str | None = None, words: Words = ENGLISH) -> list[str]:
    """Sentences on how much wider the robust errors are, and on conclusions that hang on the standard-error type.

    The main term comes first and is always described; other terms only where the types disagree at the 5% level.
    Event years are counted, before and after adoption. A single type says nothing. A coefficient of too few
    adopting cities has a sentence of its own instead.

    Parameters
    ----------
    estimates : DataFrame
        Rows of one job of ``estimates.parquet``.
    main : str, optional
        The treatment; default the first term.

    Raises
    ------
    InputError
        The frame is not the estimates of one job.
    """
    check_estimates(estimates)
    columns = {cell: column for column, cell in enumerate(dict.fromkeys(estimates["cell"]), start=1)}
    sentences = list(adopter_sentences(estimates, columns, words))
    estimates = estimates[~has_few_adopters(estimates)]
    if estimates["errors"].nunique() < 2:
        return sentences
    timed, untimed = _by_coefficient(estimates)
    for (cell, base), rows in timed.items():
        phrase = columns_phrase([columns[cell]], words) if len(columns) > 1 else ""
        sentences += _on_event_years(base, rows, phrase, words)
    terms = ordered_terms(list(untimed), main=main)
    leading = main or (terms[0] if terms and not timed else None)
    for term in terms:
        sentences += _on_term(term, untimed[term], columns, words, always=term == leading)
    return sentences


class _Row(NamedTuple):
    cell: Hashable
    term: str
    errors: str
    std_error: float
    p_value: float

    @property
    def significant(self) -> bool:
        return self.p_value < LEVEL

    @property
    def event_year(self) -> int | None:
        event = EVENT_TERM.fullmatch(self.term)
        return int(event["time"]) if event else None


_Rows = list[_Row]


def _by_coefficient(
    estimates: pd.DataFrame,
) -> tuple[dict[tuple[Hashable, str], _Rows], dict[str, _Rows]]:
    """Rows of event years by cell and base (``did_event`` of ``did_event[-3]``), and others by term."""
    timed: dict[tuple[Hashable, str], _Rows] = {}
    untimed: dict[str, _Rows] = {}
    names = list(_Row._fields)
    for row in map(_Row._make, estimates[names].itertuples(index=False, name=None)):
        event = EVENT_TERM.fullmatch(row.term)
        if event:
            timed.setdefault((row.cell, event["base"]), []).append(row)
        else:
            untimed.setdefault(row.term, []).append(row)
    return timed, untimed


def _grouped(rows: _Rows, field: str) -> dict[Hashable, _Rows]:
    """Rows by the values of a field, in the order of the first of each."""
    groups: dict[Hashable, _Rows] = {}
    for row in rows:
        groups.setdefault(getattr(row, field), []).append(row)
    return groups


def _on_term(
    term: str, rows: _Rows, columns: Mapping[Hashable, int], words: Words, *, always: bool
) -> Iterator[str]:
    verdicts: dict[str, list[int]] = {}
    disputed = False
    for cell, cell_rows in _grouped(rows, "cell").items():
        verdict, agreed = _verdict(cell_rows, words)
        if verdict:
            verdicts.setdefault(verdict, []).append(columns[cell])
        disputed |= not agreed
    if not (always or disputed) or not verdicts:
        return

    def placed(sentence: str, numbers: list[int]) -> str:
        return in_columns(sentence, columns_phrase(numbers, words) if len(columns) > 1 else "", words)

    parts = words("; ").join(placed(verdict, numbers) for verdict, numbers in verdicts.items())
    ratio = _ratio(term, rows, words)
    yield (
        words("{ratio}; {parts}.", ratio=ratio, parts=parts)
        if ratio
        else words("{term} is {parts}.", term=term, parts=parts)
    )
    undefined = [row for row in rows if not isfinite(row.std_error)]
    for code, cell_rows in _grouped(undefined, "errors").items():
        kind = error_adjective(str(code), words)
        sentence = words("The {kind} standard error of {term} is undefined", kind=kind, term=term)
        yield words("{sentence}.", sentence=placed(sentence, [columns[row.cell] for row in cell_rows]))


def _verdict(rows: _Rows, words: Words) -> tuple[str, bool]:
    """Conclusion from the standard-error types of one coefficient, and whether they agree; empty below two types."""
    defined = [row for row in rows if isfinite(row.std_error)]
    if len(defined) < 2:
        return "", True
    significant = [row.errors for row in defined if row.significant]
    if not significant:
        return words("not significant at 5% under any kind of error"), True
    if len(significant) == len(defined):
        return words("significant at 5% under every kind of error"), True
    kinds = words.listed([error_phrase(code, words) for code in significant])
    return words("significant at 5% under {kinds} only", kinds=kinds), False


def _ratio(term: str, rows: _Rows, words: Words) -> str:
    """How many times the robust standard error is the conventional one, as a range over the rows."""
    wide, narrow = robust_and_conventional(sorted({row.errors for row in rows}))
    if wide is None or narrow is None:
        return ""
    errors = {(row.cell, row.term, row.errors): row.std_error for row in rows}
    ratios = [
        error / errors[cell, name, narrow]
        for (cell, name, code), error in errors.items()
        if code == wide and errors.get((cell, name, narrow), 0.0) > 0 and isfinite(error)
    ]
    ratios = [ratio for ratio in ratios if isfinite(ratio)]
    if not ratios:
        return ""
    low, high = f"{min(ratios):.1f}", f"{max(ratios):.1f}"
    return words(
        "The {wide} standard error of {term} is {times} times the {narrow} one",
        wide=error_adjective(wide, words),
        term=term,
        times=low if low == high else words("{first} to {last}", first=low, last=high),
        narrow=error_adjective(narrow, words),
    )


def _on_event_years(base: str, rows: _Rows, columns: str, words: Words) -> Iterator[str]:
    ratio = _ratio(words("{term} by event year", term=base), rows, words)
    if ratio:
        yield words("{sentence}.", sentence=in_columns(ratio, columns, words))
    before = [row for row in rows if (row.event_year or 0) < 0]
    since = [row for row in rows if (row.event_year or 0) >= 0]
    for form, years in (
        ("Of {total} event years before adoption{at}, significant at 5%: {counts}.", before),
        ("Of {total} event years from adoption on{at}, significant at 5%: {counts}.", since),
    ):
        if not years:
            continue
        counts = [
            words(
                "{count} under {kind}",
                count=sum(row.significant for row in of_type),
                kind=error_phrase(str(code), words),
            )
            for code, of_type in _grouped(years, "errors").items()
        ]
        phrase = in_columns("", columns, words)
        yield words(form, total=len({row.term for row in years}), at=phrase, counts=words.listed(counts))


def _sentences(report: JobReport) -> list[str]:
    estimates = report.frames["estimates"]
    printed = report.table_style.without_slopes(estimates["term"].unique())
    return error_sentences(
        estimates[estimates["term"].isin(printed)], main=report.treatment, words=report.words
    )


ERROR_COMPARISON = Output(reads=("estimates",), sentences=_sentences)
