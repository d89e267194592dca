"""A user's own dyadic table, one row a pair and year, as dense arrays by pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from engine.arrays import Array, Integers, LongIntegers
from engine.notes import Note, shortened
from engine.pairs.refused_values import (
    refuse_infinite,
    refuse_infinite_outcome,
    refuse_large,
    refuse_negative,
    refuse_weights,
)
from engine.pairs.table_adoption import TableAdoption, table_adoption
from engine.pairs.table_report import TableColumn, TableReport, table_column
from engine.pairs.table_rows import (
    MERGE_KEY,
    TableRequest,
    TableRows,
    read_rows,
    require_column,
    rows_of_years,
)
from engine.pairs.table_values import TableValues, columns_read
from engine.pairs.year_slopes import slope_columns
from engine.tables.labels import Labels, read_labels
from engine.tables.missing import names_are_never_missing
from engine.tables.problems import Problems

_SHOWN = 5  # columns of a note


@dataclass(frozen=True)
class PairColumns:
    """Dense columns of a pair table.

    Attributes
    ----------
    units : tuple of str
        Sorted; those with a row in the sample.
    years : tuple of int
        Those of the sample that have a row, ascending; they need not be consecutive.
    i, j : int32 ``[n_pairs]``
        Positions of the two units, sorted; i < j unless directed. Directed tables have rows 2q and 2q+1
        for the two directions of a dyad, one of which may be empty.
    values : float64 ``[n_pairs, n_years, n_columns]``
        Regressors, then the outcome; NaN where missing.
    directed : bool
    weights : float64 ``[n_pairs, n_years]`` or None
        Weights of the rows, mean one over the rows that a regression can use; zero elsewhere.
    levels : mapping of str to int32 ``[n_pairs, n_years]``
        Columns whose values are levels of fixed effects, as codes; -1 where missing.
    adopted : float64 ``[n_pairs]`` or None
        Year in which each pair becomes treated, where pairs are treated themselves; NaN for never.
    unit_adopted : float64 ``[n_units]`` or None
        Adoption year of each unit, where the treatment is a function of those; NaN for never.
    slope_years : tuple of int
        Years that a lag of the regressors leaves; all but the first have columns of regressors by year.
    """

    units: tuple[str, ...]
    years: tuple[int, ...]
    i: Integers
    j: Integers
    values: Array
    directed: bool
    weights: Array | None = None
    levels: Mapping[str, Integers] = field(default_factory=dict)
    adopted: Array | None = None
    unit_adopted: Array | None = None
    slope_years: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Sample:
    """Values of the rows of the sample, one entry a row.

    Attributes
    ----------
    rows : TableRows
        All rows of the table.
    sample_rows : int64 ``[n_rows]``
        Positions of those of the sample.
    columns : float64 ``[n_rows, n_columns]``
        Regressors, lagged, then the outcome.
    weight : float64 ``[n_rows]`` or None
    levels : mapping of str to int64 ``[n_rows]``
    slope_years : tuple of int
        As in `PairColumns`.
    adoption : TableAdoption
    """

    rows: TableRows
    sample_rows: LongIntegers
    columns: Array
    weight: Array | None
    levels: Mapping[str, LongIntegers]
    slope_years: tuple[int, ...]
    adoption: TableAdoption = field(default_factory=TableAdoption)


def pair_columns(
    frame: pd.DataFrame, request: TableRequest, *, source: str
) -> tuple[PairColumns, TableReport]:
    """Check a dyadic table and lay it out by pair and year; and report what is in it.

    Parameters
    ----------
    frame : DataFrame
        One row a pair and year, in any order; blank rows are passed over.
    request : TableRequest
    source : str
        File, for messages.

    Raises
    ------
    InputError
        For missing columns, negative weights, text in number columns, regressors that are infinite or undefined,
        pairs of a unit with itself, a pair and year given twice, and a table too large; all that can be found at
        once is reported at once.
    """
    problems = Problems(source)
    read: list[str] = []
    keyed = [
        *request.keys.items(),
        *request.timing,
        *((f"model.fixed_effects: '{name}'", name) for name in request.effects),
    ]
    for key, name in [*keyed, *(("pair_table.missing", name) for name in request.missing)]:
        with problems.collect():
            require_column(frame, name, key=key, source=source)
    for name in {request.unit_i, request.unit_j} & set(request.missing):
        problems.add(names_are_never_missing("pair_table.missing", name))
    for key, text in request.formulas.items():
        with problems.collect():
            read += columns_read(frame, text, key=key, source=source)
    problems.raise_any()
    rows = read_rows(frame, request, source=source, problems=problems)
    values = TableValues(rows, request.missing, request.rules)
    for name in dict.fromkeys(read):
        with problems.collect():
            values.column(name)
    adoption = TableAdoption()
    with problems.collect():
        adoption = table_adoption(rows, values, request)
    problems.raise_any()
    sample_rows = rows_of_years(rows.year, request.years, source)
    sample, report = _sample(rows, values, sample_rows, request)
    sample = replace(sample, adoption=adoption)
    notes = (*report.notes, *values.notes, *adoption.notes)
    return _laid_out(sample, request), replace(report, notes=notes)


def _sample(
    rows: TableRows, values: TableValues, sample_rows: LongIntegers, request: TableRequest
) -> tuple[_Sample, TableReport]:
    problems = Problems(rows.source)
    earlier = values.earlier_rows(request.lag)[sample_rows] if request.lag else sample_rows
    slope_years = tuple(np.unique(rows.year[sample_rows][earlier >= 0]).tolist())
    regressors = {text: values.values(text) for text in request.regressors}
    reports = [table_column(text, full[sample_rows]) for text, full in regressors.items()]
    columns: list[Array] = []
    for text, full in regressors.items():
        lagged = np.where(earlier >= 0, full[earlier], np.nan)
        with problems.collect():
            refuse_infinite(lagged, earlier, text, rows, values)
        columns += _columns_of(lagged, rows, sample_rows, earlier) if text in request.by_year else [lagged]
    if request.offset is not None:
        columns.append(values.values(request.offset)[sample_rows])
        reports.append(table_column(request.offset, columns[-1]))
        with problems.collect():
            refuse_infinite(columns[-1], sample_rows, request.offset, rows, values, noun="offset")
    outcome = values.values(request.outcome)[sample_rows]
    if request.from_zero:
        with problems.collect():
            refuse_negative(outcome, sample_rows, request.outcome, rows)
    reports.append(table_column(request.outcome, outcome))
    with problems.collect():
        refuse_infinite_outcome(outcome, sample_rows, request, rows)
    weight = None
    if request.weight is not None:
        weight = values.values(request.weight)[sample_rows]
        reports.append(table_column(request.weight, weight))
        with problems.collect():
            refuse_weights(weight, sample_rows, request, rows)
    problems.raise_any()
    labels = {name: _level_labels(rows, name, request) for name in request.effects}
    levels = {name: of_column.codes[0][sample_rows] for name, of_column in labels.items()}
    sample = _Sample(rows, sample_rows, np.stack([*columns, outcome], axis=1), weight, levels, slope_years)
    warnings = [*values.code_warnings(), *_label_warnings(labels, rows)]
    return sample, _report(sample, earlier, reports, warnings, request)


def _columns_of(
    lagged: Array, rows: TableRows, sample_rows: LongIntegers, earlier: LongIntegers
) -> list[Array]:
    """A regressor by year (`engine.pairs.year_slopes`)."""
    return slope_columns(lagged, rows.pair[sample_rows], rows.year[sample_rows], earlier >= 0)


def _level_labels(rows: TableRows, name: str, request: TableRequest) -> Labels:
    """Levels of a fixed effect."""
    missing = request.missing.get(name, ())
    return read_labels([rows.frame[name]], source=rows.source, merge=request.merge, missing=missing)


def _label_warnings(labels: Mapping[str, Labels], rows: TableRows) -> Iterator[Note]:
    for name, of_column in labels.items():
        if not pd.api.types.is_numeric_dtype(rows.frame[name].dtype):
            names = Note.of("labels_of_column", column=name)
            yield from of_column.warnings(source=rows.source, names=names, key=MERGE_KEY)


def _report(
    sample: _Sample,
    earlier: LongIntegers,
    columns: list[TableColumn],
    warnings: list[Note],
    request: TableRequest,
) -> TableReport:
    rows, sample_rows = sample.rows, sample.sample_rows
    units = np.union1d(rows.first[sample_rows], rows.second[sample_rows])
    labels = replace(rows.labels, names=tuple(rows.units[unit] for unit in units))
    source, years = rows.source, rows.year[sample_rows]
    usable = np.isfinite(sample.columns).all(axis=1)
    if sample.weight is not None:
        usable &= sample.weight > 0
    for codes in sample.levels.values():
        usable &= codes >= 0
    return TableReport(
        source=source,
        years=(int(years.min()), int(years.max())),
        n_years=len(np.unique(years)),
        n_units=len(units),
        n_pairs=len(np.unique(rows.pair[sample_rows])),
        n_rows=len(sample_rows),
        n_used=int(usable.sum()),
        directed=rows.directed,
        lag=request.lag,
        columns=tuple(columns),
        warnings=(
            *_lost_rows(sample, earlier, request),
            *warnings,
            *labels.warnings(source=source, names=Note("units"), key=MERGE_KEY),
        ),
        notes=(
            *_notes(sample, earlier, request),
            *rows.notes,
            *labels.notes(source=source, place=Note("units")),
        ),
    )


def _lost_rows(sample: _Sample, earlier: LongIntegers, request: TableRequest) -> Iterator[Note]:
    """Rows that leave the sample, by reason; those of a year that a lag loses are none of them."""
    total = len(sample.sample_rows)
    lacking = np.isnan(sample.columns) & (earlier >= 0)[:, None]
    if lacking.any():
        counts = zip(request.sources(sample.slope_years), lacking.sum(axis=0).tolist(), strict=True)
        columns = [f"{name}: {count:,}" for name, count in dict.fromkeys(counts) if count]
        count = int(lacking.any(axis=1).sum())
        yield Note.of("rows_incomplete", count=count, total=total, columns=shortened(columns, _SHOWN))
    infinite = np.isinf(sample.columns[:, -1])
    if infinite.any():
        row = sample.rows.number(int(sample.sample_rows[np.argmax(infinite)]))
        count = int(infinite.sum())
        yield Note.of("rows_infinite", count=count, total=total, outcome=request.outcome, row=row)
    for name, codes in sample.levels.items():
        if (codes < 0).any():
            count = int((codes < 0).sum())
            yield Note.of(
                "rows_without_value", count=count, total=total, column=name, key="model.fixed_effects"
            )
    if request.weight is not None and sample.weight is not None and np.isnan(sample.weight).any():
        count, key = int(np.isnan(sample.weight).sum()), "pair_table.weight"
        yield Note.of("rows_without_value", count=count, total=total, column=request.weight, key=key)


def _notes(sample: _Sample, earlier: LongIntegers, request: TableRequest) -> Iterator[Note]:
    """Rows that are passed over, or leave because the job says so."""
    total = len(sample.sample_rows)
    if sample.rows.n_blank:
        yield Note.of("blank_unit_rows", count=sample.rows.n_blank)
    n_rows = len(sample.rows.year)
    if request.years is not None and total < n_rows:
        first, last = request.years
        yield Note.of("rows_outside_years", count=n_rows - total, total=n_rows, first=first, last=last)
    if (earlier < 0).any():
        yield Note.of("rows_without_lag", count=int((earlier < 0).sum()), total=total, lag=request.lag)
    if sample.weight is not None and (sample.weight == 0).any():
        yield Note.of("rows_weight_zero", count=int((sample.weight == 0).sum()), total=total)


def _laid_out(sample: _Sample, request: TableRequest) -> PairColumns:
    """Rows of the sample as dense arrays."""
    rows, sample_rows, directed = sample.rows, sample.sample_rows, request.directed
    units = np.concatenate([rows.first[sample_rows], rows.second[sample_rows]])
    present, codes = np.unique(units, return_inverse=True)
    sender, receiver = codes[: len(sample_rows)], codes[len(sample_rows) :]
    low, high = np.minimum(sender, receiver), np.maximum(sender, receiver)
    years, t = np.unique(rows.year[sample_rows], return_inverse=True)
    dyads, position = np.unique(low * len(present) + high, return_inverse=True)
    first, second = dyads // len(present), dyads % len(present)
    if directed:
        position = 2 * position + (sender > receiver)
        first, second = np.stack([first, second], 1).ravel(), np.stack([second, first], 1).ravel()
    shape = len(first), len(years)
    refuse_large(shape, len(sample_rows), sample.columns.shape[1], request)
    values = np.full((*shape, sample.columns.shape[1]), np.nan)
    values[position, t] = sample.columns
    levels = {name: np.full(shape, -1, dtype=np.int32) for name in sample.levels}
    for name, codes in sample.levels.items():
        levels[name][position, t] = codes
        values[levels[name] < 0] = np.nan
    weights = None
    if sample.weight is not None:
        weights = np.zeros(shape)
        weights[position, t] = np.nan_to_num(sample.weight)
        weights = _scaled(weights, values, request.least_rows)
    return PairColumns(
        units=tuple(rows.units[unit] for unit in present),
        years=tuple(years.tolist()),
        i=first.astype(np.int32),
        j=second.astype(np.int32),
        values=values,
        directed=directed,
        weights=weights,
        levels=levels,
        adopted=_years_of_pairs(sample, position, len(first)),
        unit_adopted=None if sample.adoption.of_units is None else sample.adoption.of_units[present],
        slope_years=sample.slope_years,
    )


def _years_of_pairs(sample: _Sample, position: LongIntegers, n_pairs: int) -> Array | None:
    """Years of adoption ``[n_pairs]``, from the position of each row; NaN for a direction without rows."""
    if sample.adoption.of_pairs is None:
        return None
    adopted = np.full(n_pairs, np.nan)
    adopted[position] = sample.adoption.of_pairs[sample.rows.pair[sample.sample_rows]]
    return adopted


def _scaled(weights: Array, values: Array, least_rows: int) -> Array:
    """Weights with mean one over the rows of pairs that have enough complete rows of positive weight."""
    complete = np.isfinite(values).all(axis=2) & (weights > 0)
    usable = complete & (complete.sum(axis=1, keepdims=True) >= least_rows)
    return np.where(usable, weights, 0.0) / (weights[usable].mean() if usable.any() else 1.0)
