"""Regression tables in the form economists print: one column a cell, one row a kind of error."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

import pandas as pd

from engine.errors import InputError
from engine.report.adopters import adopter_notes, with_tests_withheld
from engine.report.error_types import cautions, error_label, preferred
from engine.report.grid import Entry, Row, Table
from engine.report.language.wording import ENGLISH, Words, columns_phrase

__all__ = ["Table", "check_estimates", "number", "ordered_terms", "regression_table"]

_IDENTITY = ("job", "cell", "outcome", "estimator", "term", "errors")
_NUMBERS = ("estimate", "std_error", "statistic", "p_value", "conf_low", "conf_high", "dof")
_COUNTS = {"Observations": "n_obs", "Pairs": "n_pairs", "Units": "n_units"}
_FITS = {"R²": "r2", "Within R²": "r2_within"}
_RESULTS = (*_IDENTITY, *_NUMBERS, *_COUNTS.values(), *_FITS.values())
_OPTIONAL = ("n_adopters",)
_STARS = ((0.01, "***"), (0.05, "**"), (0.10, "*"))
# A setting takes up to four lines of a column; a longer one is spelled out below the table.
_LINE, _LINES = 13, 4
_EXACT = 1 - 1e-12  # of R2 within: what rounding leaves of an exact fit
_SYNCHRONIZATION = "synchronization of "


def regression_table(
    estimates: pd.DataFrame,
    *,
    title: str,
    main: str | None = None,
    synthetic: bool = False,
    effects: Mapping[Hashable, Sequence[str]] | None = None,
    notes: Sequence[str] = (),
    words: Words = ENGLISH,
) -> Table:
    """Estimates of one job as a table, a column a cell in order of appearance.

    Stars are those of the dyadic-robust errors where every cell has them, else of the jackknife, else of
    the first kind all cells share; without a shared kind no stars are printed. The note says which. A term of
    fewer than four adopting cities has none.

    Parameters
    ----------
    estimates : DataFrame
        One row a cell, term and kind of error, as in ``estimates.parquet``; columns beyond the standard
        ones are sweep keys.
    title : str
    main : str, optional
        The term printed first, alone or as event years: the treatment.
    synthetic : bool
        Whether the data are generated; the notes then say so.
    effects : mapping of cell to sequence of str, optional
        Fixed effects; pair and year effects are always there, year effects maybe within others.
    notes : sequence of str
        Further notes, printed last.

    Raises
    ------
    InputError
        A column is missing, there are no rows, or two rows share cell, term and kind of error.
    """
    sheet = _sheet(estimates, main)
    settings, abbreviations = _setting_rows(sheet, words)
    said = [*_notes(sheet, words), *abbreviations]
    if synthetic:
        said.append(words("Synthetic data: generated, not observed."))
    places = {cell: place for place, cell in enumerate(sheet.cells, start=1)}
    said += adopter_notes(estimates, places, words)
    return Table(
        title=title,
        header=tuple(f"({place})" for place in range(1, len(sheet.cells) + 1)),
        rows=(
            *_coefficient_rows(sheet, words),
            *settings,
            *_effect_rows(sheet, effects or {}, words),
            *_size_rows(sheet, words),
        ),
        notes=(*said, *notes),
        words=words,
    )


def number(value: float) -> str:
    """Four decimals, or three significant digits where four decimals would hide or drown them.

    >>> number(0.07021), number(-0.000412), number(1234.56), number(3.2e-9)
    ('0.0702', '-0.000412', '1,234.56', '3.20e-09')
    """
    size = abs(value)
    if size == 0 or 1e-3 <= size < 100:
        return f"{value:.4f}"
    if 100 <= size < 1e7:
        return f"{value:,.2f}"
    if 1e-6 <= size < 1e-3:
        exponent = int(f"{size:.2e}".partition("e")[2])
        return f"{value:.{2 - exponent}f}"
    return f"{value:.2e}"


def check_estimates(estimates: pd.DataFrame) -> None:
    """Refuse a frame that is not the estimates of one job.

    Raises
    ------
    InputError
        A column is missing, there are no rows, or two rows share cell, term and kind of error.
    """
    missing = [name for name in _RESULTS if name not in estimates.columns]
    remedy = "run the job again with this version: dyadid run JOB"
    if missing:
        raise InputError(f"the column '{missing[0]}' is missing", where="estimates", remedy=remedy)
    if estimates.empty:
        raise InputError("there are no rows", where="estimates", remedy=remedy)
    key = ["cell", "term", "errors"]
    twice = estimates.duplicated(key)
    if twice.any():
        cell, term, kind = estimates.loc[twice, key].iloc[0]
        raise InputError(
            f"there are two rows for cell {cell}, term {term}, errors {kind}",
            where="estimates",
            remedy="make one table for each job",
        )


def ordered_terms(terms: Sequence[str] | pd.Series, *, main: str | None = None) -> list[str]:
    """The main term, then event years (``policy[-5]``) together and ascending, then the rest as they appear."""
    groups: dict[str, dict[str, int]] = {}
    timed = set()
    for term in dict.fromkeys(terms):
        event = re.fullmatch(r"(.*)\[([+-]?\d+)\]", term)
        name, time = (event[1], int(event[2])) if event else (term, 0)
        groups.setdefault(name, {})[term] = time
        timed |= {name} if event else set()
    names = sorted(groups, key=lambda name: (name != main, name not in timed))
    return [term for name in names for term in sorted(groups[name], key=groups[name].__getitem__)]


@dataclass(frozen=True)
class _Sheet:
    """Estimates by cell, term and kind of error, with what is common to the table."""

    cells: tuple[Hashable, ...]
    terms: tuple[str, ...]
    kinds: tuple[str, ...]
    starred: str | None
    records: Mapping[tuple[Hashable, str, str], Mapping[Hashable, Any]]
    heads: Mapping[Hashable, Mapping[Hashable, Any]]
    sweep: tuple[str, ...]

    def column(self, name: str) -> list[Any]:
        return [self.heads[cell][name] for cell in self.cells]


def _sheet(estimates: pd.DataFrame, main: str | None) -> _Sheet:
    check_estimates(estimates)
    records: dict[tuple[Hashable, str, str], Mapping[Hashable, Any]] = {}
    heads: dict[Hashable, Mapping[Hashable, Any]] = {}
    kinds: dict[Hashable, set[str]] = {}
    for record in with_tests_withheld(estimates).to_dict("records"):
        cell, kind = record["cell"], record["errors"]
        records[cell, record["term"], kind] = record
        heads.setdefault(cell, record)
        kinds.setdefault(cell, set()).add(kind)
    order = tuple(dict.fromkeys(estimates["errors"]))
    shared = [kind for kind in order if all(kind in found for found in kinds.values())]
    return _Sheet(
        cells=tuple(heads),
        terms=tuple(ordered_terms(estimates["term"], main=main)),
        kinds=order,
        starred=preferred(shared),
        records=records,
        heads=heads,
        sweep=tuple(name for name in estimates.columns if name not in (*_RESULTS, *_OPTIONAL)),
    )


def _coefficient_rows(sheet: _Sheet, words: Words) -> Iterator[Row]:
    for term in sheet.terms:
        yield Row("coefficient", term, tuple(_coefficient(sheet, cell, term) for cell in sheet.cells), term)
        for kind in sheet.kinds:
            found = [sheet.records.get((cell, term, kind)) for cell in sheet.cells]
            if any(found):
                yield Row("error", error_label(kind, words), tuple(map(_error, found)), term)


def _coefficient(sheet: _Sheet, cell: Hashable, term: str) -> Entry:
    found = (sheet.records.get((cell, term, kind)) for kind in sheet.kinds)
    record = next((record for record in found if record), None)
    if record is None:
        return Entry()
    starred = sheet.records.get((cell, term, sheet.starred or ""))
    stars = next((mark for level, mark in _STARS if starred and starred["p_value"] < level), "")
    return Entry(number(record["estimate"]) + stars, record["estimate"])


def _error(record: Mapping[Hashable, Any] | None) -> Entry:
    if record is None:
        return Entry()
    if not isfinite(record["std_error"]):
        return Entry("(n/a)")
    return Entry(f"({number(record['std_error'])})", record["std_error"])


def _setting_rows(sheet: _Sheet, words: Words) -> tuple[list[Row], list[str]]:
    """Rows for what the cells differ in, and notes that spell out values too long for a column."""
    last = [key.rpartition(".")[2] for key in sheet.sweep]
    names = {key: name if last.count(name) == 1 else key for key, name in zip(sheet.sweep, last, strict=True)}
    said = [sheet.column(key) for key in sheet.sweep]
    for key in ("outcome", "estimator"):
        values = sheet.column(key)
        if len(set(values)) > 1 and values not in said:
            names[key] = key
    rows, notes = [], []
    for key, name in names.items():
        values = ["" if pd.isna(value) else str(value) for value in sheet.column(key)]
        if key == "outcome" and all(value.startswith(_SYNCHRONIZATION) for value in values):
            name, values = (
                _SYNCHRONIZATION.strip(),
                [value.removeprefix(_SYNCHRONIZATION) for value in values],
            )
        printed = {value: _wrapped(_setting(key, value, words)) for value in dict.fromkeys(values)}
        long = [value for value in printed if printed[value].count("\n") >= _LINES]
        marks = {value: f"[{chr(97 + rank % 26)}{rank // 26 or ''}]" for rank, value in enumerate(long)}
        entries = (Entry(marks.get(value, printed[value]), value) for value in values)
        label = words.known(name)
        rows.append(Row("setting", label, tuple(entries)))
        if marks:
            listed = words(", ").join(
                f"{mark} {_setting(key, value, words)}" for value, mark in marks.items()
            )
            notes.append(words("{name}: {values}.", name=label, values=listed))
    return rows, notes


def _wrapped(text: str) -> str:
    """The text in lines of a column's width, broken after blanks and joints of names; wide ones count twice."""
    lines = [""]
    for part in re.findall(r"[^\s+_/:,]*[\s+_/:,]?|.", text):
        room = sum(2 if character >= "\u2e80" else 1 for character in (lines[-1] + part).rstrip())
        if room > _LINE and lines[-1]:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def _effect_rows(sheet: _Sheet, effects: Mapping[Hashable, Sequence[str]], words: Words) -> Iterator[Row]:
    always = ("pair", "year")
    listed = [[*always, *effects.get(cell, ())] for cell in sheet.cells]
    for name in dict.fromkeys(name for names in listed for name in names):
        said = [words("Yes") if name in names else words("No") for names in listed]
        label = words.known(name.capitalize()) if name in always else name
        yield Row("setting", words("{name} FE", name=label), tuple(Entry(text, text) for text in said))


def _size_rows(sheet: _Sheet, words: Words) -> Iterator[Row]:
    for label, name in _COUNTS.items():
        yield Row(
            "count", words.known(label), tuple(Entry(f"{int(v):,}", int(v)) for v in sheet.column(name))
        )
    for label, name in _FITS.items():
        values = sheet.column(name)
        yield Row(
            "fit", words.known(label), tuple(Entry(number(v), v) if isfinite(v) else Entry() for v in values)
        )


def _setting(key: str, value: str, words: Words) -> str:
    return words.outcome(value) if key == "outcome" else words.known(value)


def _notes(sheet: _Sheet, words: Words) -> Iterator[str]:
    outcomes: dict[str, list[int]] = {}
    for place, outcome in enumerate(sheet.column("outcome"), start=1):
        outcomes.setdefault(words.outcome(str(outcome)), []).append(place)
    if len(outcomes) == 1:
        yield words("Dependent variable: {outcome}.", outcome=next(iter(outcomes)))
    else:
        form = "{what} in {columns}"
        parts = (words(form, what=name, columns=columns_phrase(at, words)) for name, at in outcomes.items())
        yield words("Dependent variable: {outcome}.", outcome=words("; ").join(parts))
    yield words("Standard errors in parentheses, one row for each kind.")
    if sheet.starred:
        label = error_label(sheet.starred, words)
        yield words("Stars from the {kind} errors: * p<0.10, ** p<0.05, *** p<0.01.", kind=label)
    else:
        yield words("No stars: the columns have no kind of error in common.")
    yield from (words(caution) for caution in cautions(sheet.kinds))
    if not all(isfinite(record["std_error"]) for record in sheet.records.values()):
        yield words("(n/a): this kind of error is undefined here.")
    zeros = [record["r2_within"] for record in sheet.records.values() if record["std_error"] == 0]
    if any(not r2 < _EXACT for r2 in zeros):
        yield words("A standard error of zero has neither a t ratio nor stars: the fit is exact.")
    if any(r2 < _EXACT for r2 in zeros):
        yield words(
            "A two-way city error of zero stands for a negative variance: it is no error, and has no t ratio."
        )
