"""Coefficients of too few adopting cities: no stars, and a note on the test that holds."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping

import pandas as pd

from engine.report.language.wording import ENGLISH, Words, columns_phrase

FEW = 4
"""Fewer adopting cities than this, and no standard error holds.

Of a true null of no effect among 24 cities the 5% test with dyadic-robust errors rejects 50% with one adopter, 31%
with two and 17% with three.
"""


EFFECTIVE = 2
"""Fewer effective adopting cities than this, and a coefficient is that of one city and its shocks."""


def has_few_adopters(estimates: pd.DataFrame) -> pd.Series:
    """Rows of ``estimates.parquet`` whose coefficient is that of fewer than `FEW` adopting cities."""
    if "n_adopters" not in estimates.columns:  # of an earlier version
        return pd.Series(False, index=estimates.index)
    return estimates["n_adopters"] < FEW


def with_tests_withheld(estimates: pd.DataFrame) -> pd.DataFrame:
    """The estimates without the p-values of `has_few_adopters`."""
    return estimates.assign(p_value=estimates["p_value"].mask(has_few_adopters(estimates)))


def adopter_notes(
    estimates: pd.DataFrame, places: Mapping[Hashable, int], words: Words = ENGLISH
) -> Iterator[str]:
    """Notes under a table: terms without stars, their columns, and the reason."""
    terms = list(_few_adopter_terms(estimates, places, words))
    for term, count, columns in terms:
        yield words(
            "No stars for {term}{at}: {count} adopting in the sample.", term=term, at=columns, count=count
        )
    if terms:
        yield words(
            "With fewer than four adopting cities no kind of standard error is reliable: with dyadic-robust errors the "
            "5% test rejects a true null in 50% of samples with one, 31% with two, 17% with three. The studentised "
            "permutation test (inference.permutation) holds."
        )
    yield from _effective_notes(estimates, places, words)


def _effective_notes(estimates: pd.DataFrame, places: Mapping[Hashable, int], words: Words) -> Iterator[str]:
    """A note on the other terms of fewer than `EFFECTIVE` effective cities, by cell where there are several."""
    if not {"n_adopters", "effective_adopters"}.issubset(estimates.columns):  # of an earlier version
        return
    rows = estimates[(estimates["effective_adopters"] < EFFECTIVE) & (estimates["n_adopters"] >= FEW)]
    parts = []
    for cell, group in rows.groupby("cell", sort=False):
        terms = words.listed(list(dict.fromkeys(group["term"])))
        at = columns_phrase([places[cell]], words) if len(places) > 1 else ""
        parts.append(words("{what} in {columns}", what=terms, columns=at) if at else terms)
    if parts:
        yield words(
            "Fewer than two effective adopting cities, where no kind of standard error settles anything: {terms}.",
            terms=words("; ").join(parts),
        )


def adopter_sentences(
    estimates: pd.DataFrame, places: Mapping[Hashable, int], words: Words = ENGLISH
) -> Iterator[str]:
    """Sentences on the same terms and columns."""
    for term, count, columns in _few_adopter_terms(estimates, places, words):
        yield words(
            "With {count} adopting no standard error tells whether {term} matters{at}; the studentised permutation "
            "test (inference.permutation) does.",
            term=term,
            at=columns,
            count=count,
        )


def _few_adopter_terms(
    estimates: pd.DataFrame, places: Mapping[Hashable, int], words: Words
) -> Iterator[tuple[str, str, str]]:
    """Term (event years as one), count of adopting cities, and the columns where there are several."""
    rows = estimates[has_few_adopters(estimates)]
    if rows.empty:
        return
    term = rows["term"].map(lambda name: re.sub(r"\[[+-]?\d+\]$", "", name))
    for (name, n_adopters), group in rows.groupby([term, "n_adopters"], sort=False):
        count = int(float(str(n_adopters)))
        columns = columns_phrase([places[cell] for cell in dict.fromkeys(group["cell"])], words)
        cities = words("1 city") if count == 1 else words("{count} cities", count=count)
        yield str(name), cities, words(" in {columns}", columns=columns) if len(places) > 1 else ""
