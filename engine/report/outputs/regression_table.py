"""The regression table in the form economists print: one column a cell, one row a standard-error type."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import pandas as pd

from engine.errors import InputError
from engine.pairs.outcomes import OUTCOMES
from engine.report.error_types import cautions, error_label, preferred
from engine.report.few_adopters import adopter_notes, with_tests_withheld
from engine.report.language.wording import ENGLISH, Words, columns_phrase
from engine.report.outputs.output import JobReport, Output, StoredFrame, TableOutput
from engine.report.printed_table import Entry, PrintedTable, Row, wrapped
from engine.report.table_entries import (
    coefficient_styles,
    effect_rows,
    error_entry,
    errors_note,
    fit_entries,
    slope_rows,
    stars_note,
    stars_of,
)
from engine.report.table_style import EVERYTHING, TableStyle

Record = Mapping[Hashable, Any]
"""A row of the estimates, by column."""

EVENT_TERM = re.compile(r"(?P<base>.*)\[(?P<time>[+-]?\d+)\]")
_IDENTITY = ("job", "cell", "outcome", "estimator", "term", "errors")
_NUMBERS = ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "dof")
_COUNTS = ("n_obs", "n_pairs", "n_units")
_FITS = {"R²": "r2", "Within R²": "r2_within"}
_FRAME = StoredFrame("estimates", text=_IDENTITY, numbers=(*_NUMBERS, *_COUNTS, *_FITS.values()))
_RESULTS = (*_FRAME.text, *_FRAME.numbers)
_EFFECTIVE = "effective_adopters"
_LIKELIHOOD_FITS = {"Pseudo R²": "pseudo_r2", "Deviance": "deviance"}
_LIKELIHOOD_COUNTS = {"Iterations": "iterations", "Separated rows": "n_separated"}
_LIKELIHOOD = {**_LIKELIHOOD_FITS, **_LIKELIHOOD_COUNTS}
ESTIMATE_COLUMNS = (*_RESULTS, "n_adopters", _EFFECTIVE, *_LIKELIHOOD.values())
"""Of the estimates; of a sweep they have one more a key. Those of earlier versions lack the last six."""
_LINES = 4  # of a column that a setting takes at most; a longer one is spelled out below the table
_EXACT = 1 - 1e-12  # of R2 within: what rounding leaves of an exact fit


def regression_table(
    estimates: pd.DataFrame,
    *,
    title: str,
    main: str | None = None,
    synthetic: bool = False,
    effects: Mapping[Hashable, Sequence[str]] | None = None,
    style: TableStyle = EVERYTHING,
    words: Words = ENGLISH,
) -> PrintedTable:
    """Estimates of one job as a table, a column a cell in order of appearance.

    Stars are those of the dyadic CR2 errors where every cell has them, else of another robust type, else of
    the first type that all cells have; without such a type no stars are printed. The note says which. A term of
    fewer than four adopting cities has none.

    Parameters
    ----------
    estimates : DataFrame
        One row a cell, term and standard-error type, as in ``estimates.parquet``; columns beyond the standard
        ones are sweep keys.
    title : str
    main : str, optional
        The term printed first, alone or as event years: the treatment.
    synthetic : bool
        Whether the data are generated; the notes then say so.
    effects : mapping of cell to sequence of str, optional
        Fixed effects; those of pair and year where none are given. Year effects may be within others.
    style : TableStyle
        Rows, names and numbers that are printed.

    Raises
    ------
    InputError
        A column is missing, there are no rows, two rows share cell, term and standard-error type, or the style
        asks for what is not there.
    """
    sheet = _sheet(estimates, main, style)
    choice_rows, abbreviations = _choice_rows(sheet, words)
    origin = [words("Synthetic data: generated, not observed.")] if synthetic else []
    columns = {cell: column for column, cell in enumerate(sheet.cells, start=1)}
    return PrintedTable(
        title=title,
        header=style.header(len(columns)),
        rows=(
            *_coefficient_rows(sheet, words),
            *choice_rows,
            *effect_rows([(effects or {}).get(cell, ()) for cell in sheet.cells], words),
            *slope_rows([style.slopes.get(cell, ()) for cell in sheet.cells], words),
            *_size_rows(sheet, words),
            *_effective_rows(sheet, main, words),
        ),
        notes=(
            *_notes(sheet, words),
            *abbreviations,
            *origin,
            *adopter_notes(estimates, columns, words),
            *style.notes,
        ),
        words=words,
        digits=style.digits,
    )


def check_estimates(estimates: pd.DataFrame) -> None:
    """Refuse a frame that is not the estimates of one job.

    Raises
    ------
    InputError
        A column is missing, there are no rows, or two rows share cell, term and standard-error type.
    """
    missing = [name for name in _RESULTS if name not in estimates.columns]
    remedy = "run the job again with this version: dyadid run JOB"
    if missing:
        raise InputError(f"the column '{missing[0]}' is missing", where="estimates", remedy=remedy)
    if estimates.empty:
        raise InputError("there are no rows", where="estimates", remedy=remedy)
    key = ["cell", "term", "errors"]
    repeated = estimates.duplicated(key)
    if repeated.any():
        cell, term, code = estimates.loc[repeated, key].iloc[0]
        raise InputError(
            f"there are two rows for cell {cell}, term {term}, errors {code}",
            where="estimates",
            remedy="make one table for each job",
        )


def ordered_terms(terms: Sequence[str] | pd.Series, *, main: str | None = None) -> list[str]:
    """The main term, then event years (``policy[-5]``) together and ascending, then the rest as they appear."""
    groups: dict[str, dict[str, int]] = {}
    timed = set()
    for term in dict.fromkeys(terms):
        event = EVENT_TERM.fullmatch(term)
        name, time = (event["base"], int(event["time"])) if event else (term, 0)
        groups.setdefault(name, {})[term] = time
        timed |= {name} if event else set()
    names = sorted(groups, key=lambda name: (name != main, name not in timed))
    return [term for name in names for term in sorted(groups[name], key=groups[name].__getitem__)]


@dataclass(frozen=True)
class _Sheet:
    """Estimates by cell, term and standard-error type, with what is common to the table."""

    cells: tuple[Hashable, ...]
    terms: tuple[str, ...]
    error_codes: tuple[str, ...]
    starred: str | None
    records: Mapping[tuple[Hashable, str, str], Record]
    first_records: Mapping[Hashable, Record]
    sweep_keys: tuple[str, ...]
    style: TableStyle

    def values(self, name: str) -> list[Any]:
        """Of one column of the frame, by cell."""
        return [self.first_records[cell][name] for cell in self.cells]


def _sheet(estimates: pd.DataFrame, main: str | None, style: TableStyle) -> _Sheet:
    check_estimates(estimates)
    records: dict[tuple[Hashable, str, str], Record] = {}
    first_records: dict[Hashable, Record] = {}
    cell_codes: dict[Hashable, set[str]] = {}
    for record in with_tests_withheld(estimates).to_dict("records"):
        cell, code = record["cell"], record["errors"]
        records[cell, record["term"], code] = record
        first_records.setdefault(cell, record)
        cell_codes.setdefault(cell, set()).add(code)
    codes = tuple(dict.fromkeys(estimates["errors"]))
    shown = style.error_codes(codes)
    common = preferred(code for code in shown if all(code in present for present in cell_codes.values()))
    return _Sheet(
        cells=tuple(first_records),
        terms=tuple(style.terms(ordered_terms(estimates["term"], main=main))),
        error_codes=shown,
        starred=style.starred(common, codes),
        records=records,
        first_records=first_records,
        sweep_keys=tuple(name for name in estimates.columns if name not in ESTIMATE_COLUMNS),
        style=style,
    )


def _coefficient_rows(sheet: _Sheet, words: Words) -> Iterator[Row]:
    for term in sheet.terms:
        by_code = {
            code: [sheet.records.get((cell, term, code)) for cell in sheet.cells]
            for code in sheet.error_codes
        }
        styles = coefficient_styles(zip(*by_code.values(), strict=True), sheet.style)
        columns = list(zip(sheet.cells, styles, strict=True))
        entries = tuple(_coefficient(sheet, cell, term, style) for cell, style in columns)
        yield Row("coefficient", sheet.style.label(term), entries, term)
        for code, records in by_code.items():
            if any(records):
                errors = (
                    error_entry(record["std_error"], style) if record else Entry()
                    for record, style in zip(records, styles, strict=True)
                )
                yield Row("error", error_label(code, words), tuple(errors), term)


def _coefficient(sheet: _Sheet, cell: Hashable, term: str, style: TableStyle) -> Entry:
    records = (sheet.records.get((cell, term, code)) for code in sheet.error_codes)
    record = next(filter(None, records), None)
    if record is None:
        return Entry()
    starred = sheet.records.get((cell, term, sheet.starred or ""))
    stars = stars_of(starred["p_value"]) if starred else ""
    return Entry(style.number(record["estimate"]) + stars, record["estimate"])


def _choice_rows(sheet: _Sheet, words: Words) -> tuple[list[Row], list[str]]:
    """Rows for the choices in which cells differ, and notes that spell out values too long for a column."""
    rows, notes = [], []
    for key, name in _choice_names(sheet).items():
        values = ["" if pd.isna(value) else str(value) for value in sheet.values(key)]
        if key == "outcome":
            name, values = _without_common_outcome(name, values)
        printed = {value: wrapped(_setting(key, value, words)) for value in dict.fromkeys(values)}
        long = [value for value in printed if printed[value].count("\n") >= _LINES]
        marks = {value: f"[{chr(97 + rank % 26)}{rank // 26 or ''}]" for rank, value in enumerate(long)}
        entries = (Entry(marks.get(value, printed[value]), value) for value in values)
        label = words.known(name)
        rows.append(Row("setting", label, tuple(entries)))
        if marks:
            legend = words(", ").join(
                f"{mark} {_setting(key, value, words)}" for value, mark in marks.items()
            )
            notes.append(words("{name}: {values}.", name=label, values=legend))
    return rows, notes


def _without_common_outcome(name: str, labels: list[str]) -> tuple[str, list[str]]:
    """Name and entries of the row of outcomes: where all are one outcome, its name and the series."""
    for kind in OUTCOMES.values():
        label = kind.label("")
        if all(text.startswith(label) for text in labels):
            return label.strip(), [text.removeprefix(label) for text in labels]
    return name, labels


def _choice_names(sheet: _Sheet) -> dict[str, str]:
    """Names by key: the last part of the key where no other key ends in it."""
    ends = [key.rpartition(".")[2] for key in sheet.sweep_keys]
    names = {
        key: end if ends.count(end) == 1 else key for key, end in zip(sheet.sweep_keys, ends, strict=True)
    }
    swept = [sheet.values(key) for key in sheet.sweep_keys]
    for key in ("outcome", "estimator"):
        values = sheet.values(key)
        _, series = _without_common_outcome(key, list(map(str, values)))
        if len(set(values)) > 1 and values not in swept and series not in swept:
            names[key] = key
    return names


def _size_rows(sheet: _Sheet, words: Words) -> Iterator[Row]:
    units = sheet.style.units
    labels = (words("Observations"), words.in_context("Pairs", units), words.known(units))
    for label, name in zip(labels, _COUNTS, strict=True):
        counts = [int(count) for count in sheet.values(name)]
        yield Row("count", label, tuple(Entry(f"{count:,}", count) for count in counts))
    likelihood = [name for name in _LIKELIHOOD.values() if any(map(isfinite, _optional(sheet, name)))]
    for label, name in _FITS.items():
        values = sheet.values(name)
        if not likelihood or any(map(isfinite, values)):
            yield Row("fit", words.known(label), fit_entries(values, sheet.style))
    for label, name in _LIKELIHOOD_FITS.items():
        if name in likelihood:
            yield Row("fit", words.known(label), fit_entries(_optional(sheet, name), sheet.style))
    for label, name in _LIKELIHOOD_COUNTS.items():
        if name in likelihood:
            values = _optional(sheet, name)
            entries = (Entry(f"{value:,.0f}", value) if isfinite(value) else Entry() for value in values)
            yield Row("count", words.known(label), tuple(entries))


def _optional(sheet: _Sheet, name: str) -> list[float]:
    """Values by cell of a column that earlier versions, or other estimators, lack."""
    return [float(sheet.first_records[cell].get(name, nan)) for cell in sheet.cells]


def _effective_rows(sheet: _Sheet, main: str | None, words: Words) -> Iterator[Row]:
    """Effective adopting cities of the treatment, the fewest of its terms, by the preferred type that counts them."""
    counting = [
        code for (_, _, code), record in sheet.records.items() if isfinite(record.get(_EFFECTIVE, nan))
    ]
    counted_by = preferred(dict.fromkeys(counting))
    fewest: dict[Hashable, float] = {}
    for (cell, term, code), record in sheet.records.items():
        count = record.get(_EFFECTIVE, nan)
        if code == counted_by and main in (term, term.partition("[")[0]) and isfinite(count):
            fewest[cell] = min(count, fewest.get(cell, count))
    if fewest:
        counts = [fewest.get(cell) for cell in sheet.cells]
        entries = tuple(Entry() if count is None else Entry(f"{count:,.1f}", count) for count in counts)
        yield Row("count", words("Effective adopting cities"), entries)


def _outcome(label: str, sheet: _Sheet, words: Words) -> str:
    """The outcome as printed: by its own label, or by that of its series."""
    name, of, series = label.partition(" of ")
    if label in sheet.style.labels:
        return sheet.style.label(label)
    return words.outcome(f"{name}{of}{sheet.style.label(series)}")


def _setting(key: str, value: str, words: Words) -> str:
    return words.outcome(value) if key == "outcome" else words.known(value)


def _notes(sheet: _Sheet, words: Words) -> Iterator[str]:
    outcomes: dict[str, list[int]] = {}
    for column, outcome in enumerate(sheet.values("outcome"), start=1):
        outcomes.setdefault(_outcome(str(outcome), sheet, words), []).append(column)
    if len(outcomes) == 1:
        yield words("Dependent variable: {outcome}.", outcome=next(iter(outcomes)))
    else:
        parts = (
            words("{what} in {columns}", what=name, columns=columns_phrase(columns, words))
            for name, columns in outcomes.items()
        )
        yield words("Dependent variable: {outcome}.", outcome=words("; ").join(parts))
    yield errors_note(words)
    if sheet.starred:
        yield stars_note(error_label(sheet.starred, words), words)
    elif sheet.style.stars is None:
        yield words("No stars: the columns have no kind of error in common.")
    yield from (words(caution) for caution in cautions(sheet.error_codes))
    printed = [key for key in sheet.records if key[1] in sheet.terms and key[2] in sheet.error_codes]
    if not all(isfinite(sheet.records[key]["std_error"]) for key in printed):
        yield words("(n/a): this kind of error is undefined here.")
    zeros = [_is_exact(sheet, *key) for key in printed if sheet.records[key]["std_error"] == 0]
    if any(zeros):
        yield words("A standard error of zero has neither a t ratio nor stars: the fit is exact.")
    if not all(zeros):
        yield words(
            "A two-way city error of zero stands for a negative variance: it is no error, and has no t ratio."
        )


def _is_exact(sheet: _Sheet, cell: Hashable, term: str, code: str) -> bool:
    """Whether a standard error is zero since the regression fits exactly: where R2 does not say, since all are zero."""
    r2 = sheet.records[cell, term, code]["r2_within"]
    of_term = (record for key, record in sheet.records.items() if key[:2] == (cell, term))
    return r2 >= _EXACT if isfinite(r2) else not any(record["std_error"] > 0 for record in of_term)


def table_of(report: JobReport, *, style: TableStyle | None = None, title: str | None = None) -> PrintedTable:
    """The regression table of a job, in its own style and with its own title where none are given."""
    return regression_table(
        report.frames[_FRAME.name],
        title=report.title if title is None else title,
        main=report.treatment,
        synthetic=report.synthetic,
        effects={cell["cell"]: cell.get("fixed_effects", []) for cell in report.manifest["cells"]},
        style=report.table_style if style is None else style,
        words=report.words,
    )


def _tables(report: JobReport) -> Iterator[TableOutput]:
    yield TableOutput("table", table_of(report))


REGRESSION_TABLE = Output(reads=(_FRAME.name,), stores=_FRAME, tables=_tables)
