"""Treatments of pair tables: every estimator as in a panel whose pair-years are that table, and as dummies have it.

The panel's own numbers have oracles elsewhere; a table of its pair-years, shuffled, must give them again, whether the
units adopt under a rule, the pairs are treated themselves, or a column of 0 and 1 says so.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from strategies import dummies

import engine
from engine import pipeline
from engine.errors import InputError

Frame = pd.DataFrame
YEARS = range(2008, 2016)
MEANS_ONLY = ("callaway_santanna", "stacked", "local_projection", "de_chaisemartin")
ESTIMATORS: dict[str, dict[str, Any]] = {
    "twfe": {},
    "event_study": {"window": [-3, 3]},
    "sun_abraham": {"window": [-3, 3]},
    "extended_twfe": {"window": [-3, 3]},
    "imputation": {"window": [-3, 3]},
    "callaway_santanna": {},
    "stacked": {"window": [-2, 2]},
    "local_projection": {"window": [-2, 2]},
    "de_chaisemartin": {"window": [-1, 2]},
}


def cities(seed: int = 3, n_cities: int = 16) -> Frame:
    """A panel in which some cities adopt in 2010, 2012 or 2013."""
    rng = np.random.default_rng(seed)
    adopted = rng.choice([np.nan, 2010, 2012, 2013], n_cities, p=[0.4, 0.2, 0.2, 0.2])
    parts = [
        Frame(
            {
                "city": f"C{number:02d}",
                "year": YEARS,
                "gdp": rng.normal(size=len(YEARS)).cumsum() + 10,
                "edu": rng.uniform(1, 3, len(YEARS)),
                "adopted": adopted[number],
            }
        )
        for number in range(n_cities)
    ]
    return pd.concat(parts, ignore_index=True)


def run(folder: Path, job: dict[str, Any]) -> engine.Results:
    path = folder / f"{job['job']}.yaml"
    path.write_text(yaml.safe_dump(job, allow_unicode=True), encoding="utf-8")
    return engine.run(path)


def panel_job(estimator: str, **keys: Any) -> dict[str, Any]:
    return {
        "job": "panel",
        "panel": {"source": "cities.csv"},
        "outcome": {"synchronization": "gdp"},
        "treatment": {"adoption": "adopted", "rule": "either"},
        "controls": {"edu": {"neg_abs_diff": "edu"}},
        "model": {
            "estimator": estimator,
            "controls": [] if estimator in MEANS_ONLY else ["edu"],
            **ESTIMATORS[estimator],
        },
        **keys,
    }


def table_job(estimator: str, treatment: dict[str, Any], **keys: Any) -> dict[str, Any]:
    model = {"estimator": estimator, **ESTIMATORS[estimator], **keys.pop("model", {})}
    if estimator not in MEANS_ONLY:
        model.setdefault("regressors", ["edu"])
    block = {"source": "pairs.csv", "unit_i": "unit_i", "unit_j": "unit_j", "year": "year"}
    return {
        "job": "table",
        "pair_table": {**block, **keys.pop("block", {})},
        "outcome": {"column": "y"},
        "treatment": treatment,
        "model": model,
        **keys,
    }


def written_pairs(
    folder: Path, adopted: pd.Series, frame: Frame, treated: Callable[[Frame], pd.Series]
) -> Frame:
    """The pair-years of the panel's regression, shuffled, with the years of both units and of the pair."""
    outcome = next(name for name in frame if name.startswith("synchronization"))
    table = frame.rename(columns={outcome: "y"})
    table = table.assign(adopted_i=table["unit_i"].map(adopted), adopted_j=table["unit_j"].map(adopted))
    table = table.assign(signed=treated(table))
    table = table.assign(did=(table["year"] >= table["signed"]).astype(int)).sample(frac=1, random_state=1)
    columns = ["unit_i", "unit_j", "year", "y", "edu", "adopted_i", "adopted_j", "signed", "did"]
    table = table[[name for name in columns if name in table]]
    table.to_csv(folder / "pairs.csv", index=False)
    return table


def first_of_two(table: Frame) -> pd.Series:
    return table[["adopted_i", "adopted_j"]].min(axis=1)


def second_of_two(table: Frame) -> pd.Series:
    return table[["adopted_i", "adopted_j"]].max(axis=1, skipna=False)


def prepared(folder: Path, job: dict[str, Any], treated: Callable[[Frame], pd.Series]) -> engine.Results:
    """Results of the panel; its pair-years are written beside."""
    panel = cities()
    panel.to_csv(folder / "cities.csv", index=False)
    results = run(folder, job)
    frame, _ = pipeline.pair_years(folder / "panel.yaml")
    written_pairs(folder, panel.groupby("city")["adopted"].first(), frame, treated)
    return results


def same_numbers(left: Frame, right: Frame, *, but: tuple[str, ...] = ()) -> None:
    """Equal rows and numbers of two frames."""
    assert len(left) == len(right)
    for name in left.select_dtypes(float):
        if name not in but:
            np.testing.assert_allclose(
                left[name].to_numpy(), right[name].to_numpy(), rtol=1e-9, atol=1e-11, err_msg=name
            )


UNITS = {"unit_adoption": ["adopted_i", "adopted_j"]}
COUNTED = ("n_adopters", "effective_adopters")
"""Adopting units, which there are none of where pairs are treated themselves."""


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_as_in_a_panel(tmp_path: Path, estimator: str) -> None:
    panel = prepared(tmp_path, panel_job(estimator), first_of_two)
    of_units = run(tmp_path, table_job(estimator, {**UNITS, "rule": "either"}))
    of_pairs = run(tmp_path, table_job(estimator, {"adoption": "signed"}))
    of_status = run(tmp_path, table_job(estimator, {"status": "did"}))
    expected = panel.frames["estimates"]
    same_numbers(expected, of_units.frames["estimates"])
    for results in (of_pairs, of_status):
        same_numbers(expected, results.frames["estimates"], but=COUNTED)
        assert results.frames["estimates"]["n_adopters"].isna().all()


DRAWS = {
    "permutation": {"reps": 19, "seed": 1},
    "bootstrap": {"kind": "node", "reps": 9, "seed": 1},
}


@pytest.mark.parametrize("estimator", ["twfe", "event_study"])
def test_draws_of_units_are_those_of_a_panel(tmp_path: Path, estimator: str) -> None:
    panel = prepared(tmp_path, panel_job(estimator, inference=DRAWS), first_of_two)
    table = run(tmp_path, table_job(estimator, {**UNITS, "rule": "either"}, inference=DRAWS))
    for name in ("inference", "draws"):
        same_numbers(panel.frames[name], table.frames[name])


def test_permutations_by_refits(tmp_path: Path) -> None:
    draws = {"permutation": {"reps": 9, "seed": 1}}
    panel = prepared(tmp_path, panel_job("sun_abraham", inference=draws), first_of_two)
    table = run(tmp_path, table_job("sun_abraham", {**UNITS, "rule": "either"}, inference=draws))
    same_numbers(panel.frames["draws"], table.frames["draws"])


def test_pairs_of_two_adopters_leave(tmp_path: Path) -> None:
    """Exclusion, and the pairs that come back into the sample in a draw."""
    keys = {"pairs": {"exclude": "both_treated"}, "inference": DRAWS}
    job = panel_job("twfe", **keys) | {"treatment": {"adoption": "adopted", "rule": "exactly_one"}}
    prepared(tmp_path, job | {"pairs": {"exclude": "none"}}, first_of_two)
    panel = run(tmp_path, job)
    table = run(tmp_path, table_job("twfe", {**UNITS, "rule": "exactly_one"}, **keys))
    for name in ("estimates", "inference", "draws"):
        same_numbers(panel.frames[name], table.frames[name])


@pytest.mark.parametrize("rule", ["both", "count"])
def test_other_rules(tmp_path: Path, rule: str) -> None:
    job = panel_job("twfe") | {"treatment": {"adoption": "adopted", "rule": rule}}
    panel = prepared(tmp_path, job, second_of_two)
    table = run(tmp_path, table_job("twfe", {**UNITS, "rule": rule}))
    same_numbers(panel.frames["estimates"], table.frames["estimates"])


@pytest.mark.parametrize(
    "timing", [{"shift": -2, "drop_treated": True}, {"around": 2}], ids=["placebo", "around"]
)
def test_rows_that_the_timing_leaves(tmp_path: Path, timing: dict[str, Any]) -> None:
    job = panel_job("twfe")
    job["treatment"] |= timing
    prepared(tmp_path, panel_job("twfe"), first_of_two)
    panel = run(tmp_path, job)
    for treatment in ({**UNITS, "rule": "either"}, {"adoption": "signed"}):
        table = run(tmp_path, table_job("twfe", treatment | timing))
        same_numbers(panel.frames["estimates"], table.frames["estimates"], but=COUNTED)


def directed(seed: int = 5, missing: float = 0.1) -> Frame:
    """Directed pairs of 9 units, each with a year of its own or none; some rows missing."""
    rng = np.random.default_rng(seed)
    names = [f"u{number}" for number in range(9)]
    pairs = [(a, b) for a in names for b in names if a != b]
    years = range(2001, 2009)
    table = Frame([(a, b, year) for a, b in pairs for year in years], columns=["unit_i", "unit_j", "year"])
    signed = dict(zip(pairs, rng.choice([np.nan, 2003, 2005, 2006], len(pairs)), strict=True))
    table["signed"] = [signed[a, b] for a, b in zip(table["unit_i"], table["unit_j"], strict=True)]
    table["edu"] = rng.normal(size=len(table))
    table["y"] = rng.normal(size=len(table)) + 0.4 * (table["year"] >= table["signed"]) + table["edu"]
    table["w"] = rng.uniform(0.5, 2, len(table))
    return table[rng.random(len(table)) >= missing]


def event_dummies(table: Frame, window: tuple[int, int], base: int = -1) -> Frame:
    event = (table["year"] - table["signed"]).clip(*window)
    times = [time for time in range(window[0], window[1] + 1) if time != base]
    return Frame({f"policy[{time:+d}]": (event == time).astype(float) for time in times}, index=table.index)


@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("effects", [["pair", "year"], ["pair", "unit_i x year", "unit_j x year"]])
def test_directed_event_study_with_gaps_as_dummies(
    tmp_path: Path, effects: list[str], weight: str | None
) -> None:
    table = directed()
    table.to_csv(tmp_path / "pairs.csv", index=False)
    block = {"directed": True} | ({"weight": weight} if weight else {})
    model = {"window": [-2, 2], "fixed_effects": effects, "errors": ["pair", "dyadic"]}
    results = run(tmp_path, table_job("event_study", {"adoption": "signed"}, block=block, model=model))
    columns = event_dummies(table, (-2, 2)).assign(edu=table["edu"])
    pair = table["unit_i"] + table["unit_j"]
    levels = [pair, table["year"]] if len(effects) == 2 else [
        pair, table["unit_i"] + table["year"].astype(str), table["unit_j"] + table["year"].astype(str)
    ]  # fmt: skip
    absorbed = np.hstack([dummies(level.to_numpy()) for level in levels])
    root = np.sqrt(table[weight].to_numpy() if weight else np.ones(len(table)))
    design = np.hstack([columns.to_numpy(), absorbed]) * root[:, None]
    expected = np.linalg.lstsq(design, table["y"].to_numpy() * root, rcond=None)[0][: columns.shape[1]]
    estimates = results.frames["estimates"].query("errors == 'pair'").set_index("term")["estimate"]
    np.testing.assert_allclose(estimates.loc[list(columns)], expected, rtol=0, atol=1e-9)


def test_an_event_study_is_a_regression_on_its_columns(tmp_path: Path) -> None:
    """All standard errors of terms that are computed by class are those of columns that a user has made."""
    table = directed().join(event_dummies(directed(), (-2, 2)))
    table.to_csv(tmp_path / "pairs.csv", index=False)
    of_class = run(
        tmp_path,
        table_job("event_study", {"adoption": "signed"}, block={"directed": True}, model={"window": [-2, 2]}),
    )
    names = [name for name in table if name.startswith("policy")]
    job = table_job("twfe", {}, block={"directed": True}, model={"regressors": ["edu", *names]})
    del job["treatment"]
    of_columns = run(tmp_path, job)
    ours, columns = (
        results.frames["estimates"].set_index(["term", "errors"])[["estimate", "std_error"]]
        for results in (of_class, of_columns)
    )
    np.testing.assert_allclose(ours.sort_index(), columns.loc[ours.index].sort_index(), rtol=1e-9, atol=1e-12)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "units are not permuted where pairs are treated": (
        table_job("twfe", {"adoption": "signed"}, inference={"permutation": {"reps": 9}}),
        "inference.permutation: has no meaning in this job: it is for city panels, and pair tables with "
        "treatment.unit_adoption",
    ),
    "node draws of pairs that are treated": (
        table_job("twfe", {"adoption": "signed"}, inference={"bootstrap": {"kind": "node", "reps": 9}}),
        "inference.bootstrap kind node is not defined where pairs are treated themselves",
    ),
    "a rule of pairs": (
        table_job("twfe", {"adoption": "signed", "rule": "both"}),
        "treatment.rule: has no meaning in this job",
    ),
    "units without a rule": (table_job("twfe", UNITS), "treatment.unit_adoption goes with treatment.rule"),
    "no treatment": (
        {key: value for key, value in table_job("event_study", {}).items() if key != "treatment"},
        "model.estimator event_study needs treatment",
    ),
    "no such column": (table_job("twfe", {"adoption": "sigend"}), "did you mean 'signed'?"),
    "weights of cohorts": (
        table_job("sun_abraham", {"adoption": "signed"}, block={"weight": "w"}),
        "model.estimator sun_abraham is not defined for weighted rows",
    ),
    "controls of means": (
        table_job("callaway_santanna", {"adoption": "signed"}, model={"regressors": ["edu"]}),
        "model.estimator callaway_santanna has no controls; take out model.regressors",
    ),
    "a lag": (
        table_job("twfe", {"adoption": "signed"}, model={"lag": 1}),
        "model.lag goes without treatment in a pair_table job",
    ),
    "poisson": (
        table_job("twfe", {"adoption": "signed"}, model={"estimator": "poisson"}),
        "model.estimator poisson takes its treatment as a column of model.regressors",
    ),
    "an instrument": (
        table_job("twfe", {"adoption": "signed"}, model={"estimator": "iv"}),
        "model.estimator iv is for city panels",
    ),
    "rows missing": (
        table_job("stacked", {"adoption": "signed"}),
        "estimator stacked compares pairs that have all years, and some are missing",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused(tmp_path: Path, case: str) -> None:
    job, message = REFUSED[case]
    directed().to_csv(tmp_path / "pairs.csv", index=False)
    job["pair_table"]["directed"] = "node" not in case
    if "node" in case:
        table = directed(missing=0)
        table[table["unit_i"] < table["unit_j"]].to_csv(tmp_path / "pairs.csv", index=False)
    with pytest.raises(InputError) as caught:
        run(tmp_path, job)
    assert message in str(caught.value)
    assert caught.value.remedy or "goes with" in str(caught.value) or ";" in str(caught.value)
