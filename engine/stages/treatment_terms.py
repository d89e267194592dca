"""Adoption classes of the cities, treatment terms of a cell, and the rows that its timing leaves in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.arrays import Array, Flags
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.pairs.treatment import (
    Adoption,
    Terms,
    adoption_classes,
    allowed_classes,
    event_paths,
    pair_adoption,
    policy_paths,
)
from engine.spec import Job


def adoption_of(panel: CityPanel, job: Job, *, source: str) -> Adoption:
    """Adoption classes of the cities; raises InputError where nobody adopts within the sample."""
    adoption = adoption_classes(effective_years(panel, job), panel.years[-1])
    if len(adoption.years) < 2:
        raise InputError(
            f"no unit adopts by {panel.years[-1]}: the treatment has no variation",
            where=f"{source}: column '{job.treatment_block.adoption}'",
            remedy="check treatment.adoption and years",
        )
    return adoption


def effective_years(panel: CityPanel, job: Job) -> Array:
    """``[n_units]`` year from which a city counts as treated: that of adoption, or the next after the cutoff."""
    treatment = job.treatment_block
    year = panel.constant(treatment.adoption)
    if treatment.month is None or treatment.cutoff is None:
        return year
    month = panel.constant(treatment.month)
    bad = np.isfinite(year) & ~((month >= 1) & (month <= 12))
    if bad.any():
        k = int(np.argmax(bad))
        raise InputError(
            f"{panel.units[k]} adopts in month {month[k]:g}",
            where=f"treatment.month: column '{treatment.month}'",
            remedy="give the month of adoption as a number from 1 to 12",
        )
    return np.asarray(year + (month > treatment.cutoff))


def kept_rows(job: Job, sample_years: Sequence[int], adoption: Adoption) -> Flags | None:
    """``[n_classes, n_classes, n_years]`` pair-years that stay; None where all do.

    The rules that remove some: a lag its first years, ``ends: drop`` of an event study, ``around`` and
    ``drop_treated`` of the treatment.
    """
    treatment, model, years = job.treatment_block, job.model, np.array(sample_years)
    kept = np.ones((*[len(adoption.years)] * 2, len(years)), dtype=bool)
    kept[:, :, : model.lag] = False
    if model.estimator == "event_study" and model.ends == "drop":
        kept &= _events(job, years, adoption)[1]
    adopted = pair_adoption(adoption, treatment.rule)[:, :, None]
    if treatment.around is not None:
        since = years - pair_adoption(_shifted(adoption, job), treatment.rule)[:, :, None]
        kept &= ~np.isfinite(adopted) | (np.abs(since) <= treatment.around)
    if treatment.drop_treated:
        kept &= years < adopted
    return None if kept.all() else kept


def _shifted(adoption: Adoption, job: Job) -> Adoption:
    """Adoption as a false timing has it; the classes stay."""
    return replace(adoption, years=adoption.years + job.treatment_block.shift)


def _lagged(terms: Terms, lag: int) -> Terms:
    """Every path some years later."""
    if lag == 0:
        return terms
    table = np.zeros_like(terms.table)
    table[:, :, lag:] = terms.table[:, :, :-lag]
    return replace(terms, table=table)


def _events(job: Job, years: Array, adoption: Adoption) -> tuple[Terms, Flags]:
    treatment = job.treatment_block
    adopted = pair_adoption(_shifted(adoption, job), treatment.rule)
    return event_paths(adopted, years, term=treatment.name, base=job.model.base, window=job.model.window)


def treatment_terms(job: Job, sample_years: Sequence[int], adoption: Adoption) -> Terms:
    """The treatment terms of one cell.

    Raises
    ------
    InputError
        Where no pair of the sample's classes changes treatment, or an event year is never seen.
    """
    treatment, years = job.treatment, np.array(sample_years)
    if treatment is None or not job.model.treatment:
        return Terms((), np.zeros((*[len(adoption.years)] * 2, len(years), 0)))
    allowed = allowed_classes(adoption, job.pairs.exclude)
    size = np.bincount(adoption.classes, minlength=len(adoption.years))
    exists = allowed & (np.outer(size, size) - np.diag(size) > 0)
    if job.model.estimator == "event_study":
        terms, _ = _events(job, years, adoption)
        _refuse_unseen(terms, exists, job)
        return _lagged(terms, job.model.lag)
    path = policy_paths(_shifted(adoption, job), years, treatment.rule)
    if not (exists & (np.ptp(path, axis=2) > 0)).any():
        raise InputError(
            f"rule {treatment.rule}: no pair changes treatment within "
            f"{years[0]} to {years[-1]}, so the treatment has no variation",
            where="treatment",
            remedy="check treatment.adoption, treatment.rule and pairs.exclude",
        )
    return _lagged(Terms((treatment.name,), path[..., None]), job.model.lag)


def _refuse_unseen(terms: Terms, exists: Flags, job: Job) -> None:
    observed = np.any(terms.table * exists[:, :, None, None], axis=(0, 1, 2))
    if not observed.all():
        unseen = [name for name, occurs in zip(terms.names, observed, strict=True) if not occurs]
        raise InputError(
            f"no pair of the sample is ever observed at {', '.join(unseen)}",
            where="model.window",
            remedy="narrow the window to event years that occur",
        )
