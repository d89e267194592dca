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


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """With an order of the cities that is that of neither their labels nor their places, given in one year alone."""
    cities = sorted(frame["city"].unique())
    place = np.random.default_rng(7).permutation(len(cities)).astype(float)
    rank = frame["city"].map(dict(zip(cities, place, strict=True)))
    return frame.assign(rank=rank.where(frame["year"] == frame["year"].min()))


@pytest.mark.parametrize("length", [1, 2, 3])
def test_moving_blocks_are_literal_refits_without_each(length: int) -> None:
    frame = ordered(worlds.panel())
    rows = run_panel(frame, model={"errors": [{"block_jackknife": {"order": "rank", "length": length}}]})
    estimates = rows.estimates.set_index("term")
    long, _ = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame))
    ranked = frame.groupby("city", as_index=False)["rank"].first().sort_values(["rank", "city"])
    cities = [str(city) for city in ranked["city"]]
    regressors, n = ["edu", "dense", "policy"], len(cities)
    whole = refit(long, regressors, set())
    steps = np.array(
        [
            refit(long, regressors, {cities[(start + step) % n] for step in range(length)}) - whole
            for start in range(n)
        ]
    )
    error = np.sqrt((n - length) / (n * length) * (steps**2).sum(axis=0))
    assert len(estimates) == len(error)
    np.testing.assert_allclose(estimates["std_error"], error, rtol=EXACT, equal_nan=True)
    np.testing.assert_allclose(estimates["dof"], n / length - 1)
    if length == 1:
        literal = run_panel(frame, model={"errors": ["jackknife"]}).estimates["std_error"]
        np.testing.assert_allclose(estimates["std_error"], literal, rtol=EXACT)


def test_blocks_of_near_cities_are_a_column_with_those_groups() -> None:
    """Groups by a search of all merges in place of a library's."""
    frame = worlds.panel()
    places = frame.groupby("city")[["latitude", "longitude"]].first()
    apart = great_circle(places)
    blocks = [{city} for city in range(len(places))]
    for kilometres in (0.35 * float(apart.max()), 0.6 * float(apart.max())):
        merged = complete_linkage(blocks, apart, kilometres)
        assert 1 < len(merged) < len(places)
        groups = {places.index[city]: str(number) for number, block in enumerate(merged) for city in block}
        errors = [{"block_jackknife": {"distance": kilometres}}, {"block_jackknife": {"by": "block"}}]
        estimates = run_panel(
            frame.assign(block=frame["city"].map(groups)), model={"errors": errors}
        ).estimates
        (_, by_distance), (_, by_column) = estimates.groupby("errors", sort=False)
        for column in ("std_error", "dof", "p_value"):
            np.testing.assert_allclose(by_distance[column], by_column[column], rtol=EXACT)


def great_circle(places: pd.DataFrame) -> np.ndarray:
    latitude, longitude = np.radians(places.to_numpy(dtype=float)).T
    half = np.sin(np.subtract.outer(latitude, latitude) / 2) ** 2
    half += (
        np.outer(np.cos(latitude), np.cos(latitude))
        * np.sin(np.subtract.outer(longitude, longitude) / 2) ** 2
    )
    return 2 * 6371.0088 * np.arcsin(np.sqrt(half))


def complete_linkage(blocks: list[set[int]], apart: np.ndarray, most: float) -> list[set[int]]:
    """Merge the two blocks whose farthest cities are nearest, while those are no farther than allowed."""
    while len(blocks) > 1:
        width, first, second = min(
            (max(apart[i, j] for i in blocks[first] for j in blocks[second]), first, second)
            for first in range(len(blocks))
            for second in range(first + 1, len(blocks))
        )
        if width > most:
            break
        unmerged = [block for number, block in enumerate(blocks) if number not in (first, second)]
        blocks = [*unmerged, blocks[first] | blocks[second]]
    return blocks


def test_moving_blocks_take_their_rows_from_averages_too() -> None:
    """With blocks of one city they are the jackknife, whose averages weigh by the rows left."""
    errors: list[Any] = ["jackknife", {"block_jackknife": {"order": "rank", "length": 1}}]
    model = {"estimator": "sun_abraham", "window": [-2, 1], "errors": errors}
    estimates = run_panel(ordered(worlds.panel()), model=model).estimates
    (_, jackknife), (_, moving) = estimates.groupby("errors", sort=False)
    np.testing.assert_allclose(moving["std_error"], jackknife["std_error"], rtol=EXACT)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"distance": 15_000}, "all cities are within 15000 km of each other"),
        ({"order": "rank", "length": 40}, "blocks of 40 cities has"),
        ({"order": "gdp", "length": 2}, "must be constant within a city"),
        ({"order": "empty", "length": 2}, "'empty'"),
        ({"order": "tied", "length": 2}, "column 'tied' is 0 in both city00 and city01"),
        ({"order": "partly", "length": 2}, "column 'partly' is empty for city05"),
    ],
)
def test_blocks_that_are_none_are_refused(options: dict[str, Any], said: str) -> None:
    frame = ordered(worlds.panel()).assign(empty=np.nan)
    frame["gdp"] = np.arange(len(frame)) + 1.0
    frame["tied"] = (frame["city"] > "city01").astype(float) * (frame.groupby("city").ngroup() + 1)
    frame["partly"] = frame["rank"].where(frame["city"] != "city05")
    with pytest.raises(InputError, match=said):
        run_panel(frame, model={"errors": [{"block_jackknife": options}]})


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
        ({"block_jackknife": {"order": "rank"}}, "length is missing"),
        ({"block_jackknife": {"order": "rank", "length": 0}}, "must be a number of cities"),
        ({"block_jackknife": {"distance": -3}}, "must be km above 0"),
        ({"block_jackknife": {"by": "order=rank:3"}}, "reads like another form"),
        ({"block_jackknife": {"by": 3}}, "must be the name of a column (got 3)"),
        ({"block_jackknife": {"by": " "}}, "must be the name of a column"),
        ({"block_jackknife": {"by": "province", "distance": 3}}, "unknown key 'by'"),
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
