"""Adoption classes of the cities, treatment terms of a cell, and the rows that its timing leaves in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
from engine.stages.load_data import CityData


def adoption_of(data: CityData, job: Job) -> Adoption:
    """Adoption classes of the cities; raises InputError where nobody adopts within the sample."""
    assert job.treatment is not None
    adoption = adoption_classes(effective_years(data.panel, job), data.panel.years[-1])
    if len(adoption.years) < 2:
        raise InputError(
            f"no unit adopts by {data.panel.years[-1]}: the treatment has no variation",
            where=f"{data.source.name}: column '{job.treatment.adoption}'",
            remedy="check treatment.adoption and years",
        )
    return adoption


def effective_years(panel: CityPanel, job: Job) -> Array:
    """``[n_units]`` year from which a city counts as treated: that of adoption, or the next after the cutoff."""
    treatment = job.treatment
    assert treatment is not None
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


def kept_rows(job: Job, data: CityData, adoption: Adoption) -> Flags | None:
    """``[n_classes, n_classes, n_years]`` pair-years that stay; None where all do.

    The rules that remove some: a lag its first years, ``ends: drop`` of an event study, ``around`` and
    ``drop_treated`` of the treatment.
    """
    treatment, model, years = job.treatment, job.model, np.array(data.panel.years)
    assert treatment is not None
    kept = np.ones((*[len(adoption.years)] * 2, len(years)), dtype=bool)
    kept[:, :, : model.lag] = False
    if model.estimator == "event_study" and model.ends == "drop":
        kept &= _events(job, data.panel, adoption)[1]
    adopted = pair_adoption(adoption, treatment.rule)[:, :, None]
    if treatment.around is not None:
        since = years - pair_adoption(_shifted(adoption, job), treatment.rule)[:, :, None]
        kept &= ~np.isfinite(adopted) | (np.abs(since) <= treatment.around)
    if treatment.drop_treated:
        kept &= years < adopted
    return None if kept.all() else kept


def _shifted(adoption: Adoption, job: Job) -> Adoption:
    """Adoption as a false timing has it; the classes stay."""
    assert job.treatment is not None
    return replace(adoption, years=adoption.years + job.treatment.shift)


def _lagged(terms: Terms, lag: int) -> Terms:
    """Every path some years later."""
    if lag == 0:
        return terms
    table = np.zeros_like(terms.table)
    table[:, :, lag:] = terms.table[:, :, :-lag]
    return replace(terms, table=table)


def _events(job: Job, panel: CityPanel, adoption: Adoption) -> tuple[Terms, Any]:
    assert job.treatment is not None
    adopted = pair_adoption(_shifted(adoption, job), job.treatment.rule)
    return event_paths(
        adopted, np.array(panel.years), term=job.treatment.name, base=job.model.base, window=job.model.window
    )


def treatment_terms(job: Job, data: CityData, adoption: Adoption) -> Terms:
    """The treatment terms of one cell.

    Raises
    ------
    InputError
        Where no pair of the sample's classes changes treatment, or an event year is never seen.
    """
    assert job.treatment is not None
    if not job.model.treatment:
        return Terms((), np.zeros((*[len(adoption.years)] * 2, data.panel.n_years, 0)))
    allowed = allowed_classes(adoption, job.pairs.exclude)
    size = np.bincount(adoption.classes, minlength=len(adoption.years))
    exists = allowed & (np.outer(size, size) - np.diag(size) > 0)
    if job.model.estimator == "event_study":
        terms, _ = _events(job, data.panel, adoption)
        _refuse_unseen(terms, exists, job)
        return _lagged(terms, job.model.lag)
    path = policy_paths(_shifted(adoption, job), np.array(data.panel.years), job.treatment.rule)
    if not (exists & (np.ptp(path, axis=2) > 0)).any():
        raise InputError(
            f"rule {job.treatment.rule}: no pair changes treatment within "
            f"{data.panel.years[0]} to {data.panel.years[-1]}, so the treatment has no variation",
            where="treatment",
            remedy="check treatment.adoption, treatment.rule and pairs.exclude",
        )
    return _lagged(Terms((job.treatment.name,), path[..., None]), job.model.lag)


def _refuse_unseen(terms: Terms, exists: Any, job: Job) -> None:
    seen = (terms.table * exists[:, :, None, None]).any(axis=(0, 1, 2))
    if not seen.all():
        unseen = [name for name, known in zip(terms.names, seen, strict=True) if not known]
        raise InputError(
            f"no pair of the sample is ever observed at {', '.join(unseen)}",
            where="model.window",
            remedy="narrow the window to event years that occur",
        )
