"""Tests of many coefficients together, over the terms and cells whose draws are the same draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from engine.infer.step_down import holm_p, step_down_p
from engine.report.outputs.multiple_tests import MULTIPLE_COLUMNS
from engine.stages.curve_run import Passes, enumerated, incomparable
from engine.stages.inference.draw_collector import Inferred

_METHODS = ("permutation", "node", "multiplier", "wild", "two_way_wild")
"""Kinds of draws with t ratios whose null is zero."""


def multiple_frame(job: str, passes: Passes, inferred: Inferred) -> pd.DataFrame:
    """One row a kind of draws, cell and term, of families of two or more coefficients.

    A family is all coefficients that a kind of draws tests in the job, where a replicate is one draw of all cells;
    else those of the cells with one seed and scheme where that is so, or those of a cell.
    """
    rows = inferred.rows
    tables = []
    for method in _METHODS:
        of_method = inferred.draws[inferred.draws["method"] == method]
        if of_method.empty:
            continue
        tested = rows[(rows["method"] == method) & np.isfinite(rows["p_value"].astype(float))]
        draws = {str(cell): of_cell for cell, of_cell in of_method.groupby("cell", sort=False)}
        for family in _families(method, passes, tested):
            exact = method == "permutation" and enumerated(_passes_of(family, passes))
            tables.append(_adjusted(family, draws, exact=exact))
    if not tables:
        return pd.DataFrame(columns=list(MULTIPLE_COLUMNS))
    return pd.concat(tables, ignore_index=True).assign(job=job)[list(MULTIPLE_COLUMNS)]


def _families(method: str, passes: Passes, tested: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Coefficients that are tested together, of two or more."""
    for group in _alike(method, passes, tested):
        if group["cell"].nunique() > 1 and _same_draws(method, _passes_of(group, passes)):
            yield group
            continue
        for _, of_cell in group.groupby("cell", sort=False):
            if len(of_cell) > 1:
                yield of_cell


def _alike(method: str, passes: Passes, tested: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows in groups of cells that name the same scheme and seed."""
    schemes: dict[str, str] = {}
    for _, cells in passes:
        for estimated in cells:
            inference = estimated.cell.job.inference
            scheme = inference.permutation if method == "permutation" else inference.bootstrap
            schemes[estimated.cell.id] = repr(scheme and scheme.model_dump(exclude={"terms", "screen"}))
    return [group for _, group in tested.groupby(tested["cell"].map(schemes), sort=False)]


def _passes_of(family: pd.DataFrame, passes: Passes) -> Passes:
    """The passes and cells that a family has."""
    ids = set(family["cell"])
    chosen = [(prepared, [cell for cell in cells if cell.cell.id in ids]) for prepared, cells in passes]
    return [(prepared, cells) for prepared, cells in chosen if cells]


def _same_draws(method: str, passes: Passes) -> bool:
    """Whether a replicate is one draw of all these cells, which have one scheme."""
    if method == "permutation":
        return incomparable(passes) is None
    return len({prepared.pass_cells.data.units for prepared, _ in passes}) == 1


def _adjusted(family: pd.DataFrame, draws: Mapping[str, pd.DataFrame], *, exact: bool) -> pd.DataFrame:
    """The rows of a family with their adjusted p-values; ``draws`` by cell."""
    drawn = pd.concat([draws[cell] for cell in family["cell"].unique()])
    keys = list(zip(family["cell"], family["term"], strict=True))
    wide = drawn.pivot(index="replicate", columns=["cell", "term"], values="statistic")[keys]
    ratios, observed = wide.to_numpy(dtype=float), family["statistic"].to_numpy(dtype=float)
    single = family["p_value"].to_numpy(dtype=float)
    return family[["cell", "term", "method", "statistic", "p_value"]].assign(
        tests=len(family),
        reps=int(np.isfinite(ratios).all(axis=1).sum()),
        step_down_p=step_down_p(observed, ratios, single, exact=exact),
        holm_p=holm_p(single),
    )
