"""Comparison of a cell of results with pyfixest and with `reference`, every array of it.

`against_pyfixest`: coefficients, pair and two-way errors with p-values, intervals and degrees of freedom, R2,
observations. `against_brute_force`: coefficients, dyadic and jackknife errors.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyfixest
import reference
from pyfixest.demeaners import LsmrDemeaner
from tolerances import BRUTE, PEER, PEER_P_VALUE

import engine

_CLUSTERS = {"pair": "pair", "city": "city_i + city_j"}
_TIGHTEST = LsmrDemeaner(fixef_atol=1e-14, fixef_btol=1e-14, fixef_maxiter=10_000)


@dataclass(frozen=True)
class Cell:
    """One cell of results.

    Attributes
    ----------
    rows : mapping of str to DataFrame
        Kind of error to the cell's rows of estimates, indexed by term.
    """

    rows: Mapping[str, pd.DataFrame]

    def __getitem__(self, kind: str) -> pd.DataFrame:
        return self.rows[kind]


def cell(results: engine.Results, number: int = 0) -> Cell:
    """The n-th cell of a job."""
    rows, entry = results.estimates, results.manifest["cells"][number]
    own = rows[rows["cell"] == entry["cell"]]
    return Cell({kind: g.set_index("term") for kind, g in own.groupby("errors")})


def against_pyfixest(
    ours: Cell,
    long: pd.DataFrame,
    regressors: Sequence[str],
    *,
    outcome: str = "y",
    weights: str | None = None,
) -> None:
    """Assert that pair and two-way results are those of ``feols(y ~ x | pair + year)``; ``weights`` is a column."""
    names = list(regressors)
    # Not formula names: event-study terms have brackets.
    x = {name: f"x{n}" for n, name in enumerate(names)}
    frame = long if outcome == "y" else long.drop(columns="y", errors="ignore")
    frame = frame.rename(columns={**x, outcome: "y"}).replace([np.inf, -np.inf], np.nan)
    frame = frame.assign(pair=frame["city_i"].astype(str) + "|" + frame["city_j"].astype(str))
    frame = frame[["pair", "city_i", "city_j", "year", "y", *x.values(), *([weights] if weights else [])]]
    with warnings.catch_warnings():  # it warns of every singleton it drops, as it should
        warnings.simplefilter("ignore", UserWarning)
        model = pyfixest.feols(
            f"y ~ {' + '.join(x.values())} | pair + year",
            frame,
            vcov={"CRV1": "pair"},
            weights=weights,
            demeaner=_TIGHTEST,
        )
    for kind, clusters in _CLUSTERS.items():
        own = ours[kind].loc[names]
        model.vcov({"CRV1": clusters})
        theirs = model.tidy().loc[list(x.values())]
        np.testing.assert_allclose(own["estimate"], theirs["Estimate"], rtol=PEER)
        assert (own["n_obs"] == model._N).all()
        if (own["estimator"] != "first_stage").all():  # whose R2 is not told
            np.testing.assert_allclose(own["r2"], model._r2, rtol=PEER)
        np.testing.assert_allclose(own["r2_within"], model._r2_within, rtol=PEER)
        assert (own["dof"] == model._df_t).all()
        if (np.diag(model._vcov) < 0).any():  # pyfixest leaves such a covariance as it is
            errors = reference.standard_errors(reference.non_negative(np.asarray(model._vcov)))
            np.testing.assert_allclose(own["std_error"], errors, rtol=PEER)
            continue
        np.testing.assert_allclose(own["std_error"], theirs["Std. Error"], rtol=PEER)
        np.testing.assert_allclose(own["statistic"], theirs["t value"], rtol=PEER)
        np.testing.assert_allclose(own["p_value"], theirs["Pr(>|t|)"], rtol=PEER, atol=PEER_P_VALUE)
        # An end of an interval may lie near zero; what it is known to is relative to the interval's width.
        width = (theirs["97.5%"] - theirs["2.5%"]).to_numpy()
        np.testing.assert_allclose(own["conf_low"] / width, theirs["2.5%"] / width, rtol=0, atol=PEER)
        np.testing.assert_allclose(own["conf_high"] / width, theirs["97.5%"] / width, rtol=0, atol=PEER)


def against_brute_force(
    ours: Cell,
    long: pd.DataFrame,
    regressors: Sequence[str],
    *,
    outcome: str = "y",
    kinds: Sequence[str] = ("dyadic", "jackknife"),
) -> None:
    """Assert that coefficients and these kinds of errors are those of `reference`."""
    names = list(regressors)
    found = reference.estimate(long, names, outcome)
    for kind in kinds:
        covariance = found.dyadic() if kind == "dyadic" else reference.jackknife(long, [names], outcome)[0]
        own = ours[kind].loc[names]
        instead = found.city_sums() if kind == "dyadic" else covariance
        np.testing.assert_allclose(own["estimate"], found.coefficients, rtol=PEER)
        np.testing.assert_allclose(
            own["std_error"], reference.guarded_errors(covariance, instead), rtol=BRUTE
        )
        assert (own["dof"] == found.n_cities - 1).all()
        assert (own["n_units"] == found.n_cities).all()
        assert (own["n_pairs"] == found.n_pairs).all()
        assert (own["n_obs"] == found.n_obs).all()


def against_refits(results: engine.Results, long: pd.DataFrame, models: Sequence[Sequence[str]]) -> None:
    """Assert the jackknife errors of several cells that share a sample, each refit serving all of them."""
    for number, covariance in enumerate(reference.jackknife(long, models)):
        own = cell(results, number)["jackknife"].loc[list(models[number])]
        np.testing.assert_allclose(own["std_error"], reference.standard_errors(covariance), rtol=BRUTE)
        assert (own["dof"] == own["n_units"] - 1).all()
