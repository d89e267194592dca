"""Several rules of interpolation: each column by its own, others by the rule without names; literal gaps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from strategies import PANEL_JOB, city_panel

import engine
from engine.cities.fill import Filling
from engine.cities.panel_request import PanelRequest
from engine.cities.prepare import prepare
from engine.errors import InputError
from engine.spec.keys import assign

GAPS = pd.DataFrame(
    {
        "city": np.repeat(list("ABC"), 5),
        "year": np.tile(np.arange(2010, 2015), 3),
        "x": [1, np.nan, 4, np.nan, 16, *range(1, 11)],
        "y": [1, np.nan, np.nan, 4, 5, *range(1, 11)],
        "z": [1, np.nan, 3, 4, 5, *range(1, 11)],
    }
)


def filled(*rules: Filling) -> dict[str, list[float]]:
    request = PanelRequest(required=dict.fromkeys("xyz", "outcome"), fill=rules, balance="keep")
    panel, _ = prepare(GAPS, request, source="a.csv")
    return {name: panel.values[name][0].tolist() for name in "xyz"}


def test_each_column_by_its_own_rule_in_any_order() -> None:
    rules = Filling(1, "log_linear", ["x"]), Filling(2, columns=["y"]), Filling(1)
    for order in (rules, rules[::-1]):
        values = filled(*order)
        np.testing.assert_allclose(values["x"], [1, 2, 4, 8, 16], rtol=1e-15)
        assert values["y"] == [1, 2, 3, 4, 5]
        assert values["z"] == [1, 2, 3, 4, 5]


def test_columns_without_a_rule_stay() -> None:
    values = filled(Filling(2, columns=["y"]))
    assert np.isnan(values["z"][1])
    assert np.isnan(filled(Filling(1), Filling(1, columns=["y"]))["y"]).sum() == 2


def panel_job(fill: Any) -> dict[str, Any]:
    return {**PANEL_JOB, "panel": {"source": "frame:panel", "fill": fill}}


def test_the_rules_of_a_job() -> None:
    frame = city_panel(3)
    frame.loc[(frame["city"] == "city03") & (frame["year"] == 2013), ["schools", "density"]] = np.nan
    rules = [{"max_gap": 1, "method": "log_linear", "columns": ["schools"]}, {"max_gap": 1}]
    whole = frame.copy()
    gap = (frame["city"] == "city03") & (frame["year"] == 2013)
    before, after = (frame[(frame["city"] == "city03") & (frame["year"] == year)] for year in (2012, 2014))
    whole.loc[gap, "schools"] = np.sqrt(before["schools"].iloc[0] * after["schools"].iloc[0])
    whole.loc[gap, "density"] = (before["density"].iloc[0] + after["density"].iloc[0]) / 2
    results = engine.run(panel_job(rules), frames={"panel": frame})
    expected = engine.run(panel_job([]) | {"panel": {"source": "frame:panel"}}, frames={"panel": whole})
    np.testing.assert_allclose(results.estimates["estimate"], expected.estimates["estimate"], rtol=1e-9)
    assert results.validation["filled"] == {"schools": {"city03": [2013]}, "density": {"city03": [2013]}}


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        ([{"max_gap": 1}, {"max_gap": 2}], r"panel\.fill: two rules name no columns"),
        ([{"max_gap": 1, "columns": ["a"]}, {"max_gap": 2, "columns": ["a"]}], r"panel\.fill: 'a' is in two rules"),
        ([{"max_gap": 20}], r"panel\.fill\[0\]\.max_gap: must be less than or equal to 10 \(got 20\)"),
        ({"max_gap": 20}, r"panel\.fill\.max_gap: must be less than or equal to 10 \(got 20\)"),
        ([{"max_gap": 1, "methods": "linear"}], r"panel\.fill\[0\]\.methods: unknown key .* did you mean 'method'"),
        ([{"columns": ["a"]}], r"panel\.fill\[0\]\.max_gap: is missing"),
        ([{"max_gap": 1, "columns": ["size"]}], r"panel\.fill\[0\]\.columns: 'size' is not read by this job"),
        ({"max_gap": 1, "columns": ["pilot_year"]}, r"panel\.fill\.columns: 'pilot_year' has one value a city"),
        (3, r"panel\.fill: must be a mapping"),
    ],
)  # fmt: skip
def test_rules_that_are_refused(fill: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        engine.run(panel_job(fill), frames={"panel": city_panel(3)})


def test_a_key_below_a_list_of_rules_is_refused() -> None:
    with pytest.raises(InputError, match=r"fill\.max_gap: 'fill' is a list here"):
        assign(panel_job([{"max_gap": 1}]), ("panel", "fill", "max_gap"), 3)
    changed = assign(panel_job({"max_gap": 1}), ("panel", "fill", "max_gap"), 3)
    assert changed["panel"]["fill"] == {"max_gap": 3}  # type: ignore[index]
