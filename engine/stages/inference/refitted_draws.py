"""Permutation draws of cells that no contraction redraws: each is the whole cell again, under a drawn adoption.

Effects beyond pair and year, matched samples and averages over cohorts are not linear in sums by type that a draw
could contract, so that exclusion, screen, matching, terms and regression are made anew. Who adopts in a draw is what
it is for every other cell: a function of seed, replicate and city.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array, Integers
from engine.errors import InputError
from engine.infer.draws import permuted_classes
from engine.infer.permutation import Draws
from engine.infer.summary import t_ratio
from engine.pairs.gravity import PairSample
from engine.runtime.execute import Machine
from engine.spec import Cell
from engine.spec.inference import Inference, PermutationTest
from engine.stages.estimate_pass import estimate_pass
from engine.stages.estimation import Estimated
from engine.stages.inference_checks import strata_of
from engine.stages.pass_cells import PassCells
from engine.stages.prepare_passes import Prepared, prepare_pass


@dataclass(frozen=True)
class RefittedTest:
    """A permutation test of one cell by refits.

    Attributes
    ----------
    pass_cells : PassCells
        The cell alone, without draws and with the errors that t ratios take, and its data.
    sample : PairSample
        Of the assignment that happened, its screen included.
    recompute : bool
        The screen is made anew in each draw.
    tested : tuple of str
        Names of the tested coefficients.
    strata : int32 ``[n_units]`` or None
    seed : int
    """

    pass_cells: PassCells
    sample: PairSample
    recompute: bool
    tested: tuple[str, ...]
    strata: Integers | None
    seed: int


def refitted_test(prepared: Prepared, estimated: Estimated, block: PermutationTest) -> RefittedTest:
    """The permutation test of one cell of a pass."""
    sample, names = prepared.design.sample, estimated.fit.names
    tested = tuple(names[place] for place in estimated.fit.tested_positions)
    return RefittedTest(
        PassCells((without_draws(estimated.cell),), prepared.pass_cells.data),
        sample,
        block.screen == "recomputed" and sample.n_kept is not None,
        tuple(block.terms or tested),
        strata_of(prepared.pass_cells.data, sample, block.strata),
        block.seed,
    )


def without_draws(cell: Cell) -> Cell:
    """The cell with what a draw needs of it: no errors but those of its t ratios, which every estimate has."""
    model = cell.job.model.model_copy(update={"errors": [], "diagnostics": []})
    return replace(cell, job=cell.job.model_copy(update={"model": model, "inference": Inference()}))


def refitted_draws(test: RefittedTest, replicates: Integers) -> Draws:
    """Coefficients and t ratios of a block of replicates; a pure function of test and replicate numbers."""
    return refits_of(
        test, permuted_classes(test.seed, replicates, test.sample.classes, test.strata), replicates
    )


def refits_of(test: RefittedTest, classes: Integers, replicates: Integers) -> Draws:
    """As `refitted_draws`, for the classes ``[n_draws, n_units]`` of some assignments."""
    refits = [_refit(test, of_draw) for of_draw in classes]
    estimate, statistic = (
        np.stack(columns) for columns in zip(*(values for values, _ in refits), strict=True)
    )
    draws = Draws.without_inversion(replicates, (estimate,), (statistic,))
    return replace(draws, fallback=(sum(n_replaced for _, n_replaced in refits),))


def every_refit(test: RefittedTest, classes: Integers) -> Draws:
    """Draws of some assignments."""
    return refits_of(test, classes, np.arange(len(classes), dtype=np.int32))


def observed_draw(estimated: Estimated, names: tuple[str, ...]) -> Draws:
    """The assignment that happened, from its estimate."""
    (estimate, statistic), _ = _tested(estimated, names)
    return Draws.without_inversion(np.array([-1], dtype=np.int32), (estimate[None],), (statistic[None],))


def drawn_sample(sample: PairSample, classes: Integers, *, recompute: bool) -> PairSample:
    """The pairs of a drawn assignment: its exclusion, and the screen anew or as it was."""
    drawn = replace(sample, classes=classes, n_kept=None)
    if recompute:
        return drawn.screened()
    return drawn if sample.n_kept is None else replace(drawn, n_kept=len(drawn.all_pairs()[0]))


def _refit(test: RefittedTest, classes: Integers) -> tuple[tuple[Array, Array], int]:
    """Coefficients and t ratios ``[n_tested]`` of a draw, NaN where it has none; and errors that stood in."""
    try:
        sample = drawn_sample(test.sample, classes, recompute=test.recompute)
        (estimated,) = estimate_pass(Machine(), prepare_pass(test.pass_cells, sample=sample))
    except InputError:  # no pair is left, a cohort is gone, or a regressor is collinear in this draw
        missing = np.full(len(test.tested), np.nan)
        return (missing, missing), 0
    return _tested(estimated, test.tested)


def _tested(estimated: Estimated, names: tuple[str, ...]) -> tuple[tuple[Array, Array], int]:
    fit, covariance = estimated.fit, estimated.studentising
    missing = (np.nan, np.nan)
    by_name = dict(zip(fit.names, zip(fit.values, covariance.std_error, strict=True), strict=True))
    values, errors = np.array([by_name.get(name, missing) for name in names]).T
    return (values, t_ratio(values, errors)), len(covariance.replaced_terms.intersection(names))
