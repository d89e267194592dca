"""Rows alone in a year, or in a pair once those have left: one rule for moments, rows and draws, fixest's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import reference
from hypothesis import given
from peers import against_brute_force, against_pyfixest, cell
from strategies import pair_table, run_table, seeds

from engine.errors import InputError
from engine.estimate.singletons import year_singletons

TERMS = ["x", "w"]


def without_singletons(frame: pd.DataFrame, keys: list[list[str]]) -> pd.DataFrame:
    """Literal: rows alone in a level of any key leave, until there are none."""
    while True:
        alone = np.zeros(len(frame), dtype=bool)
        for key in keys:
            alone |= (frame.groupby(key)["year"].transform("size") == 1).to_numpy()
        if not alone.any():
            return frame
        frame = frame[~alone]


def with_lone_years(seed: int, *, directed: bool = False) -> pd.DataFrame:
    """A table and, in years of their own, single rows; one pair has two rows, both of which leave in a cascade."""
    frame = pair_table(seed, 8, missing=0.2, directed=directed)
    rng = np.random.default_rng(seed)
    lone = frame.sample(3, random_state=seed).assign(year=[1990, 1991, 1992])
    # A pair of a unit that is seen nowhere else: one row in a year of its own, then one that is alone in the pair.
    late = frame.iloc[[0, 0]].assign(one="u0", other="zz", year=[1993, 2010])
    out = pd.concat([frame, lone, late], ignore_index=True)
    return out.assign(y=out["y"] + rng.normal(size=len(out)))


def named(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.rename(columns={"one": "city_i", "other": "city_j"})


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("seed", [2, 3])
def test_moments_and_rows_and_fixest_have_one_sample(seed: int, directed: bool) -> None:
    frame = with_lone_years(seed, directed=directed)
    left = without_singletons(frame, [["one", "other"], ["year"]])
    assert len(frame) - len(left) >= 5
    for effects in (["pair", "year"], ["pair", "year", "group"]):
        found = run_table(
            frame.assign(group="all"),
            directed=directed,
            model={
                "regressors": TERMS,
                "fixed_effects": effects,
                "errors": ["pair", "city", "dyadic", "jackknife"],
            },
        )
        rows, counts = found.estimates, found.manifest["counts"][0]
        assert (rows["n_obs"] == len(left)).all()
        assert (rows["n_pairs"] == left.groupby(["one", "other"]).ngroups).all()
        assert (rows["n_units"] == len(set(left["one"]) | set(left["other"]))).all()
        assert counts["singletons"] == len(frame) - len(left)
        assert counts["steps"][-1]["rows"] == len(left)
        warned = [text for text in found.manifest["warnings"] if "alone in a level of pair, year" in text]
        assert warned[0].startswith(f"{len(frame) - len(left)} singleton observations")
        against_pyfixest(cell(found), named(frame), TERMS)
        if not directed:
            against_brute_force(cell(found), named(left), TERMS)


def test_weighted_rows_are_counted_not_weighed() -> None:
    """A light year of two rows stays, a heavy one of a single row leaves."""
    frame = with_lone_years(4)
    rng = np.random.default_rng(4)
    frame["weight"] = rng.uniform(0.5, 2.0, len(frame))
    frame.loc[frame["year"] == 2011, "weight"] /= 100
    frame.loc[frame["year"] == 1990, "weight"] *= 100
    left = without_singletons(frame, [["one", "other"], ["year"]])
    table = {
        "source": "pairs.parquet", "unit_i": "one", "unit_j": "other", "year": "year", "weight": "weight",
    }  # fmt: skip
    found = run_table(frame, pair_table=table, model={"regressors": TERMS, "errors": ["pair", "city"]})
    assert (found.estimates["n_obs"] == len(left)).all()
    against_pyfixest(cell(found), named(frame), TERMS, weights="weight")


def test_a_sample_of_singletons_alone_is_refused() -> None:
    frame = pair_table(1, 5, missing=0.0)
    with pytest.raises(InputError, match="no row is left: each is alone in its pair or in its year"):
        run_table(frame[(frame["one"] == "u0") & (frame["other"] == "u1")])


# -- panels and draws --------------------------------------------------------------------------------------


def panel(seed: int) -> pd.DataFrame:
    """Ten cities over eight years; in the last year only two of them are seen, never adopters both."""
    rng = np.random.default_rng(seed)
    n, years = 10, np.arange(2010, 2018)
    level = np.exp(rng.normal(size=(n, len(years))).cumsum(axis=1) * 0.1 + 5)
    frame = pd.DataFrame(
        {
            "city": np.repeat([f"c{k}" for k in range(n)], len(years)),
            "year": np.tile(years, n),
            "level": level.ravel(),
            "size": np.exp(rng.normal(size=n * len(years))),
            "pilot_year": np.repeat([2013, 2014, 2013, 2015, *[np.nan] * 6], len(years)),
        }
    )
    return frame[(frame["year"] < 2017) | frame["city"].isin(["c8", "c9"])]


PANEL: dict[str, Any] = {
    "panel": {"source": "panel.csv", "balance": "keep"},
    "outcome": {"synchronization": "level"},
    "treatment": {"adoption": "pilot_year", "rule": "exactly_one", "name": "policy"},
    "pairs": {"exclude": "both_treated"},
    "controls": {"size": {"neg_abs_log_diff": "size"}},
    "model": {"errors": ["pair", "city", "dyadic"]},
}


def test_a_year_of_one_pair_leaves_a_panel(tmp_path: Any) -> None:
    import yaml

    import engine

    panel(3).to_csv(tmp_path / "panel.csv", index=False)
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"job": "lone", **PANEL}))
    found = engine.run(tmp_path / "job.yaml")
    counts = found.manifest["counts"][0]
    assert (counts["singletons"], counts["singleton_pairs"]) == (1, 0)
    pairs = 45 - 6  # of two adopters none
    assert (found.estimates["n_obs"] == pairs * 7).all()


def test_permutations_and_bootstraps_leave_the_same_rows(tmp_path: Any) -> None:
    """The observed t ratio and that of a draw have the sample's factor: n and K without rows alone in a year."""
    import yaml

    import engine

    panel(3).to_csv(tmp_path / "panel.csv", index=False)
    wanted = {"permutation": {"reps": 20, "seed": 1, "terms": ["policy"]}}
    (tmp_path / "job.yaml").write_text(yaml.safe_dump({"job": "lone", **PANEL, "inference": wanted}))
    found = engine.run(tmp_path / "job.yaml")
    rows = found.estimates.set_index(["term", "errors"])
    permuted = found.inference.set_index("method").loc["permutation"]
    np.testing.assert_allclose(permuted["statistic"], rows.loc[("policy", "dyadic"), "statistic"], rtol=1e-9)


def literal(observed: np.ndarray) -> tuple[int, int]:
    """Rows that leave and years left, of pairs' observed years ``[n_pairs, T]`` (all have two rows or more)."""
    pair, year = np.nonzero(observed)
    frame = pd.DataFrame({"pair": pair, "year": year})
    left = without_singletons(frame, [["pair"], ["year"]])
    return len(frame) - len(left), left["year"].nunique()


@given(seeds)
def test_moments_of_year_dummies_tell_singletons(seed: int) -> None:
    rng = np.random.default_rng(seed)
    worlds, expected = [], []
    for _ in range(4):
        observed = rng.random((rng.integers(1, 7), 9)) < rng.uniform(0.15, 0.5)
        observed = observed[observed.sum(axis=1) >= 2]
        ee = [np.diag(o) - np.outer(o, o) / o.sum() for o in observed.astype(float)]
        worlds.append(sum(ee, np.zeros((9, 9))) + rng.normal(size=(9, 9)) * 1e-13)
        expected.append(literal(observed))
    rows, years = year_singletons(np.stack(worlds))
    assert list(zip(rows.tolist(), years.tolist(), strict=True)) == expected


def test_copies_of_a_row_are_not_alone() -> None:
    """A bootstrap that draws both ends of a pair twice has four copies of its rows."""
    observed = np.array([1.0, 1.0, 1.0])
    one = np.diag(observed) - np.outer(observed, observed) / 3
    rows, years = year_singletons(np.stack([4 * one, one]))
    assert (rows.tolist(), years.tolist()) == ([0, 3], [3, 0])


def test_the_oracle_drops_one_after_another() -> None:
    frame = pd.DataFrame({"pair": [0, 0, 1, 1, 2, 2], "year": [1, 2, 2, 3, 2, 3]})
    assert len(without_singletons(frame, [["pair"], ["year"]])) == 4
    assert reference.PAIR == ["city_i", "city_j"]
