"""Jackknife errors by groups of cities, against literal refits without each group."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from oracle_neighbourhoods import refit
from scipy.stats import t as student
from strategies import pair_table, run_panel, run_table

from engine.errors import InputError
from engine.report.error_types import error_label, preferred
from engine.report.language.wording import ENGLISH

CODE = "block_jackknife:province"
BY_PROVINCE = {"block_jackknife": {"by": "province"}}
EXACT = 1e-9


def rows_of(frame: pd.DataFrame, code: str = CODE, **blocks: Any) -> pd.DataFrame:
    """The rows of one error type, by term."""
    model = {"errors": ["pair", "jackknife", code], **blocks.pop("model", {})}
    estimates = run_panel(frame, model=model, **blocks).estimates
    return estimates[estimates["errors"] == code].set_index("term")


PANELS: dict[str, dict[str, Any]] = {
    "whole": {},
    "holes": {"holes": True},
    "tiles": {"runtime": {"tile": 8}},
    "event study": {"model": {"estimator": "event_study", "window": [-2, 1]}},
}


@pytest.mark.parametrize("name", PANELS)
def test_literal_refits(name: str) -> None:
    blocks = dict(PANELS[name])
    frame = worlds.panel(holes=blocks.pop("holes", False))
    rows = rows_of(frame, **blocks)
    event = {"event": (-1, (-2, 1))} if "model" in blocks else {}
    long, terms = oracle.relabelled(
        worlds.oracle_grid(frame), worlds.observed_adoption(frame), rule="exactly_one", **event
    )
    regressors, province = ["edu", "dense", *terms], frame.groupby("city")["province"].first()
    steps = np.array(
        [
            refit(long, regressors, {str(city) for city in province.index[province == label]})
            - refit(long, regressors, set())
            for label in ("east", "middle", "west")
        ]
    )
    identified = ~np.isnan(steps).any(axis=0)
    assert identified.any()
    error = np.sqrt(2 / 3 * (steps**2).sum(axis=0))
    np.testing.assert_allclose(rows["std_error"].to_numpy(), error, rtol=EXACT, equal_nan=True)
    p = 2 * student.sf(np.abs(rows["estimate"] / error), 2)
    np.testing.assert_allclose(rows["p_value"].to_numpy(), p, rtol=1e-7, equal_nan=True)
    assert set(rows["dof"]) == {2}


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"estimator": "event_study", "window": [-2, 1]},
        {"estimator": "sun_abraham", "window": [-2, 1]},
        {"estimator": "iv"},
    ],
    ids=lambda model: model.get("estimator", "twfe"),
)
def test_with_a_group_for_each_city_it_is_the_jackknife(model: dict[str, Any]) -> None:
    frame = worlds.panel()
    frame["own"] = "group of " + frame["city"].astype(str)
    blocks: dict[str, Any] = {"model": {**model, "errors": ["jackknife", {"block_jackknife": {"by": "own"}}]}}
    if model.get("estimator") == "iv":
        shift = np.random.default_rng(4).normal(size=len(frame))
        frame["shifter"] = shift + 2 * (frame["year"] >= frame["pilot_year"])
        blocks["instrument"] = {"sum": "shifter"}
    results = run_panel(frame, **blocks)
    by_type = {code: rows.reset_index(drop=True) for code, rows in results.estimates.groupby("errors")}
    for column in ("std_error", "dof", "p_value"):
        np.testing.assert_allclose(
            by_type["block_jackknife:own"][column], by_type["jackknife"][column], rtol=1e-9, err_msg=column
        )


def test_it_is_the_jackknife_of_the_block_inference() -> None:
    """Which weighs the pairs of every group by zero in place of leaving them out."""
    results = run_panel(
        worlds.panel(), model={"errors": [BY_PROVINCE]}, inference={"jackknife": {"by": "province"}}
    )
    drawn = results.inference[results.inference["method"] == "jackknife_province"].set_index("term")
    estimated = results.estimates.set_index("term").loc[drawn.index]
    for column in ("p_value", "conf_low", "conf_high"):
        np.testing.assert_allclose(drawn[column], estimated[column], rtol=1e-8)


def test_groups_without_a_pair_do_not_count() -> None:
    """The only city of a fourth province has no outcome in any year."""
    frame = worlds.panel()
    lone = frame[frame["city"] == frame["city"].iloc[0]].assign(city="alone", province="north", output=np.nan)
    lone["latitude"] += 1.0
    frame = pd.concat([frame, lone], ignore_index=True)
    rows = rows_of(frame, panel={"source": "cities.parquet", "balance": "keep"})
    assert set(rows["dof"]) == {2}


def test_a_sample_that_does_not_identify_a_term_is_told() -> None:
    """All adopters are of one group: without it there is no treatment."""
    frame = worlds.panel()
    frame["province"] = np.where(frame["pilot_year"].notna(), "adopters", "others")
    frame.loc[frame["city"].isin(sorted(frame["city"])[-1:]), "province"] = "third"
    results = run_panel(frame, model={"errors": ["pair", BY_PROVINCE]})
    rows = results.estimates[results.estimates["errors"] == CODE].set_index("term")
    assert np.isnan(rows.loc["policy", "std_error"])
    assert any(
        "1 sample without a group of 'province' does not identify policy" in text
        for text in results.manifest["warnings"]
    )


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"block_jackknife": {}}, "by is missing"),
        ({"block_jackknife": {"by": 3}}, "must be the name of a column (got 3)"),
        ({"block_jackknife": {"by": " "}}, "must be the name of a column"),
        ({"block_jackknife": {"by": "province", "distance": 3}}, "unknown key 'distance'"),
        ({"block_jackknife": "province"}, "must be a word, or {spatial:"),
        ("block_jackknife", "must be 'pair'"),
    ],
)
def test_wrong_entries_are_refused_by_name(entry: object, said: str) -> None:
    with pytest.raises(InputError, match=r"model.errors\[0\]") as caught:
        run_panel(worlds.panel(), model={"errors": [entry]})
    assert said in str(caught.value)


def test_wrong_columns_are_refused() -> None:
    frame = worlds.panel()
    with pytest.raises(InputError, match="provinces"):
        run_panel(frame, model={"errors": [{"block_jackknife": {"by": "provinces"}}]})
    with pytest.raises(InputError, match="all cities have the same 'province'"):
        run_panel(frame.assign(province="east"), model={"errors": [BY_PROVINCE]})
    gap = frame.assign(province=frame["province"].where(frame["city"] != frame["city"].iloc[0]))
    with pytest.raises(InputError, match="province"):
        run_panel(gap, model={"errors": [BY_PROVINCE]})


def test_regressions_without_them_are_refused() -> None:
    model = {"fixed_effects": ["pair", "province x year"], "errors": ["pair", BY_PROVINCE]}
    with pytest.raises(InputError, match="block jackknives are not defined for effects beyond pair and year"):
        run_panel(worlds.panel(), model=model)
    with pytest.raises(InputError, match="pair tables, whose units have neither coordinates nor columns"):
        run_table(pair_table(3), model={"regressors": ["x", "w"], "errors": [BY_PROVINCE]})


@pytest.mark.parametrize(
    "kinds", [["pair"], [{"block_jackknife": {"by": "admin_rank"}}]], ids=["pair", "another column"]
)
def test_a_sweep_over_errors_reads_what_each_cell_needs(kinds: list[Any]) -> None:
    """The cells of a pass had the data of the first one, which may lack a column or the coordinates."""
    spatial = {"spatial": {"distance": 600, "kernel": "uniform"}}
    job = {"pairs": {"exclude": "both_treated"}}
    swept = run_panel(worlds.panel(), sweep={"model.errors": [kinds, [BY_PROVINCE], [spatial]]}, **job)
    for kind in (BY_PROVINCE, spatial):
        alone = run_panel(worlds.panel(), model={"errors": [kind]}, **job).estimates
        of_sweep = swept.estimates[swept.estimates["errors"] == alone["errors"].iloc[0]]
        np.testing.assert_allclose(of_sweep["std_error"], alone["std_error"], rtol=1e-10)


def test_names_in_reports() -> None:
    assert error_label(CODE, ENGLISH) == "block jackknife by province"
    assert preferred(["pair", CODE]) == CODE
    assert preferred(["dyadic", CODE]) == "dyadic"
