"""Multipliers on city scores by their formula, and the wild cluster bootstrap against a literal one and a package."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from tolerances import BRUTE

from engine.infer.draws import multipliers
from engine.infer.scores import decomposition, multiplier_draws, wild_statistics

REPS = np.arange(20, dtype=np.int32)
REGRESSORS = ["edu", "dense", "policy"]
EVENTS = [f"policy[{t:+d}]" for t in (-2, 0, 1)]

worlds_of = pytest.mark.parametrize("name", ["balanced", "missing", "infinite", "events"])


@cache
def world(name: str) -> tuple[worlds.Pass, pd.DataFrame, list[str]]:
    """The pass, the oracle's long frame of the same sample, and its regressors."""
    frame = worlds.twins() if name == "infinite" else worlds.panel(holes=name in ("missing", "events"))
    blocks: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if name == "events":
        blocks["model"] = {"estimator": "event_study", "window": [-2, 1]}
        options["event"] = (-1, (-2, 1))
    long, terms = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame), **options)
    return worlds.first_pass(frame, **blocks), long, ["edu", "dense", *terms]


@worlds_of
@pytest.mark.parametrize("kind", ["rademacher", "webb", "mammen"])
def test_multiplier_draws_by_formula(name: str, kind: str) -> None:
    """b + sum_c v_c psi_c over sqrt(sum_c v_c^2 psi_c^2), psi_c the literal sums over the pairs of a city."""
    done, long, regressors = world(name)
    signs = multipliers(1, REPS, len(done.units), kind)
    result = done.results[0].fit
    found, statistic = multiplier_draws(result.values, result.city_first + result.city_second, signs)
    fit = reference.estimate(long, regressors)
    psi = oracle.city_influences(fit)
    for row, drawn in enumerate(signs):
        own = done.by_city(drawn)
        shift = sum(own[city] * psi.loc[city].to_numpy() for city in psi.index)
        spread = np.sqrt(sum((own[city] * psi.loc[city].to_numpy()) ** 2 for city in psi.index))
        np.testing.assert_array_less(np.abs(found[row] - fit.coefficients - shift) / spread, BRUTE)
        np.testing.assert_allclose(statistic[row], shift / spread, rtol=BRUTE, atol=BRUTE)


@worlds_of
def test_what_each_scheme_estimates(name: str) -> None:
    """Node and pair parts by their sums; under Rademacher signs the draws' variance is the node part."""
    done, long, regressors = world(name)
    result = done.results[0]
    city = result.fit.city_first + result.fit.city_second
    found = decomposition(city, result.fit.pair_meat)
    fit = reference.estimate(long, regressors)
    psi = fit.scores[regressors].to_numpy() @ fit.bread
    np.testing.assert_allclose(found.node, (oracle.city_influences(fit) ** 2).sum().to_numpy(), rtol=BRUTE)
    np.testing.assert_allclose(found.pair, (psi**2).sum(axis=0), rtol=BRUTE)
    every = np.array(list(product([-1.0, 1.0], repeat=10)))  # all signs of ten cities, the others left alone
    some = np.zeros((len(every), len(city)))
    some[:, :10] = every
    shift = multiplier_draws(np.zeros(city.shape[1]), city, some)[0]
    np.testing.assert_allclose((shift**2).mean(axis=0), (city[:10] ** 2).sum(axis=0), rtol=1e-11)


# -- wild clusters -----------------------------------------------------------------------------------------


def engine_wild(name: str, term: str, signs: np.ndarray) -> tuple[float, np.ndarray]:
    done, _, regressors = world(name)
    result = done.results[0]
    index = result.normal.positions(result.fit.terms)
    assert list(result.fit.names) == regressors
    return wild_statistics(result.normal, index, regressors.index(term), signs)


@pytest.mark.parametrize(
    ("name", "term", "kind"),
    [
        ("balanced", "policy", "rademacher"),
        ("balanced", "dense", "webb"),
        ("missing", "policy", "mammen"),
        ("infinite", "policy", "rademacher"),
        ("events", "policy[+0]", "webb"),
    ],
)
def test_wild_draws_are_refits_of_y_star(name: str, term: str, kind: str) -> None:
    done, long, regressors = world(name)
    signs = multipliers(2, REPS, len(done.units), kind)
    observed, drawn = engine_wild(name, term, signs)
    expected, literal = oracle.wild_t(long, regressors, term, done.by_city(signs.T))
    np.testing.assert_allclose(observed, expected, rtol=BRUTE)
    np.testing.assert_allclose(drawn, literal, rtol=BRUTE, atol=BRUTE)


@pytest.mark.parametrize("name", ["balanced", "missing", "events"])
def test_wild_draws_against_wildboottest(name: str) -> None:
    """The package gets pair-demeaned data with year dummies: pairs nest in clusters, years do not."""
    peer = pytest.importorskip("wildboottest.wildboottest", reason="wildboottest (PyPI) is not installed")
    done, long, regressors = world(name)
    rows = long.loc[reference.residuals(long, [*regressors, "y"]).index]
    codes = rows["city_i"].map(done.units.index).to_numpy()
    years = pd.get_dummies(rows["year"], drop_first=True, dtype=float)
    values = pd.concat([rows[[*regressors, "y"]], years], axis=1)
    values = values - values.groupby([rows["city_i"], rows["city_j"]]).transform("mean")
    term = regressors[-1]
    columns = [*regressors, *years.columns]
    boot = peer.WildboottestCL(
        X=values[columns].to_numpy(),
        Y=values["y"].to_numpy(),
        cluster=codes,
        R=np.array([float(own == term) for own in columns]),
        B=50,
        seed=1,
        parallel=False,
    )
    boot.get_scores(bootstrap_type="11", impose_null=True, adj=False, cluster_adj=False)
    boot.get_weights(weights_type="rademacher")
    signs = np.ones((50, len(done.units)))
    for own, drawn in zip(boot.bootclustid, boot.v, strict=True):
        signs[:, own] = drawn[-50:]
    boot.v = boot.v[:, -50:]
    boot.B = 50
    boot.get_numer()
    boot.get_denom()
    boot.get_tboot()
    boot.get_vcov()
    boot.get_tstat()
    observed, drawn = engine_wild(name, term, signs)
    np.testing.assert_allclose(observed, boot.t_stat, rtol=BRUTE)
    np.testing.assert_allclose(drawn, boot.t_boot, rtol=BRUTE, atol=BRUTE)


def test_signs_of_one_give_the_null_back() -> None:
    """Where no sign turns, y* is y: the draw is the observed t ratio; where all turn, its negative residual's."""
    done, _, regressors = world("missing")
    observed, drawn = engine_wild("missing", regressors[-1], np.ones((1, len(done.units))))
    np.testing.assert_allclose(drawn, [observed], rtol=BRUTE)
