"""Many cells of one job as a specification curve: the joint test, where all cells have the same relabellings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from engine.infer.curve_significance import joint_tests
from engine.infer.summary import n_assignments
from engine.notes import Note
from engine.pairs.design import PanelDesign
from engine.stages.estimation import Estimated
from engine.stages.inference.draw_collector import Inferred
from engine.stages.inference_checks import strata_of
from engine.stages.load_data import CityData
from engine.stages.prepare_passes import Prepared

CURVE = 20
"""Cells from which a job is a specification curve: one figure and a summary stand for a table of so many columns."""

COLUMNS = ("job", "term", "statistic", "observed", "p_value", "mc_error", "reps", "cells")


def curve_frame(
    job: str, passes: Sequence[tuple[Prepared, list[Estimated]]], inferred: Inferred
) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """Joint permutation tests of the treatment's estimates over all cells, and what a reader should know.

    No rows for jobs of fewer than `CURVE` cells, and for those whose cells do not all permute the treatment.
    """
    nothing = pd.DataFrame(columns=list(COLUMNS))
    results = [result for _, found in passes for result in found]
    asked = [result.cell.job.inference.permutation for result in results]
    treatment = results[0].cell.job.treatment
    if len(results) < CURVE or treatment is None or any(one is None for one in asked):
        return nothing, ()
    draws, rows = inferred.draws, inferred.rows
    draws = draws[(draws["method"] == "permutation") & (draws["term"] == treatment.name)]
    rows = rows[rows["term"] == treatment.name].set_index("cell")
    cells = [result.cell.id for result in results]
    if set(cells) != set(draws["cell"]):
        return nothing, ()
    reason = _incomparable(passes)
    if reason is not None:
        return nothing, (Note.of("curve_untested", reason=reason),)
    observed = [
        rows.loc[rows["method"] == method, "statistic"].loc[cells].to_numpy(dtype=float)
        for method in ("permutation_coefficient", "permutation")
    ]
    drawn = [
        draws.pivot(index="replicate", columns="cell", values=value)[cells].to_numpy(dtype=float)
        for value in ("estimate", "statistic")
    ]
    level = np.array([0.5 + result.cell.job.model.confidence / 2 for result in results])
    critical = stdtrit(np.array([result.dyadic.dof for result in results]), level)
    tests = joint_tests(observed[0], observed[1], critical, drawn[0], drawn[1], exact=_exact(passes))
    found = [
        (job, treatment.name, one.statistic, one.observed, one.p.value, one.p.error, one.p.draws, len(cells))
        for one in tests
    ]
    return pd.DataFrame(found, columns=list(COLUMNS)), ()


def _incomparable(passes: Sequence[tuple[Prepared, list[Estimated]]]) -> Note | None:
    """Why a replicate is not one relabelling in all passes; None where it is.

    Words are keyed by seed, replicate and the city's place, and the cities take the sorted adoption classes in the
    order of their words. With the same cities, seed and strata the order is the same in every pass; classes that
    sort the cities alike (one dating of the cohorts is a step function of another) then move together.
    """
    blocks = [
        result.cell.job.inference.permutation.model_dump(exclude={"terms", "screen"})  # type: ignore[union-attr]
        for _, results in passes
        for result in results
    ]
    if any(block != blocks[0] for block in blocks):
        return Note("cells_differ_in_permutation")
    data = [one.shared.data for one, _ in passes]
    panels = [one.panel for one in data if isinstance(one, CityData)]
    if any(panel.units != panels[0].units for panel in panels):
        return Note("cells_differ_in_cities")
    strata = [_strata(one, blocks[0]["strata"]) for one, _ in passes]
    if any(not np.array_equal(codes, strata[0]) for codes in strata):
        return Note("cells_differ_in_strata")
    exact = _exact(passes)
    first, *others = [one.adoption for one, _ in passes if one.adoption is not None]
    for other in others:
        pairs = np.unique(np.stack([first.classes, other.classes], axis=1), axis=0)
        if (np.diff(pairs[:, 1]) < 0).any():
            return Note("cells_differ_in_order")
        if exact and not np.array_equal(first.classes, other.classes):
            return Note("cells_differ_in_cohorts")
    return None


def _exact(passes: Sequence[tuple[Prepared, list[Estimated]]]) -> bool:
    """Whether any pass enumerates all assignments instead of drawing some."""
    for one, results in passes:
        wanted = results[0].cell.job.inference.permutation
        assert wanted is not None
        assert one.adoption is not None
        if n_assignments(one.adoption.classes, _strata(one, wanted.strata)) <= wanted.reps:
            return True
    return False


def _strata(one: Prepared, names: list[str]) -> Any:
    """Stratum of every city, of a pass of a panel."""
    data, design = one.shared.data, one.design
    assert isinstance(data, CityData)
    assert isinstance(design, PanelDesign)
    codes = strata_of(data, design.sample, names)
    return np.zeros(design.n_units, dtype=np.int32) if codes is None else codes
