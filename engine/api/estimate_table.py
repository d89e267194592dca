"""Results side by side in one table, with fits of other packages among them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, KeysView, Sequence, ValuesView
from dataclasses import replace
from typing import Any, Unpack

import numpy as np
import pandas as pd

from engine.api.arguments import checked_arguments
from engine.api.printed import Table
from engine.api.result import Result
from engine.api.table_choices import checked_choices
from engine.errors import InputError
from engine.report.joined_tables import joined
from engine.report.language.wording import Words, job_words, lang_of, shared_words, words_of
from engine.report.printed_table import Entry, PrintedTable, Row
from engine.report.table_entries import (
    effect_label,
    error_entry,
    errors_note,
    fit_entries,
    stars_note,
    stars_of,
)
from engine.report.table_style import EVERYTHING, NO_STARS, TableChoices, TableStyle
from engine.report.unit_names import UNITS

_LISTS = (Sequence, Iterator, KeysView, ValuesView, np.ndarray, pd.Series)


@checked_arguments("fits", "choices")
def etable(
    fits: Iterable[object] | object,
    *,
    title: str | None = "",
    lang: str | None = None,
    **choices: Unpack[TableChoices],
) -> Table:
    """Results of `dyadid`, and fits of pyfixest, statsmodels, linearmodels and others, as columns of one table.

    Parameters
    ----------
    fits : sequence of Result and other fits
        Others are read by the extractors of maketables, which comes with pyfixest.
    title : str, optional
    lang : str, optional
        ``en`` or ``zh``; default: the language that the jobs of all results have, else English.
    choices
        As `Result.table` has them; ``stars`` and ``errors`` choose among the types of this package's results, a fit
        of another package has its own.

    Raises
    ------
    InputError
        For an empty list, or something that no extractor reads.
    """
    several = list(fits) if isinstance(fits, _LISTS) else [fits]
    if not several:
        raise InputError("there are no results", where="etable", remedy="pass one or more")
    choices = checked_choices(choices)
    whole = EVERYTHING.changed(choices)
    in_column: TableChoices = {"digits": whole.digits} if "digits" in choices else {}
    if whole.labels:
        in_column["labels"] = whole.labels
    languages = (lang_of(fit.results.manifest) for fit in several if isinstance(fit, Result))
    words = shared_words(languages) if lang is None else words_of(lang)
    starred, units = whole.stars != NO_STARS, _shared_units(several)
    tables = [
        fit.printed(_own(fit, in_column, choices), lang=words.lang, units=units)
        if isinstance(fit, Result)
        else _foreign_table(fit, EVERYTHING.changed(in_column), words, starred=starred)
        for fit in several
    ]
    table = joined(tables, title=title or "")
    terms = whole.terms(dict.fromkeys(row.term for row in table.rows if row.term))
    rows = [row for row in table.rows if not row.term or row.term in terms]
    rows.sort(key=lambda row: terms.index(row.term) if row.term else len(terms))
    header = whole.header(len(table.header))
    return Table(replace(table, header=header, rows=tuple(rows), notes=(*table.notes, *whole.notes)))


def _shared_units(fits: Sequence[object]) -> str:
    """The label of units that the jobs of all results have; where they differ, rows speak of units."""
    labels = {job_words(fit.results.manifest).units for fit in fits if isinstance(fit, Result)}
    return labels.pop() if len(labels) == 1 else UNITS


def _own(fit: Result, in_column: TableChoices, choices: TableChoices) -> TableChoices:
    """Choices of a column of this package; it keeps those of its job where none is made here."""
    own = TableChoices(**in_column)
    if choices.get("stars"):
        own["stars"] = choices["stars"]
    if choices.get("errors"):
        own["errors"] = choices["errors"]
    elif fit.shown:
        own["errors"] = fit.shown
    return own


def _foreign_table(fit: object, style: TableStyle, words: Words, *, starred: bool) -> PrintedTable:
    """One column of a fit of another package, with the stars of its own errors."""
    extractor = _extractor(fit)
    frame = extractor.coef_table(fit)
    kind = str((extractor.vcov_info(fit) or {}).get("vcov_type") or type(fit).__module__.partition(".")[0])
    rows: list[Row] = []
    for term in style.terms([str(name) for name in frame.index]):
        estimate, error, p = frame.loc[[term], ["b", "se", "p"]].to_numpy(dtype=float)[0].tolist()
        mark, aligned = stars_of(p) if starred else "", style.of_numbers([estimate], [error])
        entry = Entry(aligned.number(estimate) + mark, estimate)
        rows.append(Row("coefficient", style.label(term), (entry,), term))
        rows.append(Row("error", kind, (error_entry(error, aligned),), term))
    for name in _effects(extractor.fixef_string(fit)):
        rows.append(Row("setting", effect_label(name, words), (Entry(words("Yes"), words("Yes")),)))
    count, r2 = extractor.stat(fit, "N"), extractor.stat(fit, "r2")
    if count is not None:
        rows.append(Row("count", words.known("Observations"), (Entry(f"{int(count):,}", int(count)),)))
    if r2 is not None:
        rows.append(Row("fit", words.known("R²"), fit_entries([float(r2)], style)))
    outcome = style.label(str(extractor.depvar(fit)))
    notes = [words("Dependent variable: {outcome}.", outcome=outcome)] if outcome else []
    notes.append(errors_note(words))
    if starred:
        notes.append(stars_note(kind, words))
    return PrintedTable(
        title="", header=("(1)",), rows=tuple(rows), notes=tuple(notes), words=words, digits=style.digits
    )


def _extractor(fit: object) -> Any:
    """The reader of a fit of another package, by maketables."""
    try:
        from maketables.extractors import get_extractor
    except ImportError:
        raise InputError(
            f"a fit of type {type(fit).__name__} is read by maketables, which is not installed",
            where="etable",
            remedy="pip install maketables",
        ) from None
    try:
        return get_extractor(fit)
    except (TypeError, ValueError):
        raise InputError(
            f"{type(fit).__name__} is no result that can stand in a table",
            where="etable",
            remedy="pass results of dyadid, or fits of pyfixest, statsmodels or linearmodels",
        ) from None


def _effects(text: str | None) -> list[str]:
    """Fixed effects as other packages join them: ``pair + exporter^year``."""
    return [name.strip().replace("^", " x ") for name in (text or "").split("+") if name.strip()]
