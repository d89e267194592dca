"""A user's own dyadic table, one row a pair and year, as dense arrays by pair."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.tables import cells

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True)
class PairColumns:
    """Dense columns of a pair table.

    Attributes
    ----------
    units : tuple of str
        Sorted.
    years : tuple of int
        Those of the table, ascending; they need not be consecutive.
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
    """

    units: tuple[str, ...]
    years: tuple[int, ...]
    i: np.ndarray[Any, np.dtype[np.int32]]
    j: np.ndarray[Any, np.dtype[np.int32]]
    values: Array
    directed: bool
    weights: Array | None = None
    levels: Mapping[str, np.ndarray[Any, np.dtype[np.int32]]] = field(default_factory=dict)


def pair_columns(
    frame: pd.DataFrame,
    *,
    source: str,
    unit_i: str,
    unit_j: str,
    year: str,
    directed: bool,
    regressors: tuple[str, ...],
    outcome: str,
    years: tuple[int, int] | None = None,
    weight: str | None = None,
    effects: Sequence[str] = (),
) -> PairColumns:
    """Check a dyadic table and lay it out by pair and year.

    Parameters
    ----------
    frame : DataFrame
    source : str
        File, for messages.
    unit_i, unit_j, year, outcome : str
        Columns of the table.
    regressors : tuple of str
    directed : bool
        False: a pair is unordered and may stand in either order, but only in one. True: (i, j) and (j, i)
        are two pairs of one dyad.
    years : tuple of int, optional
        First and last year of the sample.
    weight : str, optional
        Column of row weights.
    effects : sequence of str
        Columns whose values are levels of fixed effects; a row that lacks one is missing.

    Raises
    ------
    InputError
        For missing columns, negative or missing weights, text in number columns, pairs of a unit with itself,
        rows given twice, and undirected tables that hold both directions.
    """
    wanted = {"pair_table.unit_i": unit_i, "pair_table.unit_j": unit_j, "pair_table.year": year}
    wanted |= {"outcome.column": outcome} | {
        f"model.regressors[{n}]": name for n, name in enumerate(regressors)
    }
    if weight is not None:
        wanted["pair_table.weight"] = weight
    wanted |= {f"model.fixed_effects: '{name}'": name for name in effects}
    for key, name in wanted.items():
        _require(frame, name, key, source)
    if frame.empty:
        raise InputError("the table has no rows", where=source)
    time = cells.years(frame[year], source=source)
    if years is not None:
        frame, time = _window(frame, time, years, source)
    one, other, units = _units(frame, unit_i, unit_j, source)
    swap = (one > other) & (not directed)
    i, j = np.where(swap, other, one), np.where(swap, one, other)
    present = np.unique(time)
    t = np.searchsorted(present, time)
    _refuse_repeats(frame, (i, j, t), swap, directed, (unit_i, unit_j, year), source)
    columns = [cells.numbers(frame[name], source=source)[0] for name in (*regressors, outcome)]
    for name, values in zip(regressors, columns, strict=False):
        _refuse_infinite(values, frame.index, name, source)
    low, high, direction = np.minimum(i, j), np.maximum(i, j), (i > j).astype(np.int64)
    dyads, position = np.unique(low * len(units) + high, return_inverse=True)
    first, second = dyads // len(units), dyads % len(units)
    if directed:
        position = 2 * position + direction
        first, second = np.stack([first, second], 1).ravel(), np.stack([second, first], 1).ravel()
    values = np.full((len(first), len(present), len(columns)), np.nan)
    values[position, t] = np.stack(columns, axis=1)
    levels = {name: np.full(values.shape[:2], -1, dtype=np.int32) for name in effects}
    for name, codes in levels.items():
        codes[position, t] = cells.names(frame[name])[0]
        values[codes < 0] = np.nan
    weights = None
    if weight is not None:
        weights = np.zeros(values.shape[:2])
        weights[position, t] = _weights(frame, weight, source)
        weights = _scaled(weights, values)
    return PairColumns(
        units,
        tuple(present.tolist()),
        first.astype(np.int32),
        second.astype(np.int32),
        values,
        directed,
        weights,
        levels,
    )


def _weights(frame: pd.DataFrame, name: str, source: str) -> Array:
    weights = cells.numbers(frame[name], source=source)[0]
    bad = ~(np.isfinite(weights) & (weights >= 0))
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"the weight is {weights[row]:g}",
            where=f"{source}: row {frame.index[row] + cells.FIRST_ROW}, column '{name}'",
            remedy="weights are numbers from zero up; zero leaves a row out",
        )
    return np.asarray(weights)


def _scaled(weights: Array, values: Array) -> Array:
    """Weights with mean one over the rows of pairs that have two complete rows of positive weight."""
    complete = np.isfinite(values).all(axis=2) & (weights > 0)
    used = complete & (complete.sum(axis=1, keepdims=True) >= 2)
    return np.where(used, weights, 0.0) / (weights[used].mean() if used.any() else 1.0)


def _require(frame: pd.DataFrame, name: str, key: str, source: str) -> None:
    if name not in frame.columns:
        near = difflib.get_close_matches(name, [str(column) for column in frame.columns], 1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise InputError(
            f"there is no column '{name}'",
            where=f"{source}: {key}",
            remedy=f"{hint}the table has {', '.join(map(str, frame.columns[:20]))}",
        )


def _window(
    frame: pd.DataFrame, time: Integers, years: tuple[int, int], source: str
) -> tuple[pd.DataFrame, Integers]:
    inside = (time >= years[0]) & (time <= years[1])
    if years[0] < time.min() or years[1] > time.max():
        raise InputError(
            f"years [{years[0]}, {years[1]}] reach beyond the table, which has {time.min()} to {time.max()}",
            where=f"{source}: years",
            remedy="name years that the table has",
        )
    return frame[inside], time[inside]


def _refuse_infinite(values: Array, rows: pd.Index, name: str, source: str) -> None:
    """An outcome may be infinite (``outcome.infinite`` says what becomes of it), a regressor may not."""
    if np.isinf(values).any():
        row = int(np.argmax(np.isinf(values)))
        raise InputError(
            f"the regressor is {values[row]:g}",
            where=f"{source}: row {rows[row] + cells.FIRST_ROW}, column '{name}'",
            remedy="mend the cell, or leave it empty where it is missing; ln 0 is -inf",
        )


def _units(
    frame: pd.DataFrame, unit_i: str, unit_j: str, source: str
) -> tuple[Integers, Integers, tuple[str, ...]]:
    """Codes of both units in one sorted list of names."""
    codes, units = cells.names(pd.concat([frame[unit_i], frame[unit_j]], ignore_index=True))
    one, other = codes[: len(frame)], codes[len(frame) :]
    for bad, what, remedy in (
        ((one < 0) | (other < 0), "a unit is empty", "name both units in every row"),
        (one == other, "a unit is paired with itself", "leave such rows out"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{what} ({frame[unit_i].iloc[row]}, {frame[unit_j].iloc[row]})",
                where=f"{source}: row {frame.index[row] + cells.FIRST_ROW}",
                remedy=remedy,
            )
    return one, other, units


def _refuse_repeats(
    frame: pd.DataFrame,
    position: tuple[Integers, Integers, Integers],
    swapped: Any,
    directed: bool,
    columns: tuple[str, str, str],
    source: str,
) -> None:
    """Refuse rows given twice, and undirected tables in which one pair stands in both orders."""
    i, j, t = position
    keys = pd.DataFrame({"i": i, "j": j, "t": t, "swapped": swapped})
    both = keys.groupby(["i", "j"], sort=False)["swapped"].transform("nunique").to_numpy() > 1
    if not directed and both.any():
        row = int(np.argmax(both))
        names = frame[columns[0]].iloc[row], frame[columns[1]].iloc[row]
        raise InputError(
            f"pair_table.directed is false, but the table holds both ({names[0]}, {names[1]}) and "
            f"({names[1]}, {names[0]})",
            where=f"{source}: row {frame.index[row] + cells.FIRST_ROW}",
            remedy="keep one row a pair and year, or say directed: true if the two directions differ",
        )
    repeated = keys.duplicated(["i", "j", "t"]).to_numpy()
    if repeated.any():
        row = int(np.argmax(repeated))
        what = ", ".join(str(frame[name].iloc[row]) for name in columns)
        raise InputError(
            f"({what}) is given twice; {int(repeated.sum())} rows repeat an earlier one",
            where=f"{source}: row {frame.index[row] + cells.FIRST_ROW}",
            remedy="keep one row a pair and year",
        )
