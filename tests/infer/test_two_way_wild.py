"""The two-way wild bootstrap against draws that are made row by row and estimated again."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
import reference
from adopter_panels import BLOCKS, panel
from strategies import pair_table, run_panel
from tolerances import BRUTE

import engine
from engine.infer.draws import multipliers
from engine.infer.summary import equal_tailed_p
from engine.infer.two_way_wild import two_way_statistics
from engine.spec.inference import Bootstrap
from engine.stages.inference.two_way_wild_draws import two_way_input

REPS = np.arange(20, dtype=np.int32)
SCHEME = Bootstrap(kind="two_way_wild", reps=20, seed=3)
BLOCK = {"bootstrap": {"kind": "two_way_wild", "reps": 39, "seed": 3}}
KINDS: dict[str, dict[str, Any]] = {
    "balanced": {},
    "missing": {},
    "infinite": {},
    "kept pairs": {"pairs": {"exclude": "none"}},
    "events": {"model": {"estimator": "event_study", "window": [-2, 1]}},
}


@cache
def world(name: str) -> tuple[worlds.Pass, pd.DataFrame, list[str]]:
    """The pass, the oracle's long frame of the same sample, and its regressors."""
    frame = worlds.twins() if name == "infinite" else worlds.panel(holes=name in ("missing", "events"))
    options: dict[str, Any] = {"event": (-1, (-2, 1))} if name == "events" else {}
    if name == "kept pairs":
        options = {"exclude": False, "threshold": -np.inf}
    long, terms = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame), **options)
    regressors = ["edu", "dense", *terms]
    rows = long.loc[reference.residuals(long, [*regressors, "y"]).index]
    return worlds.first_pass(frame, inference=BLOCK, **KINDS[name]), rows, regressors


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("weights", ["rademacher", "webb", "mammen"])
def test_draws_are_refits_of_u_star(name: str, weights: str) -> None:
    done, rows, regressors = world(name)
    drawn = multipliers(SCHEME.seed, REPS, len(done.units), weights)
    (result,) = done.results
    parts = two_way_input(result, SCHEME).coefficients
    for position, of_term in zip(result.fit.tested_positions, parts, strict=True):
        _, statistics = two_way_statistics(of_term, drawn)
        _, literal = oracle.two_way_t(rows, regressors, result.fit.names[position], done.by_city(drawn.T))
        np.testing.assert_allclose(statistics, literal, rtol=BRUTE, atol=BRUTE)


@pytest.mark.parametrize("name", KINDS)
def test_multipliers_of_one_give_the_sample_back(name: str) -> None:
    done, rows, regressors = world(name)
    (result,) = done.results
    ones = np.ones((1, len(done.units)))
    for position, of_term in zip(
        result.fit.tested_positions, two_way_input(result, SCHEME).coefficients, strict=True
    ):
        (estimate,), (statistic,) = two_way_statistics(of_term, ones)
        observed, _ = oracle.two_way_t(rows, regressors, result.fit.names[position], done.by_city(ones.T))
        np.testing.assert_allclose(estimate, result.fit.values[position], rtol=BRUTE)
        np.testing.assert_allclose(statistic, observed, rtol=BRUTE)


@pytest.mark.parametrize("shape", ["undirected", "directed", "bipartite"])
def test_tables_of_pairs(tmp_path: Path, shape: str) -> None:
    """Both directions of a pair are one dyad; on a bipartite graph the smallest city parts are taken."""
    directed = shape == "directed"
    frame = pair_table(0, directed=directed)
    if shape == "bipartite":
        units = sorted({*frame["one"], *frame["other"]})
        side = frame["one"].isin(units[::2])
        frame = frame[side & ~frame["other"].isin(units[::2])]
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    job = {
        "job": "small",
        "pair_table": {"source": str(tmp_path / "pairs.csv"), "unit_i": "one", "unit_j": "other", "year": "year",
                       "directed": directed},
        "outcome": {"column": "y"},
        "model": {"regressors": ["x"]},
        "inference": BLOCK,
    }  # fmt: skip
    results = engine.run(job)
    rows = frame.rename(columns={"one": "city_i", "other": "city_j"}).dropna(subset=["x", "y"])
    rows = rows[rows.groupby(["city_i", "city_j"])["year"].transform("size") > 1].reset_index(drop=True)
    units = sorted({*frame["one"], *frame["other"]})
    drawn = multipliers(3, np.arange(39, dtype=np.int32), len(units), "rademacher")
    signs = dict(zip(units, drawn.T, strict=True))
    observed, literal = oracle.two_way_t(rows, ["x"], "x", signs, directed=directed)
    draws = results.draws[results.draws["method"] == "two_way_wild"]
    np.testing.assert_allclose(draws["statistic"], literal, rtol=1e-9, atol=1e-9)
    of_method = results.inference.set_index("method")
    np.testing.assert_allclose(of_method.loc["two_way_wild", "statistic"], observed, rtol=1e-9)
    symmetric = (1 + (np.abs(literal) >= abs(observed) * (1 - 1e-10)).sum()) / 40
    assert of_method.loc["two_way_wild", "p_value"] == symmetric
    tails = (literal <= observed + 1e-9).sum(), (literal >= observed - 1e-9).sum()
    assert of_method.loc["two_way_wild_equal_tailed", "p_value"] == min(1.0, 2 * (1 + min(tails)) / 40)


@pytest.mark.parametrize("kind", ["two_way_wild", "wild"])
def test_years_that_share_no_pair(tmp_path: Path, kind: str) -> None:
    """Their dummies are not identified, residuals are: t ratios are those of either half's own effects."""
    frame = pair_table(1, n_units=8, missing=0.0)
    units = sorted({*frame["one"], *frame["other"]})
    number = frame["one"].map(units.index) + frame["other"].map(units.index)
    early = number % 2 == 0
    frame = frame[early == (frame["year"] < 2013)].reset_index(drop=True)
    frame.to_csv(tmp_path / "pairs.csv", index=False)
    table = {"source": str(tmp_path / "pairs.csv"), "unit_i": "one", "unit_j": "other", "year": "year"}
    results = engine.run(
        {
            "job": "small",
            "pair_table": table,
            "outcome": {"column": "y"},
            "model": {"regressors": ["x", "w"]},
            "inference": {"bootstrap": {"kind": kind, "reps": 39, "seed": 3}},
        }
    )
    rows = frame.rename(columns={"one": "city_i", "other": "city_j"})
    drawn = multipliers(3, np.arange(39, dtype=np.int32), len(units), "rademacher")
    signs = dict(zip(units, drawn.T, strict=True))
    literal_of = oracle.two_way_t if kind == "two_way_wild" else oracle.wild_t
    draws = results.draws[results.draws["method"] == kind]
    for term in ("x", "w"):
        _, literal = literal_of(rows, ["x", "w"], term, signs)
        statistic = draws.loc[draws["term"] == term, "statistic"]
        np.testing.assert_allclose(statistic, literal, rtol=1e-9, atol=1e-9)


def test_pairs_beyond_memory_are_refused_before_any_pass(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    job = worlds.write(tmp_path, worlds.panel(), worlds.job_of(worlds.panel(), inference=BLOCK))
    assert command("check", str(job))[0] == 0
    code, out, err = command("check", str(job), "--set", "runtime.memory=0.01MB")
    text = " ".join((out + err).split())
    assert code == 2
    assert "inference.bootstrap kind two_way_wild keeps" in text
    assert "give runtime.memory: 1GB, or use kind multiplier" in text


@pytest.mark.parametrize("n_adopters", [3, 4])
def test_few_adopters_are_a_note(n_adopters: int) -> None:
    adopters = {number: 2013.0 + number for number in range(n_adopters)}
    results = run_panel(panel(adopters), **BLOCKS, inference=BLOCK)
    notes = [text for text in results.manifest["warnings"] if "hardly rejects anything" in text]
    assert len(notes) == (n_adopters < 4)
    assert results.inference["p_value"].between(0, 1).all()


def test_blocks_do_not_matter() -> None:
    done, _, _ = world("missing")
    parts = two_way_input(done.results[0], SCHEME).coefficients[0]
    drawn = multipliers(1, np.arange(7, dtype=np.int32), len(done.units), "webb")
    whole = two_way_statistics(parts, drawn)
    split = [two_way_statistics(parts, block) for block in (drawn[:3], drawn[3:])]
    for of_whole, of_parts in zip(whole, zip(*split, strict=True), strict=True):
        np.testing.assert_allclose(of_whole, np.concatenate(of_parts), rtol=1e-12)


@pytest.mark.parametrize(
    ("observed", "expected"), [(5.0, 0.2), (-5.0, 0.2), (0.5, 1.0), (3.0, 0.6), (np.nan, np.nan)]
)
def test_equal_tailed_p(observed: float, expected: float) -> None:
    draws = np.array([-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 4.0, np.nan])
    p = equal_tailed_p(observed, draws)
    np.testing.assert_allclose(p.value, expected)
    assert p.draws == 9
