"""Event years under a lag: dummies and rows of a window come as many years later, by dummies written out."""

from __future__ import annotations

from typing import Any

import dyadid as dd
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from strategies import city_panel
from tolerances import BRUTE

WINDOW, BASE = (-3, 2), -1
ESTIMATORS = {"event_study": WINDOW, "sun_abraham": WINDOW, "extended_twfe": (-3, 2)}


def job_of(frame: pd.DataFrame, **model: Any) -> dd.Job:
    document = {
        "job": "lagged",
        "panel": {"source": "frame:cities"},
        "outcome": {"synchronization": "output"},
        "pairs": {"exclude": "both_treated"},
        "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
        "model": {"errors": ["pair"], **model},
    }
    return dd.job(document, frames={"cities": frame})


@pytest.fixture(scope="module")
def long() -> tuple[pd.DataFrame, pd.DataFrame]:
    """A panel of cities, and all its pair-years: outcome, and the year in which the pair adopts."""
    frame = city_panel(3)
    rows = job_of(frame, estimator="twfe").pairs()
    rows = rows.rename(columns={"synchronization of output": "y"})
    adopted = frame.groupby("city")["pilot_year"].first()
    years = pd.concat([rows["unit_i"].map(adopted), rows["unit_j"].map(adopted)], axis=1)
    return frame, rows.assign(adopted=years.min(axis=1).fillna(np.inf))


def literal(long: pd.DataFrame, estimator: str, *, lag: int, ends: str) -> tuple[dict[str, float], int]:
    """Coefficients by name, and rows, of least squares on dummies of everything."""
    rows = long[long["year"] >= long["year"].min() + lag]
    event = rows["year"] - lag - rows["adopted"]
    if ends == "drop":
        inside = event.between(*WINDOW) | np.isinf(event)
        rows, event = rows[inside], event[inside]
    binned = event.clip(*WINDOW).where(np.isfinite(event))
    groups: dict[int, list[np.ndarray]] = {}
    by_cohort = estimator != "event_study"
    keys = [
        binned,
        rows["adopted"] if by_cohort else binned,
        event if estimator == "extended_twfe" else binned,
    ]
    for (time, *_), index in rows.groupby(keys).groups.items():
        if time != BASE and (estimator != "extended_twfe" or time >= 0):
            groups.setdefault(int(time), []).append(rows.index.isin(index).astype(float))
    dummies = np.column_stack([dummy for time in sorted(groups) for dummy in groups[time]])
    pair = pd.get_dummies(rows["unit_i"] + rows["unit_j"]).to_numpy(float)
    year = pd.get_dummies(rows["year"]).to_numpy(float)
    effects = np.column_stack([pair, year])
    basis = np.linalg.svd(effects, full_matrices=False)
    q = basis.U[:, 1e-9 * basis.S[0] < basis.S]
    x, y = dummies - q @ (q.T @ dummies), rows["y"] - q @ (q.T @ rows["y"])
    values = iter(np.linalg.lstsq(x, y, rcond=None)[0])
    found = {}
    for time in sorted(groups):
        weights = [dummy.sum() for dummy in groups[time]]
        found[f"policy[{time:+d}]"] = float(np.average([next(values) for _ in weights], weights=weights))
    return found, len(rows)


@pytest.mark.parametrize("ends", ["bin", "drop"])
@pytest.mark.parametrize("lag", [0, 1, 2])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_event_years_come_later(
    long: tuple[pd.DataFrame, pd.DataFrame], estimator: str, lag: int, ends: str
) -> None:
    frame, rows = long
    expected, n_obs = literal(rows, estimator, lag=lag, ends=ends)
    found = job_of(frame, estimator=estimator, window=list(WINDOW), ends=ends, lag=lag).run().estimates
    assert set(found["n_obs"]) == {n_obs}
    values = found.set_index("term")["estimate"]
    assert set(values.index) == set(expected)
    for name, value in expected.items():
        assert_allclose(values[name], value, rtol=BRUTE, atol=1e-9)


def test_rows_that_a_window_drops_are_named() -> None:
    """No year before adoption is in the window, whatever years the file has."""
    job = job_of(city_panel(3), estimator="extended_twfe", window=[0, 2], ends="drop")
    with pytest.raises(dd.InputError, match=r"not observed before they do\n  hint: ends: drop leaves out"):
        job.run()


@pytest.mark.parametrize("lag", [7, 8, 10])
@pytest.mark.parametrize("ends", ["bin", "drop"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_lag_beyond_the_years_is_refused(estimator: str, ends: str, lag: int) -> None:
    job = job_of(city_panel(3), estimator=estimator, window=list(WINDOW), ends=ends, lag=lag)
    with pytest.raises(dd.InputError):
        job.run()
