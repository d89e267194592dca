"""Many cells of one job as a specification curve: the joint test, where all cells have the same relabellings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from engine.arrays import Integers
from engine.infer.curve_significance import JointTest, joint_tests
from engine.infer.summary import n_assignments
from engine.notes import Note
from engine.spec.inference import PermutationTest
from engine.stages.estimation import Estimated
from engine.stages.inference.draw_collector import Inferred
from engine.stages.inference_checks import strata_of
from engine.stages.prepare_passes import Prepared

Passes = Sequence[tuple[Prepared, list[Estimated]]]

CURVE = 20
"""Cells from which a job is a specification curve: one figure and a summary stand for a table of so many columns."""

COLUMNS = ("job", "term", "statistic", "observed", "p_value", "mc_error", "reps", "cells")


def curve_frame(job: str, passes: Passes, inferred: Inferred) -> tuple[pd.DataFrame, tuple[Note, ...]]:
    """Joint permutation tests of the treatment's estimates over all cells, and notes for the reader.

    No rows for jobs of fewer than `CURVE` cells, and for those whose cells do not all permute the treatment.
    """
    no_rows = pd.DataFrame(columns=list(COLUMNS))
    cells = [estimated for _, cells_of_pass in passes for estimated in cells_of_pass]
    treatment = cells[0].cell.job.treatment
    if len(cells) < CURVE or treatment is None or len(_permutations(passes)) < len(cells):
        return no_rows, ()
    draws, rows = inferred.draws, inferred.rows
    draws = draws[(draws["method"] == "permutation") & (draws["term"] == treatment.name)]
    rows = rows[rows["term"] == treatment.name]
    if {estimated.cell.id for estimated in cells} != set(draws["cell"]):
        return no_rows, ()
    reason = incomparable(passes)
    if reason is not None:
        return no_rows, (Note.of("curve_untested", reason=reason),)
    tests = _joint_tests(cells, draws, rows, exact=enumerated(passes))
    table = [
        (
            job,
            treatment.name,
            test.statistic,
            test.observed,
            test.p.value,
            test.p.error,
            test.p.draws,
            len(cells),
        )
        for test in tests
    ]
    return pd.DataFrame(table, columns=list(COLUMNS)), ()


def _joint_tests(
    cells: Sequence[Estimated], draws: pd.DataFrame, rows: pd.DataFrame, *, exact: bool
) -> tuple[JointTest, ...]:
    """Joint tests from the permutation draws and the inference rows of the treatment's coefficient."""
    ids = [estimated.cell.id for estimated in cells]
    by_cell = rows.set_index("cell")
    coefficient, t_ratio = (
        by_cell.loc[by_cell["method"] == method, "statistic"].loc[ids].to_numpy(dtype=float)
        for method in ("permutation_coefficient", "permutation")
    )
    estimates, t_ratios = (
        draws.pivot(index="replicate", columns="cell", values=value)[ids].to_numpy(dtype=float)
        for value in ("estimate", "statistic")
    )
    level = np.array([0.5 + estimated.cell.job.model.confidence / 2 for estimated in cells])
    critical = stdtrit(np.array([estimated.studentising.dof for estimated in cells]), level)
    return joint_tests(coefficient, t_ratio, critical, estimates, t_ratios, exact=exact)


def _permutations(passes: Passes) -> list[PermutationTest]:
    """The permutation blocks of the cells, those without one left out."""
    blocks = (estimated.cell.job.inference.permutation for _, cells in passes for estimated in cells)
    return [block for block in blocks if block is not None]


def incomparable(passes: Passes) -> Note | None:
    """Why a replicate is not one relabelling in all passes; None where it is.

    Words are keyed by seed, replicate and the city's place, and the cities take the sorted adoption classes in the
    order of their words. With the same cities, seed and strata the order is the same in every pass; classes that
    sort the cities alike (one dating of the cohorts is a step function of another) then move together.
    """
    blocks = [block.model_dump(exclude={"terms", "screen"}) for block in _permutations(passes)]
    if any(block != blocks[0] for block in blocks):
        return Note("cells_differ_in_permutation")
    prepared = [prepared_pass for prepared_pass, _ in passes]
    if len({prepared_pass.pass_cells.data.units for prepared_pass in prepared}) > 1:
        return Note("cells_differ_in_cities")
    strata = [_strata(prepared_pass, blocks[0]["strata"]) for prepared_pass in prepared]
    if any(not np.array_equal(codes, strata[0]) for codes in strata):
        return Note("cells_differ_in_strata")
    exact = enumerated(passes)
    reference = prepared[0].adoption.classes
    for classes in (prepared_pass.adoption.classes for prepared_pass in prepared[1:]):
        pairs = np.unique(np.stack([reference, classes], axis=1), axis=0)
        if (np.diff(pairs[:, 1]) < 0).any():
            return Note("cells_differ_in_order")
        if exact and not np.array_equal(reference, classes):
            return Note("cells_differ_in_cohorts")
    return None


def enumerated(passes: Passes) -> bool:
    """Whether any pass enumerates all assignments instead of drawing some; reps and strata are those of all cells."""
    test = _permutations(passes)[0]
    return any(
        n_assignments(prepared.adoption.classes, _strata(prepared, test.strata)) <= test.reps
        for prepared, _ in passes
    )


def _strata(prepared: Prepared, names: list[str]) -> Integers:
    """Stratum of every city."""
    codes = strata_of(prepared.pass_cells.data, prepared.design.sample, names)
    return np.zeros(prepared.design.n_units, dtype=np.int32) if codes is None else codes
