"""Permutation draws with an instrument: its series is reassigned among the cities, and all else is as it happened.

Where the treatment has no effect, the outcome knows nothing of the instrument, so that any city may have had the series
of any other of its stratum. The statistic is that of Anderson and Rubin (1949), the instrument's t ratio in the reduced
form. At another effect b0 it is that of y - b0 D, whose coefficient is linear and whose variance quadratic in b0, so
that one refit serves every effect. How strong the instrument is does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from engine.arrays import Array, Integers
from engine.errors import InputError
from engine.estimate.estimators import INSTRUMENT
from engine.estimate.instrument import Instrumented, joint_estimate
from engine.infer.draws import permuted_classes
from engine.infer.errors.dyadic import drawn_variances, moments, stand_ins
from engine.infer.inversion import N_INVERSION, ConfidenceSet, confidence_set
from engine.infer.permutation import Draws
from engine.infer.summary import t_ratio
from engine.pairs.panel_design import PanelDesign
from engine.runtime.execute import Machine
from engine.stages.estimate_pass import estimate_pass
from engine.stages.estimation import Estimated
from engine.stages.inference.refitted_draws import without_draws
from engine.stages.inference_checks import reassigned, strata_of
from engine.stages.prepare_passes import Prepared

_NO_ESTIMATE = np.full(1 + N_INVERSION, np.nan)


@dataclass(frozen=True)
class InstrumentTest:
    """A permutation test of one cell with an instrument.

    Attributes
    ----------
    prepared : Prepared
        The cell alone, without draws and with the errors that t ratios take.
    column : int
        Place of the instrument among the regressors of the design.
    cities : int32 ``[n_units]``
        Numbers of the cities, which are reassigned.
    strata : int32 ``[n_units]`` or None
    seed : int
    """

    prepared: Prepared
    column: int
    cities: Integers
    strata: Integers | None
    seed: int


def instrument_test(prepared: Prepared, estimated: Estimated) -> InstrumentTest:
    """The permutation test of one cell of a pass."""
    block = estimated.cell.job.inference.permutation
    place = prepared.pass_cells.cells.index(estimated.cell)
    pass_cells = replace(prepared.pass_cells, cells=(without_draws(estimated.cell),))
    design = cast(PanelDesign, prepared.design)  # an instrument is made of city series
    columns = [prepared.pass_cells.controls.index(name) for name in pass_cells.controls]
    alone = replace(
        prepared,
        pass_cells=pass_cells,
        design=design.with_columns(columns),
        terms=(prepared.terms[place],),
        timings=(prepared.timings[place],),
    )
    return InstrumentTest(
        alone,
        pass_cells.controls.index(INSTRUMENT),
        reassigned(estimated.cell.job, prepared.design),
        strata_of(prepared.pass_cells.data, prepared.design.sample, block.strata if block else []),
        block.seed if block else 0,
    )


def instrument_draws(test: InstrumentTest, replicates: Integers) -> Draws:
    """Coefficients and t ratios of a block of replicates; a pure function of test and replicate numbers."""
    cities = permuted_classes(test.seed, replicates, test.cities, test.strata)
    return draws_of_cities(test, cities, replicates)


def every_instrument_draw(test: InstrumentTest, cities: Integers) -> Draws:
    """Draws of some assignments."""
    return draws_of_cities(test, cities, np.arange(len(cities), dtype=np.int32))


def observed_instrument(test: InstrumentTest) -> Draws:
    """The assignment that happened."""
    return draws_of_cities(test, test.cities[None], np.array([-1], dtype=np.int32))


def draws_of_cities(test: InstrumentTest, cities: Integers, replicates: Integers) -> Draws:
    """As `instrument_draws`, for the cities ``[n_draws, n_units]`` whose series each city has in some assignments."""
    rows = np.stack([_refit(test, of_draw) for of_draw in cities])
    reduced, inversion = rows[:, :1], rows[:, 1:]
    squares = inversion[:, 1], inversion[:, 4]
    n_replaced = int(stand_ins(*squares).sum())
    statistic = t_ratio(reduced, np.sqrt(drawn_variances(*squares))[:, None])
    return Draws(replicates, (reduced,), (statistic,), (n_replaced,), (inversion,))


def _refit(test: InstrumentTest, cities: Integers) -> Array:
    """Coefficient of the reduced form and `N_INVERSION` numbers: of the first stage, and sums of both; NaN without."""
    design = cast(PanelDesign, test.prepared.design)
    drawn = design.with_level_of(test.column, cities)
    try:
        (estimated,) = estimate_pass(Machine(), replace(test.prepared, design=drawn))
    except InputError:  # the instrument is collinear, or explains no treatment, in this draw
        return _NO_ESTIMATE
    regressions, *_ = cast(tuple[Instrumented, object, object], estimated.instrument)
    joint = joint_estimate(regressions)
    sums = [(form[0, 0], form[0, 1], form[1, 1]) for form in moments(joint)]
    return np.array([*joint.values, *sums[0], *sums[1]])


def accepted_effects(observed: Draws, draws: Draws, *, confidence: float, exact: bool) -> ConfidenceSet:
    """Effects of the treatment that the test does not reject; NaN where the first stage is zero."""
    reduced, of_sample = float(observed.estimate[0][0, 0]), observed.inversion[0][0]
    first, (city, pair) = float(of_sample[0]), of_sample[1:].reshape(2, 3)
    if not first:
        return ConfidenceSet(((np.nan, np.nan),))
    effect = reduced / first
    powers = np.array([1.0, -2 * effect, effect**2])
    std_error = float(np.sqrt(drawn_variances(city @ powers, pair @ powers))) / abs(first)
    scale = np.array([first, *[first**2] * (N_INVERSION - 1)])  # an effect is a ratio of coefficients
    return confidence_set(
        effect,
        std_error,
        draws.estimate[0][:, 0] / first,
        draws.inversion[0] / scale,
        confidence=confidence,
        exact=exact,
        observed=of_sample[1:] / first**2,
    )
