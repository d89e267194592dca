"""Sets of effects that allow for violations of parallel trends, of cells that ask for them (``inference.honest``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from engine.arrays import Array
from engine.infer.honest.moment_inequalities import Coefficients
from engine.infer.honest.restrictions import EventTimes, Restriction
from engine.infer.honest.sensitivity import sensitivity
from engine.infer.pretrend_power import detectable_trends
from engine.notes import Note, of_cell
from engine.report.error_types import preferred
from engine.report.outputs.honest_trends import HONEST_COLUMNS
from engine.report.outputs.pretrend_tests import PRETREND_COLUMNS
from engine.spec.inference import Honest
from engine.stages.estimation import Estimated
from engine.stages.event_years import single_years

_SIZES = (0.0, 0.5, 1.0, 1.5, 2.0)
_SMOOTH = 0.25  # of a standard error of the effect: unit of the default sizes of smoothness
_SMALLEST = 1e-10  # eigenvalue of the correlations: what is less is a combination without a variance


def honest_frames(
    estimated_cells: Sequence[Estimated], job: str
) -> tuple[dict[str, pd.DataFrame], list[Note]]:
    """Sets, one row a cell and size, and the power of tests before adoption; and why a cell that asks has none."""
    rows: list[tuple[object, ...]] = []
    powers: list[tuple[object, ...]] = []
    notes = []
    for estimated in estimated_cells:
        block = estimated.cell.job.inference.honest
        if block is None or estimated.cell.job.model.omitted_year is None:
            continue
        estimates = _estimates(estimated, block)
        if isinstance(estimates, Note):
            notes.append(of_cell(estimated.cell.label, estimates))
            continue
        lead = (job, estimated.cell.id)
        rows += ((*lead, *row) for row in _sets(estimated, block, estimates))
        powers += ((*lead, *row) for row in _powers(estimated, estimates))
    named = (("honest", rows, HONEST_COLUMNS), ("pretrends", powers, PRETREND_COLUMNS))
    return {
        name: pd.DataFrame(of_name, columns=list(columns)) for name, of_name, columns in named if of_name
    }, notes


@dataclass(frozen=True)
class _Estimates:
    """Coefficients of single event years, their covariance `inflation` times as large for t; `dof` the fewest."""

    errors: str
    coefficients: Coefficients
    years: EventTimes
    inflation: float
    dof: float


def _estimates(estimated: Estimated, block: Honest) -> _Estimates | Note:
    """Estimates of single event years; why there are none where these have gaps, or no covariance to invert."""
    fit, job = estimated.fit, estimated.cell.job
    places = {term.event_time: place for place, term in enumerate(fit.terms) if term.event_time is not None}
    years = single_years(job, list(places))
    if not years.consecutive:
        return Note("honest_with_gaps")
    at = [places[time] for time in years.times]
    covariance = next(each for each in estimated.covariances if each.kind == preferred(job.model.errors))
    matrix, names = covariance.matrix[np.ix_(at, at)], {fit.names[place] for place in at}
    if covariance.replaced_terms.intersection(names):
        return Note.of("honest_with_replaced_variance", errors=covariance.kind)
    if not _is_positive(matrix):
        return Note.of("honest_with_singular_covariance", errors=covariance.kind)
    weights = np.array([block.effect in ("average", time) for time in years.effects], dtype=np.float64)
    dof = float(np.min(covariance.dof_of_coefficients[at]))
    level = (1 + job.model.confidence) / 2
    inflation = float(stats.t.ppf(level, dof) / stats.norm.ppf(level)) ** 2
    coefficients = Coefficients(fit.values[at], inflation * matrix, years.after, weights / weights.sum())
    return _Estimates(covariance.kind, coefficients, years, inflation, dof)


def _powers(estimated: Estimated, estimates: _Estimates) -> Iterator[tuple[object, ...]]:
    model = estimated.cell.job.model
    if not (~estimates.years.after).any():
        return
    trends = detectable_trends(
        estimates.coefficients,
        estimates.years,
        confidence=model.confidence,
        dof=estimates.dof,
        inflation=estimates.inflation,
    )
    for trend in trends:
        numbers = (trend.power, trend.slope, trend.bias, trend.bias_if_passed)
        yield (estimates.errors, trend.test, *numbers)


def _is_positive(matrix: Array) -> bool:
    error = np.sqrt(np.diag(matrix))
    if not (np.isfinite(matrix).all() and (error > 0).all()):
        return False
    return bool(np.linalg.eigvalsh(matrix / error[:, None] / error)[0] > _SMALLEST)


def _sets(estimated: Estimated, block: Honest, estimates: _Estimates) -> Iterator[tuple[object, ...]]:
    model, coefficients = estimated.cell.job.model, estimates.coefficients
    unit = 1.0 if block.kind == "relative_magnitudes" else _SMOOTH * coefficients.std_error
    sizes = np.array(block.sizes) if block.sizes else unit * np.array(_SIZES)
    restriction = Restriction(block.kind, block.direction, block.course)
    sets = sensitivity(coefficients, estimates.years, restriction, sizes, model.confidence)
    kind, effect = estimates.errors, str(block.effect)
    assumed = (block.kind, block.direction or "", block.course or "")
    estimate = coefficients.estimate
    margin = float(stats.norm.ppf((1 + model.confidence) / 2)) * coefficients.std_error
    parallel = ("parallel_trends", "", "", 0.0, estimate, estimate - margin, estimate + margin, np.nan)
    yield (kind, effect, *parallel)
    for size, low, high in zip(sizes.tolist(), sets.low.tolist(), sets.high.tolist(), strict=True):
        yield (kind, effect, *assumed, size, estimate, low, high, sets.breakdown)
