"""The pair-year table behind a regression: what the engine computes with and never writes down, for other programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from engine.arrays import Flags
from engine.errors import InputError
from engine.estimate.absorb import Effect, prepare
from engine.pairs.map_reduce import pair_rows
from engine.pairs.pair_effects import OfPairs, OfYears
from engine.pairs.pair_rows import PairRows, merge_rows
from engine.runtime.execute import Machine
from engine.runtime.files import check_file_place, write_with
from engine.spec import Cell
from engine.stages.estimation import first_pass
from engine.stages.pass_cells import columns_of, offset_name
from engine.stages.prepare_passes import Prepared


def pair_year_frame(machine: Machine, prepared: Prepared, cell: Cell) -> pd.DataFrame:
    """The pair-years of a cell's regression: ``unit_i, unit_j, year``, outcome, treatment terms, regressors, offset.

    Rows whose outcome is infinite, and rows alone in a level of a fixed effect, are left out, as in the regression;
    weights follow where the rows have any.

    Raises
    ------
    InputError
        Where a regressor has the name of another column of the table.
    """
    design, work, job = prepared.design, prepared.pass_cells, cell.job
    terms = prepared.terms[work.cells.index(cell)]
    in_regression = {term.name for term in columns_of(cell, work.controls)} | {offset_name(cell.job)}
    regressors = [place for place, name in enumerate(work.controls) if name in in_regression]
    is_weighted = job.matching is not None or (
        job.pair_table is not None and job.pair_table.weight is not None
    )
    names = ["unit_i", "unit_j", "year", job.outcome.name, *terms.names]
    names += [*(work.controls[place] for place in regressors), *(["weight"] if is_weighted else [])]
    for name in names:
        if names.count(name) > 1:
            raise InputError(
                f"two columns of the pair-year table would be called '{name}'",
                where=f"cell '{cell.label}'",
                remedy="give the regressor or the outcome another name",
            )
    _, rows = first_pass(machine, design, cell, pair_rows, merge_rows, label="pairs")
    values = design.data_values(rows)
    units, years = np.array(work.data.units, dtype=object), np.array(work.data.years)
    class_i, class_j = design.pair_classes(rows.i, rows.j)
    paths = terms.table[class_i[rows.pair], class_j[rows.pair], rows.year]
    columns = [units[rows.first], units[rows.second], years[rows.year], values[:, -1], *paths.T]
    columns += [*values[:, regressors].T, *([rows.weights] if is_weighted else [])]
    frame = pd.DataFrame(dict(zip(names, columns, strict=True)))
    return frame[_without_singletons(prepared, rows)].reset_index(drop=True)


def _without_singletons(prepared: Prepared, rows: PairRows) -> Flags:
    """Rows that are alone in no level of a fixed effect, once those that are have left."""
    if not len(rows.pair):
        return np.ones(0, dtype=bool)
    effects = prepared.effects or (OfPairs("pair"), OfYears("year"))
    levels = [Effect(effect.name, effect.codes(rows, prepared.design.n_years)) for effect in effects]
    return prepare(levels, singletons="drop").design.kept


def check_path(path: Path) -> None:
    """Raises InputError for a file that no pair-year table can be written to; before anything is computed."""
    if path.suffix.lower() not in _WRITERS:
        raise InputError(
            f"no table of pairs is written as '{path.suffix}'",
            where=str(path),
            remedy=f"take one of {', '.join(_WRITERS)}",
        )
    check_file_place(path, example="pairs.parquet")


def write_pair_years(frame: pd.DataFrame, path: Path) -> None:
    """Write a pair-year table, by the ending of the path: ``.parquet``, ``.csv`` or ``.dta``."""
    write_with(path, partial(_WRITERS[path.suffix.lower()], frame))


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    frame.to_parquet(path, index=False)


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False)


def _write_stata(frame: pd.DataFrame, path: Path) -> None:
    names = stata_names(list(frame.columns))
    labels = {name: label[:80] for name, label in zip(names, frame.columns, strict=True)}
    frame.set_axis(names, axis=1).to_stata(path, write_index=False, version=118, variable_labels=labels)


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".dta": _write_stata,
}


def stata_names(names: Sequence[str]) -> list[str]:
    """Names that Stata takes, each once: at most 32 letters, digits and _; ``policy[-3]`` is ``policy_m3``.

    >>> stata_names(["synchronization of gdp", "policy[-3]", "policy[+1]", "2x"])
    ['synchronization_of_gdp', 'policy_m3', 'policy_1', '_2x']
    """
    taken: list[str] = []
    for name in names:
        plain = re.sub(r"\[-(\d+)\]", r"_m\1", re.sub(r"\[\+?(\d+)\]", r"_\1", name))
        plain = re.sub(r"\W", "_", plain)
        plain = (f"_{plain}" if plain[:1].isdigit() else plain)[:32] or "_"
        number, unique = 2, plain
        while unique in taken:
            unique, number = f"{plain[: 31 - len(str(number))]}_{number}", number + 1
        taken.append(unique)
    return taken
