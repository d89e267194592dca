"""Sizes that several keys set together, and their limits; those of one key stand at the key."""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import InputError
from engine.spec.block import MOST_EVENT_YEARS
from engine.spec.job import Job

MOST_CELLS = 100_000
"""Most cells of a job."""
MOST_DRAWS = 20_000_000
"""Most draws of all cells and terms of a job together: each is a row of ``draws.parquet``, held in memory."""


def refuse_too_many_draws(jobs: Iterable[Job], *, where: str) -> None:
    """Raise InputError where the draws of all cells together do not fit."""
    draws = sum(_draws(job) for job in jobs)
    if draws > MOST_DRAWS:
        raise InputError(
            f"{draws:,} draws of all cells and terms, the limit is {MOST_DRAWS:,}",
            where=f"{where}: inference",
            remedy="ask for fewer reps, or for draws of fewer cells",
        )


def _draws(job: Job) -> int:
    """Rows that a cell adds to the draws: replicates times the terms that are drawn."""
    inference, model = job.inference, job.model
    terms = 1
    if "window" in model.registered.options:
        terms = (model.window[1] - model.window[0]) * (2 if model.registered.reverses else 1)
    elif model.registered.by_event_time:
        terms = 2 * _span(job)
    elif job.pair_table is not None:
        terms = _columns(job) + (job.treatment is not None)
    elif not model.treatment:
        terms = _columns(job)
    tested = inference.permutation.terms if inference.permutation else None
    permuted = inference.permutation.reps * len(tested or range(terms)) if inference.permutation else 0
    return permuted + (inference.bootstrap.reps * terms if inference.bootstrap else 0)


def _columns(job: Job) -> int:
    """Columns beside the treatment; those by year one a year."""
    names = job.model.regressors or job.used_controls
    return len(names) + (_span(job) - 1) * len(job.model.by_year)


def _span(job: Job) -> int:
    """Years of a job, or the most event years on a side of adoption where they are those of its data."""
    return job.years[1] - job.years[0] + 2 if job.years else MOST_EVENT_YEARS
