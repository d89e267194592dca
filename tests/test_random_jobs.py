"""Random jobs against literal least squares with dummies: thirty at every test, three hundred in the long ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import oracle_draws
import oracle_rows
import pytest
import reference
from random_jobs import RandomJob, random_job
from random_slopes import with_slopes

import engine
from engine.pipeline import draw

COEFFICIENT = 1e-7
"""Relative to the standard error: an offset of 1e9 leaves a column of spread 1 seven of its sixteen digits."""
ERROR = 1e-6
"""Relative, of standard errors, likewise; a wrong factor, cluster or sample shows at 1e-4 and above."""


def covariances(job: RandomJob, fit: reference.Estimate) -> dict[str, np.ndarray | None]:
    """Covariance by kind, with what stands in for one that is not positive, term by term."""
    dyadic, sums = fit.dyadic(), fit.city_sums()
    variance = np.where(np.diag(dyadic) > 1e-12 * np.diag(sums), np.diag(dyadic), np.diag(sums))
    two_way = fit.two_way()
    if (np.diag(two_way) < 0).any():
        two_way = None
    options = {"weight": job.weight, "instrument": job.instrument}
    return {
        "pair": np.diag(fit.pair()),
        "city": None if two_way is None else np.diag(two_way),
        "dyadic": variance,
        "jackknife": _diagonal(oracle_rows.jackknife(job.rows, job.names, job.effects, **options)),
    }


def _diagonal(matrix: np.ndarray | None) -> np.ndarray | None:
    return None if matrix is None else np.diag(matrix)


def check(seed: int, folder: Path) -> None:
    job = with_slopes(random_job(seed), seed)
    fit = oracle_rows.fit(job.rows, job.names, job.effects, weight=job.weight, instrument=job.instrument)
    path = job.write(folder)
    if fit is None:
        with pytest.raises(engine.InputError):
            engine.run(path)
        return
    results = engine.run(path)
    told = json.dumps(job.job, ensure_ascii=False)
    expected = covariances(job, fit)
    for kind, rows in results.estimates.groupby("errors"):
        rows = rows.set_index("term").loc[job.terms]
        assert (rows["n_obs"] == fit.n_obs).all(), f"{kind}, {told}"
        assert (rows["n_pairs"] == fit.n_pairs).all(), told
        assert (rows["n_units"] == fit.n_cities).all(), told
        pair_error = np.sqrt(np.diag(fit.pair()))
        np.testing.assert_allclose(
            rows["estimate"] / pair_error,
            fit.coefficients / pair_error,
            rtol=0,
            atol=COEFFICIENT,
            err_msg=told,
        )
        if job.instrument is None:
            np.testing.assert_allclose(rows["r2"], fit.r2, atol=1e-9, err_msg=told)
            np.testing.assert_allclose(rows["r2_within"], fit.r2_within, atol=1e-7, err_msg=told)
        if expected[kind] is not None:
            np.testing.assert_allclose(
                rows["std_error"], np.sqrt(expected[kind]), rtol=ERROR, err_msg=f"{kind}: {told}"
            )
    if job.draws is not None:
        check_draws(job, path, results)


def check_draws(job: RandomJob, path: Path, results: engine.Results) -> None:
    """Draws of the run against literal relabelling, or literal resampling, and refits."""
    draws = job.draws
    assert draws is not None
    told = json.dumps(job.job, ensure_ascii=False)
    frame = results.draws[results.draws["method"] == draws.method]
    for replicate in frame["replicate"].unique()[:3]:
        made = draw(path, replicate=int(replicate))
        drawn = made.cities.set_index("city")
        if draws.method == "permutation":
            adopted = drawn["adopts_in_draw"].astype(float).fillna(np.inf).to_dict()
            long, terms = oracle_draws.relabelled(draws.everything, adopted, **draws.options)
        else:
            long = oracle_draws.resampled(job.rows, drawn["times_drawn"].to_dict())
            terms = draws.terms
        estimate, statistic, error = oracle_draws.studentised(
            long, ["schools", "density", "total", *terms], terms
        )
        rows = frame[frame["replicate"] == replicate].set_index("term").loc[terms]
        np.testing.assert_allclose(rows["estimate"] / error, estimate / error, atol=COEFFICIENT, err_msg=told)
        if draws.method == "permutation":
            np.testing.assert_allclose(rows["statistic"], statistic, rtol=ERROR, atol=ERROR, err_msg=told)


@pytest.mark.parametrize("seed", range(30))
def test_random_job(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(30, 300))
def test_more_random_jobs(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)
