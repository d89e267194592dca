"""Random jobs in some of which a column has a slope a year."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import reference
from random_jobs import RandomJob


def with_slopes(job: RandomJob, seed: int) -> RandomJob:
    """The job, and in one of four that can have them slopes by year of one of its columns."""
    rng = np.random.default_rng([20261201, seed])  # of its own, so that every seed stays the job that it was
    whole = (
        job.draws is None and job.job["model"].get("ends") != "drop"
    )  # rows have what was first in each pair
    return _by_year(job, rng) if whole and rng.random() < 0.25 else job


def _by_year(job: RandomJob, rng: np.random.Generator) -> RandomJob:
    """The job with a slope a year of one of its columns: of its first value in a pair, or those of its two cities."""
    place = int(rng.integers(len(job.names) if "pair_table" in job.job else 1))
    name, term = job.names[place], job.terms[place]
    years = np.unique(job.rows["year"])
    years = years[np.isin(years - job.job["model"].get("lag", 0), years)].tolist()
    if len(years) < 2:
        return job
    first = job.rows.sort_values("year").groupby(reference.PAIR)[name].transform("first")
    first = (first - first.mean()).where(job.rows["year"] >= years[0])
    slopes = {f"{name} by {year}": first.where(job.rows["year"] == year, 0.0 * first) for year in years[1:]}
    return replace(
        job,
        job={**job.job, "model": {**job.job["model"], "by_year": [term]}},
        rows=job.rows.assign(**slopes),
        names=[*job.names[:place], *slopes, *job.names[place + 1 :]],
        terms=[*job.terms[:place], *(f"{term} x {year}" for year in years[1:]), *job.terms[place + 1 :]],
    )
