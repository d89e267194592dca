"""Adoption classes of the cities, treatment terms of a cell, and the rows that its timing leaves in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.arrays import Array, Flags
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.estimate.estimator import Comparison, PairTiming
from engine.pairs.treatment import (
    NEVER,
    Adoption,
    Terms,
    adoption_classes,
    allowed_classes,
    event_name,
    pair_adoption,
)
from engine.spec import Job


def adoption_of(panel: CityPanel, job: Job, *, source: str, years_ahead: int = 0) -> Adoption:
    """Adoption classes of the cities, as in `sample_adoption`; raises InputError where nobody adopts."""
    adoption = sample_adoption(panel, job, years_ahead)
    if len(adoption.years) < 2:
        raise InputError(
            f"no unit adopts by {panel.years[-1] + years_ahead}: the treatment has no variation",
            where=f"{source}: column '{job.treatment_block.column}'",
            remedy=f"check {job.treatment_block.key} and years",
        )
    return adoption


def sample_adoption(panel: CityPanel, job: Job, years_ahead: int) -> Adoption:
    """Adoption classes of those who adopt within the sample, or so many years after it.

    A placebo in time brings the later ones into the sample; elsewhere they are never treated.
    """
    return adoption_classes(effective_years(panel, job), panel.years[-1] + years_ahead)


def effective_years(panel: CityPanel, job: Job) -> Array:
    """``[n_units]`` year from which a city counts as treated: that of adoption, or the next after the cutoff."""
    treatment = job.treatment_block
    year = panel.constant(treatment.year_column)
    if treatment.month is None or treatment.cutoff is None:
        return year
    month = panel.constant(treatment.month)
    bad = np.isfinite(year) & ~((month >= 1) & (month <= 12) & (month == np.floor(month)))
    if bad.any():
        k = int(np.argmax(bad))
        raise InputError(
            f"{panel.units[k]} adopts in month {month[k]:g}",
            where=f"treatment.month: column '{treatment.month}'",
            remedy="give the month of adoption as a whole number from 1 to 12",
        )
    return np.asarray(year + (month > treatment.cutoff))


def kept_rows(job: Job, sample_years: Sequence[int], adoption: Adoption) -> Flags | None:
    """``[n_classes, n_classes, n_years]`` pair-years that stay; None where all do.

    A lag removes its first years; estimators, and ``around`` and ``drop_treated`` of the treatment, remove others.
    An estimator's rows are of event years, which come as much later as its terms do.
    """
    treatment, model, years = job.treatment_block, job.model, np.array(sample_years)
    in_sample = np.ones((*[len(adoption.years)] * 2, len(years)), dtype=bool)
    in_sample[:, :, : model.lag] = False
    of_estimator = model.registered.functions.kept_rows
    if of_estimator is not None:
        of_events = of_estimator(timing_of(job, sample_years, adoption))
        in_sample[:, :, model.lag :] &= of_events[:, :, : -model.lag or None]
    adopted = pair_adoption(adoption, treatment.pair_rule)[:, :, None]
    if treatment.around is not None:
        start = pair_adoption(_shifted(adoption, job, sample_years), treatment.pair_rule)[:, :, None]
        in_sample &= ~np.isfinite(start) | (np.abs(years - start) <= treatment.around)
    if treatment.drop_treated:
        in_sample &= years < adopted
    return None if in_sample.all() else in_sample


def _shifted(adoption: Adoption, job: Job, sample_years: Sequence[int]) -> Adoption:
    """Adoption as a placebo in time has it, never where that is after the sample; the classes stay."""
    years = adoption.years + job.treatment_block.shift
    return replace(adoption, years=np.where(years > sample_years[-1], NEVER, years))


def _lagged(terms: Terms, lag: int) -> Terms:
    """Every path some years later."""
    if lag == 0:
        return terms
    table = np.zeros_like(terms.table)
    table[:, :, lag:] = terms.table[:, :, :-lag]
    return replace(terms, table=table)


def timing_of(job: Job, sample_years: Sequence[int], adoption: Adoption) -> PairTiming:
    """Adoption of the pairs of a cell, as a placebo in time has it where there is one."""
    treatment, options = job.treatment_block, job.model.options
    return PairTiming(
        adoption=_shifted(adoption, job, sample_years),
        exists=allowed_classes(adoption, job.pairs.exclude) & adoption.has_pairs,
        years=np.array(sample_years, dtype=np.float64),
        rule=treatment.pair_rule,
        term=treatment.name,
        base=job.model.base,
        window=job.model.window,
        ends=job.model.ends,
        comparison=Comparison(
            job.model.control,
            options.base_period,
            options.anticipation,
            options.weights,
            options.cohorts,
        ),
    )


def treatment_terms(
    job: Job, sample_years: Sequence[int], adoption: Adoption, timing: PairTiming | None = None
) -> Terms:
    """The treatment terms of one cell; raises InputError where its estimator finds none in the sample.

    ``timing``: that of the cell, where it is at hand.
    """
    if job.treatment is None or not job.model.treatment:
        return Terms((), np.zeros((*[len(adoption.years)] * 2, len(sample_years), 0)))
    registered, functions = job.model.registered, job.model.registered.functions
    timing = timing or timing_of(job, sample_years, adoption)
    terms = _lagged(functions.paths(timing), job.model.lag)
    if functions.combination is None and functions.comparisons is None and not registered.imputes:
        return terms
    kept = kept_rows(job, sample_years, adoption)
    return _in_rows(terms, timing.exists if kept is None else timing.exists[:, :, None] & kept)


def untreated_rows(job: Job, sample_years: Sequence[int], adoption: Adoption) -> Flags | None:
    """``[n_classes, n_classes, n_years]`` pair-years that an estimator imputes from; None for one that does not."""
    if not job.model.registered.imputes:
        return None
    terms = treatment_terms(job, sample_years, adoption)
    is_effect = np.array(terms.event_times) >= 0
    return np.asarray(~terms.table[..., is_effect].any(axis=-1))


def _in_rows(terms: Terms, rows: Flags) -> Terms:
    """Those of the terms to be averaged that are on in some row: a lag, or ``around``, leaves none to others.

    ``rows``: ``[n_classes, n_classes]``, or with years behind.
    """
    is_on = terms.table[rows].reshape(-1, len(terms.names)).any(axis=0)
    if not is_on.any():
        raise InputError(
            "no row of the sample is treated once lags and filters have left theirs out",
            where="treatment",
            remedy="check model.lag, treatment.around and treatment.drop_treated",
        )
    places = np.flatnonzero(is_on).tolist()
    names = tuple(terms.names[place] for place in places)
    times, cohorts, term_years = (
        tuple(values[place] for place in places) if values else ()
        for values in (terms.event_times, terms.cohorts, terms.years)
    )
    return Terms(names, terms.table[..., places], times, cohorts, term_years)


def reported_names(job: Job, terms: Terms) -> tuple[str, ...]:
    """Names of a cell's treatment terms in results: event years and averages, where cohorts are averaged."""
    functions = job.model.registered.functions
    if job.treatment is not None and terms.clean_comparisons is not None:
        return tuple(event_name(job.treatment.name, time) for time in terms.clean_comparisons.event_times)
    if job.treatment is None or not (functions.combination or functions.comparisons):
        return (*functions.averages, *terms.names)
    if functions.reported_names is not None:
        return functions.reported_names(job.treatment.name, job.model.window)
    times = set(terms.event_times)
    if functions.comparisons:  # no regressor has the event year that cohorts are compared with
        times.add(-1 - job.model.options.anticipation)
    return (*functions.averages, *(event_name(job.treatment.name, time) for time in sorted(times)))
