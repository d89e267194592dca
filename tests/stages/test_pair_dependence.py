"""Correlations of pair scores, against loops over couples of pairs."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from strategies import pair_table, run_panel, run_table

from engine.errors import InputError
from engine.report.language.wording import ENGLISH, words_of
from engine.report.outputs.score_correlations import correlations_figure, correlations_text
from engine.stages.pair_dependence import CoupleClasses, correlograms_of

BLOCK = {"distance": 2000, "bins": 4}


def scores(frame: Any, **event: Any) -> tuple[list[tuple[str, str]], np.ndarray, list[str]]:
    """Pairs, their influences ``[n_pairs, K]``, and names of the coefficients, by least squares on demeaned rows."""
    long, terms = oracle.relabelled(
        worlds.oracle_grid(frame), worlds.observed_adoption(frame), rule="exactly_one", **event
    )
    regressors = ["edu", "dense", *terms]
    left = reference.residuals(long, [*regressors, "y"])
    rows = long.loc[left.index]
    x, y = left[regressors].to_numpy(), left["y"].to_numpy()
    bread = np.linalg.inv(x.T @ x)
    influence = (x @ bread) * (y - x @ (bread @ x.T @ y))[:, None]
    pairs = list(zip(rows["city_i"], rows["city_j"], strict=True))
    distinct = sorted(set(pairs))
    psi = np.zeros((len(distinct), len(regressors)))
    np.add.at(psi, [distinct.index(pair) for pair in pairs], influence)
    return distinct, psi, regressors


def literal(pairs: list[tuple[str, str]], psi: np.ndarray, km: dict[tuple[str, str], float]) -> np.ndarray:
    """Couples and correlations ``[1 + bins, 2]``: with a common city, then by distance of a city of either."""
    edges = np.linspace(0, BLOCK["distance"], BLOCK["bins"] + 1)
    sums = np.zeros((1 + BLOCK["bins"], 2))
    for p, q in permutations(range(len(pairs)), 2):
        if set(pairs[p]) & set(pairs[q]):
            sums[0] += (1, psi[p] * psi[q])
            continue
        for city in pairs[p]:
            for partner in pairs[q]:
                for k in range(BLOCK["bins"]):
                    if (edges[k] < km[city, partner] or k == 0) and km[city, partner] <= edges[k + 1]:
                        sums[1 + k] += (1, psi[p] * psi[q])
    correlations = sums[:, 1] / np.where(sums[:, 0] > 0, sums[:, 0], np.nan) / np.mean(psi**2)
    return np.stack([sums[:, 0], correlations], axis=1)


@pytest.mark.parametrize("name", ["whole", "holes", "tiles", "event study"])
def test_loops_over_couples_of_pairs(name: str) -> None:
    frame = worlds.panel(holes=name == "holes", n_cities=11)
    blocks: dict[str, Any] = {"runtime": {"tile": 8}} if name == "tiles" else {}
    event: dict[str, Any] = {}
    if name == "event study":
        blocks["model"] = {"estimator": "event_study", "window": [-2, 1]}
        event = {"event": (-1, (-2, 1))}
    rows = run_panel(frame, inference={"score_correlations": BLOCK}, **blocks).frames["score_correlations"]
    pairs, psi, regressors = scores(frame, **event)
    place = frame.groupby("city")[["latitude", "longitude"]].first()
    km = {
        (a, b): reference.great_circle_km(*place.loc[a], *place.loc[b])
        for a, b in product(place.index, repeat=2)
    }
    assert set(rows["term"]) == set(regressors[2:]) if event else {"policy"}
    for term, of_term in rows.groupby("term", sort=False):
        expected = literal(pairs, psi[:, regressors.index(term)], km)
        np.testing.assert_array_equal(of_term["n_couples"], expected[:, 0])
        np.testing.assert_allclose(of_term["correlation"], expected[:, 1], rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_shocks_that_near_cities_share_leave_the_band(seed: int) -> None:
    """Cities come in six places of five; a pair's score has a part of either city, which a place shares or does not."""
    rng, n = np.random.default_rng(seed), 30
    place = np.arange(n) % 6
    adjacent, noise = 1 - np.eye(n), rng.normal(size=(n, n))
    couples = CoupleClasses.of(100.0 * np.abs(place[:, None] - place), np.array([0.0, 50.0, 1000.0]))
    of_place, of_city = rng.normal(size=6)[place], rng.normal(size=n)
    psi = np.stack([adjacent * (part[:, None] + part + noise + noise.T) for part in (of_place, of_city)])
    shared, apart = correlograms_of(["x", "z"], psi, adjacent, couples)
    assert shared.by_distance[0] > shared.high[0]
    assert apart.low[0] < apart.by_distance[0] < apart.high[0]
    for result in (shared, apart):
        assert 0.1 < result.common_city < 0.6  # a half of the variance is that of the two cities
        assert result.n_common + result.n_couples.sum() / 4 == 435 * 434


def test_the_band_is_of_permuted_places_and_the_same_each_time() -> None:
    frame = worlds.panel(n_cities=12)
    first, second = (
        run_panel(frame, inference={"score_correlations": BLOCK}, runtime={"tile": tile}).frames[
            "score_correlations"
        ]
        for tile in (8, 64)
    )
    np.testing.assert_allclose(first["band_low"], second["band_low"], rtol=1e-9)
    apart = first[first["common_cities"] == 0]
    assert (apart["band_low"] <= apart["band_high"]).all()


@pytest.mark.parametrize(
    "blocks",
    [
        {"model": {"estimator": "sun_abraham", "window": [-2, 1]}},
        {"matching": {"unit": "pooled", "covariates": ["dense"]}},
    ],
    ids=["sun_abraham", "matching"],
)
def test_other_regressions_have_them(blocks: dict[str, Any]) -> None:
    frames = run_panel(worlds.panel(n_cities=12), inference={"score_correlations": BLOCK}, **blocks).frames
    assert np.isfinite(frames["score_correlations"]["correlation"]).any()


def test_what_cannot_be_is_refused() -> None:
    correlated = {"score_correlations": BLOCK}
    with pytest.raises(InputError, match="not defined for effects beyond pair and year"):
        run_panel(worlds.panel(), inference=correlated, model={"fixed_effects": ["pair", "province x year"]})
    with pytest.raises(InputError, match="latitude"):
        run_panel(worlds.panel().drop(columns="latitude"), inference=correlated, pairs={})
    with pytest.raises(InputError, match="city panels"):
        run_table(pair_table(3), inference=correlated)
    with pytest.raises(InputError, match="distance"):
        run_panel(worlds.panel(), inference={"score_correlations": {"distance": 0}})


def test_figure_and_words_in_both_languages() -> None:
    rows = run_panel(worlds.panel(), inference={"score_correlations": BLOCK}).frames["score_correlations"]
    for words in (ENGLISH, words_of("zh")):
        figure = correlations_figure(rows, term="policy", title="title", words=words)
        assert len(figure.axes[0].lines) == 3
        assert "policy" in correlations_text(rows, "policy", words)


def test_words_of_the_nearest_distances_that_any_pairs_have() -> None:
    """Distances at which no two pairs are have no correlation, and none is said of them."""
    empty = {
        "distance_low": 0.0,
        "distance_high": 50.0,
        "correlation": np.nan,
        "band_low": np.nan,
        "band_high": np.nan,
    }
    common = {**empty, "distance_high": 0.0, "correlation": 0.4, "common_cities": 1}
    far = {"common_cities": 0, "distance_low": 50.0, "distance_high": 100.0, "correlation": 0.1}
    rows = [common, {**empty, "common_cities": 0}, {**far, "band_low": -0.2, "band_high": 0.2}]
    text = correlations_text(pd.DataFrame(rows), "policy")
    assert "are 50 to 100 km apart by 0.1" in text
    text = correlations_text(pd.DataFrame(rows[:2]), "policy")
    assert "have cities within 50 km" in text
    assert "nan" not in text
