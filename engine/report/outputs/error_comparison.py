"""The estimates in plain words, and above all where the standard-error types disagree."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

import numpy as np
import pandas as pd

from engine.report.error_types import error_adjective, error_phrase, robust_and_conventional
from engine.report.few_adopters import adopter_sentences, has_few_adopters
from engine.report.language.wording import ENGLISH, Words, columns_phrase
from engine.report.outputs.output import JobReport, Output
from engine.report.outputs.regression_table import check_estimates, ordered_terms
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
    events = estimates["term"].str.extract(r"^(?P<base>.*)\[(?P<time>[+-]?\d+)\]$")
    timed = estimates.assign(base=events["base"], time=pd.to_numeric(events["time"])).dropna(subset="time")
    untimed = estimates[events["time"].isna()]
    for (cell, base), rows in timed.groupby(["cell", "base"], sort=False):
        phrase = columns_phrase([columns[cell]], words) if len(columns) > 1 else ""
        sentences += _on_event_years(str(base), rows, phrase, words)
    terms = ordered_terms(untimed["term"], main=main)
    leading = main or (terms[0] if terms and timed.empty else None)
    for term in terms:
        rows = untimed[untimed["term"] == term]
        sentences += _on_term(term, rows, columns, words, always=term == leading)
    return sentences


def _on_term(
    term: str, rows: pd.DataFrame, columns: Mapping[Hashable, int], words: Words, *, always: bool
) -> Iterator[str]:
    verdicts: dict[str, list[int]] = {}
    disputed = False
    for cell, cell_rows in rows.groupby("cell", sort=False):
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
    undefined = rows[~np.isfinite(rows["std_error"])]
    for code, cell_rows in undefined.groupby("errors", sort=False):
        kind = error_adjective(str(code), words)
        sentence = words("The {kind} standard error of {term} is undefined", kind=kind, term=term)
        yield words("{sentence}.", sentence=placed(sentence, [columns[cell] for cell in cell_rows["cell"]]))


def _verdict(rows: pd.DataFrame, words: Words) -> tuple[str, bool]:
    """Conclusion from the standard-error types of one coefficient, and whether they agree; empty below two types."""
    defined = rows[np.isfinite(rows["std_error"])]
    if len(defined) < 2:
        return "", True
    significant = defined.loc[defined["p_value"] < LEVEL, "errors"]
    if significant.empty:
        return words("not significant at 5% under any kind of error"), True
    if len(significant) == len(defined):
        return words("significant at 5% under every kind of error"), True
    kinds = words.listed([error_phrase(code, words) for code in significant])
    return words("significant at 5% under {kinds} only", kinds=kinds), False


def _ratio(term: str, rows: pd.DataFrame, words: Words) -> str:
    """How many times the robust standard error is the conventional one, as a range over the rows."""
    errors = rows.pivot(index=["cell", "term"], columns="errors", values="std_error")
    wide, narrow = robust_and_conventional(map(str, errors.columns))
    if wide is None or narrow is None:
        return ""
    ratios = (errors[wide] / errors[narrow]).replace([np.inf, -np.inf], np.nan).dropna()
    if ratios.empty:
        return ""
    low, high = f"{ratios.min():.1f}", f"{ratios.max():.1f}"
    return words(
        "The {wide} standard error of {term} is {times} times the {narrow} one",
        wide=error_adjective(wide, words),
        term=term,
        times=low if low == high else words("{first} to {last}", first=low, last=high),
        narrow=error_adjective(narrow, words),
    )


def _on_event_years(base: str, rows: pd.DataFrame, columns: str, words: Words) -> Iterator[str]:
    ratio = _ratio(words("{term} by event year", term=base), rows, words)
    if ratio:
        yield words("{sentence}.", sentence=in_columns(ratio, columns, words))
    leads, lags = rows[rows["time"] < 0], rows[rows["time"] >= 0]
    for form, years in (
        ("Of {total} event years before adoption{at}, significant at 5%: {counts}.", leads),
        ("Of {total} event years from adoption on{at}, significant at 5%: {counts}.", lags),
    ):
        if years.empty:
            continue
        counts = [
            words(
                "{count} under {kind}",
                count=int((of_type["p_value"] < LEVEL).sum()),
                kind=error_phrase(str(code), words),
            )
            for code, of_type in years.groupby("errors", sort=False)
        ]
        phrase = in_columns("", columns, words)
        yield words(form, total=years["term"].nunique(), at=phrase, counts=words.listed(counts))


def _sentences(report: JobReport) -> list[str]:
    return error_sentences(report.frames["estimates"], main=report.treatment, words=report.words)


ERROR_COMPARISON = Output(reads=("estimates",), sentences=_sentences)
