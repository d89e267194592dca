"""The pair-year table behind a regression: what the engine computes with and never writes down, for other programs."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from engine.errors import InputError
from engine.pairs.map_reduce import pair_rows
from engine.pairs.pair_rows import merge_rows
from engine.runtime.execute import Machine
from engine.runtime.files import write_with
from engine.spec import Cell, Plan
from engine.stages.estimation import columns_of, first_pass
from engine.stages.prepare_passes import Prepared


def pair_year_frame(machine: Machine, prepared: Prepared, cell: Cell) -> pd.DataFrame:
    """The observed pair-years of a cell, one row each: ``unit_i, unit_j, year``, outcome, treatment terms, regressors.

    A pair with a single observed year and a pair-year whose outcome is infinite are left out, as in the regression;
    weights follow where the rows have any.
    """
    design, work = prepared.design, prepared.pass_cells
    _, rows = first_pass(machine, design, cell, pair_rows, merge_rows, label="pairs")
    values = design.data_values(rows)
    units, years = np.array(work.data.units, dtype=object), np.array(work.data.years)
    terms = prepared.terms[work.cells.index(cell)]
    paths = terms.table[design.classes[rows.first], design.classes[rows.second], rows.year]
    columns: dict[str, object] = {
        "unit_i": units[rows.first],
        "unit_j": units[rows.second],
        "year": years[rows.year],
        cell.job.outcome.name: values[:, -1],
    }
    columns |= {name: paths[:, place] for place, name in enumerate(terms.names)}
    regressors = [term.name for term in columns_of(cell, work.controls)]
    columns |= {name: values[:, place] for place, name in enumerate(work.controls) if name in regressors}
    if (rows.weights != 1).any():
        columns["weight"] = rows.weights
    return pd.DataFrame(columns)


def chosen_cell(plan: Plan, name: str | None) -> Cell:
    """The cell of a label, an id or a number from 1; raises InputError where the name fits none, or is needed."""
    if name is None and len(plan.cells) == 1:
        return plan.cells[0]
    named = [cell for cell in plan.cells if name in (cell.label, cell.id, str(cell.number))]
    if len(named) == 1:
        return named[0]
    labels = "; ".join(f"{cell.number} {cell.label}" for cell in plan.cells[:20])
    more = f" and {len(plan.cells) - 20} more" if len(plan.cells) > 20 else ""
    raise InputError(
        f"the job has {len(plan.cells)} cells" if name is None else f"there is no one cell '{name}'",
        where=str(plan.loaded.path),
        remedy=f"name one of {labels}{more}",
    )


def check_ending(path: Path) -> None:
    """Raises InputError for a file that no pair-year table is written as; before anything is computed."""
    if path.suffix.lower() not in _WRITERS:
        raise InputError(
            f"no table of pairs is written as '{path.suffix}'",
            where=str(path),
            remedy=f"take one of {', '.join(_WRITERS)}",
        )


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
