"""Resamples without a cohort of adopters count: a coefficient is missing where a draw does not identify it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from tolerances import BRUTE

import engine
from engine.infer.draws import resampled_counts

REPS, SEED = 60, 6


def run(folder: Path, frame: pd.DataFrame, kind: str, reps: int, **blocks: Any) -> engine.Results:
    inference = {"bootstrap": {"kind": kind, "reps": reps, "seed": SEED}}
    return engine.run(worlds.write(folder, frame, worlds.job_of(frame, inference=inference, **blocks)))


def lonely() -> pd.DataFrame:
    """The first adopter alone in its cohort, the others of one year."""
    frame = worlds.panel()
    first = frame.loc[frame["pilot_year"].notna(), "city"].iloc[0]
    years = np.where(frame["city"] == first, 2012.0, np.where(frame["pilot_year"].notna(), 2014.0, np.nan))
    return frame.assign(pilot_year=years)


def resamples(frame: pd.DataFrame, reps: int) -> tuple[list[dict[str, int]], np.ndarray[Any, Any]]:
    """How often each city is drawn, and whether the cohort of one city is not."""
    cities = sorted(frame["city"].unique())
    counts = resampled_counts(SEED, np.arange(reps, dtype=np.int32), len(cities)).astype(int)
    adopted = frame.groupby("city")["pilot_year"].first()
    (alone,) = (number for number, city in enumerate(cities) if adopted[city] == 2012)
    return [dict(zip(cities, row, strict=True)) for row in counts], counts[:, alone] == 0


def literal(frame: pd.DataFrame, counts: dict[str, int], **options: Any) -> pd.DataFrame:
    """Coefficients, t ratios around the sample's and errors of the treatment terms in a resample."""
    long, terms = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame), **options)
    regressors = ["edu", "dense", *terms]
    sample = oracle.studentised(long, regressors, terms)[0]
    estimate, _, error = oracle.studentised(oracle.resampled(long, counts), regressors, terms)
    return pd.DataFrame(
        {"estimate": estimate, "statistic": (estimate - sample) / error, "error": error}, index=terms
    )


def check(draws: pd.DataFrame, expected: pd.DataFrame) -> None:
    rows = draws.set_index("term").loc[expected.index]
    np.testing.assert_array_equal(rows["estimate"].isna(), expected["estimate"].isna())
    known = expected["estimate"].notna()
    gap = (rows["estimate"] - expected["estimate"])[known] / expected["error"][known]
    np.testing.assert_array_less(gap.abs(), BRUTE)
    np.testing.assert_allclose(rows["statistic"][known], expected["statistic"][known], rtol=1e-7, atol=1e-7)


def test_draws_without_a_cohort_are_refits_like_any(tmp_path: Path) -> None:
    frame = lonely()
    found, (counts, lost) = run(tmp_path, frame, "node", REPS), resamples(frame, REPS)
    assert 0.1 < lost.mean() < 0.6  # a city is missing from 36% of the resamples of 16
    estimates = found.draws.set_index("replicate")["estimate"].sort_index()
    assert estimates[lost].notna().any()
    for replicate in np.flatnonzero(lost)[:6]:
        check(found.draws[found.draws["replicate"] == replicate], literal(frame, counts[replicate]))
    by_method = found.inference.set_index("method")
    np.testing.assert_allclose(by_method.loc["bootstrap_se", "statistic"], estimates.std(ddof=0), rtol=1e-12)
    assert by_method.loc["node", "reps"] == estimates.notna().sum()


def test_the_pipeline_keeps_them_too(tmp_path: Path) -> None:
    frame = lonely()
    found, (_, lost) = run(tmp_path, frame, "pipeline", 8), resamples(frame, 8)
    assert found.draws.set_index("replicate")["estimate"].sort_index()[lost].notna().any()


def test_an_event_study_loses_the_event_years_of_that_cohort_alone(tmp_path: Path) -> None:
    frame = lonely()
    last = int(frame["year"].max()) - 2012  # the other cohort ends two event years before
    model = {"estimator": "event_study", "window": [-2, last]}
    found, (counts, lost) = run(tmp_path, frame, "node", REPS, model=model), resamples(frame, REPS)
    wide = found.draws.pivot(index="replicate", columns="term", values="estimate")
    partly = wide.isna().any(axis=1) & wide.notna().any(axis=1)
    assert partly[lost].any()
    for replicate in [*wide.index[partly & lost][:3], *wide.index[~lost][:1]]:
        expected = literal(frame, counts[replicate], event=(-1, (-2, last)))
        check(found.draws[found.draws["replicate"] == replicate], expected)


def test_a_term_that_is_constant_in_every_pair_of_a_draw_is_missing(tmp_path: Path) -> None:
    """Cities that adopted before the first year have the last event year throughout, in sums exactly or nearly zero."""
    frame = worlds.panel()
    adopters = list(frame.loc[frame["pilot_year"].notna(), "city"].unique())
    first_year, last_year = int(frame["year"].min()), int(frame["year"].max())
    years = {adopters[0]: 2012, adopters[1]: first_year - 1, adopters[2]: first_year - 1}
    years |= dict.fromkeys(adopters[3:], last_year - 1)
    frame["pilot_year"] = frame["city"].map(years).astype(float)
    model = {"estimator": "event_study", "window": [-2, 3]}
    found, (counts, lost) = run(tmp_path, frame, "node", REPS, model=model), resamples(frame, REPS)
    wide = found.draws.pivot(index="replicate", columns="term", values="estimate")
    partly = wide.isna().any(axis=1) & wide.notna().any(axis=1)
    assert (partly & lost).any()
    for replicate in [*wide.index[partly & lost][:4], *wide.index[~lost][:1]]:
        expected = literal(frame, counts[replicate], event=(-1, (-2, 3)))
        check(found.draws[found.draws["replicate"] == replicate], expected)


@pytest.mark.parametrize(("estimator", "options"), [("twfe", {}), ("event_study", {"window": [-2, 1]})])
def test_draws_that_identify_nothing_are_counted(
    estimator: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Of one adopter: a resample without it has no treatment."""
    frame = lonely()
    frame["pilot_year"] = frame["pilot_year"].where(frame["pilot_year"] == 2012)
    found, (_, lost) = (
        run(tmp_path, frame, "node", REPS, model={"estimator": estimator, **options}),
        resamples(frame, REPS),
    )
    missing = found.draws.pivot(index="replicate", columns="term", values="estimate").isna().all(axis=1)
    np.testing.assert_array_equal(missing, lost)
    notes = [note for note in found.manifest["warnings"] if "bootstrap draws" in note]
    assert notes
    assert all(f"{lost.sum()} bootstrap draws do not identify" in note for note in notes)
