"""Tests of many coefficients together, over the terms and cells whose draws are the same draws."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from engine.infer.step_down import holm_p, step_down_p
from engine.report.outputs.multiple_tests import MULTIPLE_COLUMNS
from engine.stages.curve_run import Passes, enumerated, incomparable
from engine.stages.inference.draw_collector import Inferred

_METHODS = ("permutation", "node", "multiplier", "wild")
"""Kinds of draws with t ratios whose null is zero."""


def multiple_frame(job: str, passes: Passes, inferred: Inferred) -> pd.DataFrame:
    """One row a kind of draws, cell and term, of families of two or more coefficients.

    A family is all coefficients that a kind of draws tests in the job, where a replicate is one draw of all cells;
    else those of a cell.
    """
    rows = inferred.rows
    tables = []
    for method in _METHODS:
        tested = rows[(rows["method"] == method) & np.isfinite(rows["p_value"].astype(float))]
        draws = inferred.draws[inferred.draws["method"] == method]
        for family in _families(method, passes, tested):
            exact = method == "permutation" and enumerated(_passes_of(family, passes))
            tables.append(_adjusted(family, draws, exact=exact))
    if not tables:
        return pd.DataFrame(columns=list(MULTIPLE_COLUMNS))
    return pd.concat(tables, ignore_index=True).assign(job=job)[list(MULTIPLE_COLUMNS)]


def _families(method: str, passes: Passes, tested: pd.DataFrame) -> Iterator[pd.DataFrame]:
    if tested["cell"].nunique() > 1 and _same_draws(method, _passes_of(tested, passes)):
        yield tested
        return
    for _, of_cell in tested.groupby("cell", sort=False):
        if len(of_cell) > 1:
            yield of_cell


def _passes_of(family: pd.DataFrame, passes: Passes) -> Passes:
    """The passes and cells that a family has."""
    ids = set(family["cell"])
    chosen = [(prepared, [cell for cell in cells if cell.cell.id in ids]) for prepared, cells in passes]
    return [(prepared, cells) for prepared, cells in chosen if cells]


def _same_draws(method: str, passes: Passes) -> bool:
    """Whether a replicate is one draw of all these cells."""
    if method == "permutation":
        return incomparable(passes) is None
    schemes = [cell.cell.job.inference.bootstrap for _, cells in passes for cell in cells]
    units = {prepared.pass_cells.data.units for prepared, _ in passes}
    return len(units) == 1 and all(scheme == schemes[0] for scheme in schemes)


def _adjusted(family: pd.DataFrame, draws: pd.DataFrame, *, exact: bool) -> pd.DataFrame:
    keys = list(zip(family["cell"], family["term"], strict=True))
    wide = draws.pivot(index="replicate", columns=["cell", "term"], values="statistic")[keys]
    drawn, observed = wide.to_numpy(dtype=float), family["statistic"].to_numpy(dtype=float)
    return family[["cell", "term", "method", "statistic", "p_value"]].assign(
        tests=len(family),
        reps=int(np.isfinite(drawn).all(axis=1).sum()),
        step_down_p=step_down_p(observed, drawn, exact=exact),
        holm_p=holm_p(family["p_value"].to_numpy(dtype=float)),
    )
