"""The reference against things a reader believes more: explicit dummies, known distances, closed forms, a peer."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pyfixest
import pytest
import reference

ROUNDING = 1e-11
"""Two orders of summation, on samples of a few hundred rows."""


def pairs(*, missing: float = 0.1, seed: int = 0) -> pd.DataFrame:
    """Eight cities, six years, two regressors, rows missing."""
    random = np.random.default_rng(seed)
    rows = [
        (f"c{i}", f"c{j}", 2000 + t, *random.normal(size=3))
        for i in range(8)
        for j in range(i)
        for t in range(6)
    ]
    frame = pd.DataFrame(rows, columns=["city_j", "city_i", "year", "x1", "x2", "y"])
    return frame[random.random(len(frame)) >= missing]


def dummies_regression(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, float]:
    """Coefficients, residuals and R2 with a column for every pair and year."""
    pair = pd.get_dummies(frame["city_i"] + frame["city_j"], dtype=float)
    year = pd.get_dummies(frame["year"], dtype=float, drop_first=True)
    x, y = np.hstack([frame[["x1", "x2"]], pair, year]), frame["y"].to_numpy()
    found = np.linalg.lstsq(x, y, rcond=None)[0]
    residual = y - x @ found
    return found[:2], residual, 1 - residual @ residual / ((y - y.mean()) ** 2).sum()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_estimate_is_least_squares_on_all_dummies(missing: float) -> None:
    frame = pairs(missing=missing)
    frame = frame[frame.groupby(reference.PAIR)["year"].transform("size") > 1]
    found = reference.estimate(frame, ["x1", "x2"])
    coefficients, residual, r2 = dummies_regression(frame)
    np.testing.assert_allclose(found.coefficients, coefficients, rtol=ROUNDING)
    np.testing.assert_allclose(found.r2, r2, rtol=ROUNDING)
    assert (found.n_obs, found.n_cities, found.n_years) == (len(frame), 8, 6)
    assert len(residual) == found.n_obs


def test_jackknife_refits_by_pyfixest() -> None:
    frame = pairs()
    frame["pair"] = frame["city_i"] + frame["city_j"]
    full, *without = (
        pyfixest.feols("y ~ x1 + x2 | pair + year", frame[(frame[reference.PAIR] != city).all(axis=1)]).coef()
        for city in ["", *(f"c{n}" for n in range(8))]
    )
    steps = np.array([one - full for one in without])
    (covariance,) = reference.jackknife(frame, [["x1", "x2"]])
    # The peer's demeaning, here at its default tolerance, is the coarser side.
    np.testing.assert_allclose(covariance, 7 / 8 * steps.T @ steps, rtol=1e-6)


def test_dyadic_errors_by_the_double_sum() -> None:
    found = reference.estimate(pairs(), ["x1", "x2"])
    scores = {(i, j): np.array(s) for i, j, *s in found.scores[["city_i", "city_j", "x1", "x2"]].to_numpy()}
    meat = sum(np.outer(s, r) for a, s in scores.items() for b, r in scores.items() if set(a) & set(b))
    factor = 8 / 7 * (found.n_obs - 1) / (found.n_obs - 2 - 6)
    np.testing.assert_allclose(
        found.dyadic(), found.bread @ np.asarray(meat, dtype=float) @ found.bread * factor, rtol=ROUNDING
    )


def test_rows_that_cannot_be_used_are_left_out() -> None:
    frame = pairs(missing=0.0)
    frame.loc[frame.index[3], "y"] = np.inf
    frame.loc[frame.index[8], "x1"] = np.nan
    single = (frame["city_i"] == "c0") & (frame["city_j"] == "c7") & (frame["year"] > 2000)
    found = reference.estimate(frame[~single], ["x1", "x2"])
    assert (found.n_obs, found.n_pairs) == (28 * 6 - 6 - 2, 27)


def test_mean_over_years_of_the_index_is_the_correlation() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, 12))
    y, gap = reference.synchronization(one, other)
    rho = 1 - gap**2 / 2
    np.testing.assert_allclose(float(rho.mean()), np.corrcoef(one, other)[0, 1], rtol=ROUNDING)
    expected = [0.5 * math.log((1 + float(r) / 21) / (1 - float(r))) for r in rho]
    np.testing.assert_allclose(
        y.astype(float), expected, rtol=1e-9
    )  # in double precision 1 - rho loses digits


def test_missing_years_standardise_over_the_years_both_have() -> None:
    random = np.random.default_rng(2)
    one, other = random.normal(size=(2, 9))
    one[2] = other[6] = np.nan
    both = [0, 1, 3, 4, 5, 7, 8]
    y, _ = reference.synchronization(one, other)
    expected, _ = reference.synchronization(one[both], other[both])
    np.testing.assert_array_equal(y[both], expected)
    assert np.isnan(y[[2, 6]]).all()
    few, _ = reference.synchronization(np.where(np.arange(9) < 2, one, np.nan), other)
    assert np.isnan(few).all()


def test_outcomes_before_the_policy_do_not_see_what_follows() -> None:
    random = np.random.default_rng(3)
    one, other = random.normal(size=(2, 10))
    before = np.arange(10) < 5
    later = np.where(before, one, one + 3.0)
    pre = [reference.synchronization(series, other, inside=before)[0] for series in (one, later)]
    full = [reference.synchronization(series, other)[0] for series in (one, later)]
    np.testing.assert_array_equal(pre[0][before], pre[1][before])
    assert np.abs(full[0] - full[1])[before].min() > 1e-3


def test_great_circle_distances() -> None:
    radius = reference.EARTH_RADIUS_KM
    assert reference.great_circle_km(0, 0, 0, 90) == pytest.approx(radius * math.pi / 2, rel=ROUNDING)
    assert reference.great_circle_km(90, 0, -90, 77) == pytest.approx(radius * math.pi, rel=ROUNDING)
    assert reference.great_circle_km(10, 20, 11, 20) == pytest.approx(radius * math.pi / 180, rel=ROUNDING)


def test_entropy_weights_of_equal_and_of_dispersed_indicators() -> None:
    x = np.array([0.0, 1.0, 2.0, 4.0])
    frame = pd.DataFrame({"a": x, "b": 3 * x + 7, "spike": [0.0, 0.0, 0.0, 1.0]})
    twins = reference.entropy_index(frame, ["a", "b"])
    np.testing.assert_allclose(twins, x / 4, rtol=ROUNDING)  # any weights of two equal indicators
    share = x[1:] / 7
    ours, spike = 1 + (share * np.log(share)).sum() / math.log(4), 1.0  # a spike has no entropy at all
    index = reference.entropy_index(frame, ["a", "spike"])
    expected = (ours * x / 4 + spike * frame["spike"]) / (ours + spike)
    np.testing.assert_allclose(index, expected, rtol=ROUNDING)
    mirrored = reference.entropy_index(frame.assign(a=-frame["a"]), ["a", "spike"], negative=["a"])
    np.testing.assert_allclose(mirrored, index, rtol=ROUNDING)


def test_event_dummies_join_or_drop_the_ends() -> None:
    long = pd.DataFrame({"year": range(2010, 2020), "adoption_i": 2014.0, "adoption_j": np.inf})
    binned, names = reference.event_dummies(long, rule="either", base=-1, window=(-2, 3), ends="bin")
    assert names == ["policy[-2]", "policy[+0]", "policy[+1]", "policy[+2]", "policy[+3]"]
    np.testing.assert_array_equal(binned[names].sum(), [3, 1, 1, 1, 3])
    dropped, _ = reference.event_dummies(long, rule="either", base=-1, window=(-2, 3), ends="drop")
    assert list(dropped["year"]) == list(range(2012, 2018))
    never, _ = reference.event_dummies(long, rule="both", base=-1, window=(-2, 3), ends="drop")
    assert len(never) == 10
    assert (never[names] == 0).all(axis=None)
