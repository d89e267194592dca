"""What the estimates say in plain words, and above all where the kinds of error disagree."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping

import numpy as np
import pandas as pd

from engine.report.adopters import adopter_sentences, has_few_adopters
from engine.report.error_types import error_adjective, error_phrase, robust_and_conventional
from engine.report.language.wording import ENGLISH, Words, columns_phrase
from engine.report.tables import check_estimates, ordered_terms

LEVEL = 0.05


def reading(estimates: pd.DataFrame, *, main: str | None = None, words: Words = ENGLISH) -> list[str]:
    """Sentences on how much wider the robust errors are, and on which conclusions hang on the kind of error.

    The main term comes first and is always described; other terms only where the kinds of error disagree
    at the 5% level. Event years are counted, before and after adoption. One kind of error says nothing. A
    coefficient of too few adopting cities has a sentence of its own instead.

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
    places = {cell: place for place, cell in enumerate(dict.fromkeys(estimates["cell"]), start=1)}
    said = list(adopter_sentences(estimates, places, words))
    estimates = estimates[~has_few_adopters(estimates)]
    if estimates["errors"].nunique() < 2:
        return said
    events = estimates["term"].str.extract(r"^(?P<base>.*)\[(?P<time>[+-]?\d+)\]$")
    timed = estimates.assign(base=events["base"], time=pd.to_numeric(events["time"])).dropna(subset="time")
    plain = estimates[events["time"].isna()]
    for (cell, base), rows in timed.groupby(["cell", "base"], sort=False):
        at = columns_phrase([places[cell]], words) if len(places) > 1 else ""
        said += _on_event_years(str(base), rows, at, words)
    terms = ordered_terms(plain["term"], main=main)
    leading = main or (terms[0] if terms and timed.empty else None)
    for term in terms:
        said += _on_term(term, plain[plain["term"] == term], places, words, always=term == leading)
    return said


def within(said: str, columns: str, words: Words) -> str:
    """What is said, and of which columns; alone where there is one column."""
    return words("{said} in {columns}", said=said, columns=columns) if columns else said


def _on_term(
    term: str, rows: pd.DataFrame, places: Mapping[Hashable, int], words: Words, *, always: bool
) -> Iterator[str]:
    verdicts: dict[str, list[int]] = {}
    disputed = False
    for cell, own in rows.groupby("cell", sort=False):
        verdict, agreed = _verdict(own, words)
        if verdict:
            verdicts.setdefault(verdict, []).append(places[cell])
        disputed |= not agreed
    if not (always or disputed) or not verdicts:
        return
    several = len(places) > 1

    def columns(at: list[int]) -> str:
        return columns_phrase(at, words) if several else ""

    parts = words("; ").join(within(verdict, columns(at), words) for verdict, at in verdicts.items())
    ratio = _ratio(term, rows, words)
    yield (
        words("{ratio}; {parts}.", ratio=ratio, parts=parts)
        if ratio
        else words("{term} is {parts}.", term=term, parts=parts)
    )
    undefined = rows[~np.isfinite(rows["std_error"])]
    for kind, own in undefined.groupby("errors", sort=False):
        said = words(
            "The {kind} standard error of {term} is undefined",
            kind=error_adjective(str(kind), words),
            term=term,
        )
        at = columns([places[cell] for cell in own["cell"]])
        yield words("{sentence}.", sentence=within(said, at, words))


def _verdict(rows: pd.DataFrame, words: Words) -> tuple[str, bool]:
    """What the kinds of error of one coefficient conclude, and whether they agree; empty below two kinds."""
    defined = rows[np.isfinite(rows["std_error"])]
    if len(defined) < 2:
        return "", True
    found = defined.loc[defined["p_value"] < LEVEL, "errors"]
    if found.empty:
        return words("not significant at 5% under any kind of error"), True
    if len(found) == len(defined):
        return words("significant at 5% under every kind of error"), True
    kinds = words.listed([error_phrase(kind, words) for kind in found])
    return words("significant at 5% under {kinds} only", kinds=kinds), False


def _ratio(term: str, rows: pd.DataFrame, words: Words) -> str:
    """How many times the robust standard error is the conventional one, as a range over the rows."""
    errors = rows.pivot(index=["cell", "term"], columns="errors", values="std_error")
    wide, narrow = robust_and_conventional(map(str, errors))
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


def _on_event_years(base: str, rows: pd.DataFrame, at: str, words: Words) -> Iterator[str]:
    ratio = _ratio(words("{term} by event year", term=base), rows, words)
    if ratio:
        yield words("{sentence}.", sentence=within(ratio, at, words))
    for form, own in (
        ("Of {total} event years before adoption{at}, significant at 5%: {counts}.", rows[rows["time"] < 0]),
        (
            "Of {total} event years from adoption on{at}, significant at 5%: {counts}.",
            rows[rows["time"] >= 0],
        ),
    ):
        if own.empty:
            continue
        counts = [
            words(
                "{count} under {kind}",
                count=int((of_kind["p_value"] < LEVEL).sum()),
                kind=error_phrase(str(kind), words),
            )
            for kind, of_kind in own.groupby("errors", sort=False)
        ]
        yield words(form, total=own["term"].nunique(), at=within("", at, words), counts=words.listed(counts))
