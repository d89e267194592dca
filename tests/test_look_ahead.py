"""``outcome.window: pre``: no outcome before adoption depends on later data, or a warning says which series does."""

from __future__ import annotations

from typing import Any

import dyadid as dd
import numpy as np
import pandas as pd
import pytest
from strategies import COHORTS, city_panel

SERIES: dict[str, tuple[dict[str, Any], str | None]] = {
    "a column": ({"outcome": {"synchronization": "output"}}, None),
    "changes": ({"outcome": {"synchronization": "d"}, "columns": {"d": "output - lag(output)"}}, None),
    "a trend": ({"outcome": {"synchronization": "detrend(output)"}}, "detrend(output)"),
    "a trend in a column": (
        {"outcome": {"synchronization": "flat"}, "columns": {"flat": "detrend(output)"}},
        "flat",
    ),
    "an index": (
        {"outcome": {"synchronization": "level"}, "index": {"level": {"entropy": ["schools", "density"]}}},
        "level",
    ),
    "filled gaps": (
        {"outcome": {"synchronization": "output"}, "fill": {"method": "linear", "max_gap": 3}, "gap": True},
        "output",
    ),
}


def outcomes(frame: pd.DataFrame, blocks: dict[str, Any]) -> tuple[pd.DataFrame, list[str]]:
    """Outcomes of the pair-years before the first adoption, and the warnings of the run."""
    panel = {"source": "frame:cities", **{key: blocks[key] for key in ("columns", "fill") if key in blocks}}
    document = {
        "job": "pre",
        "panel": panel,
        "years": [int(frame["year"].min()) + ("columns" in blocks), int(frame["year"].max())],
        "outcome": {**blocks["outcome"], "window": "pre"},
        "treatment": {"adoption": "pilot_year", "rule": "exactly_one"},
        "model": {"errors": ["pair"]},
        **({"index": blocks["index"]} if "index" in blocks else {}),
    }
    result = dd.run(document, frames={"cities": frame})
    rows = result.pairs()
    return rows[rows["year"] <= min(COHORTS)], result.warnings


@pytest.mark.parametrize("series", SERIES)
def test_outcomes_before_adoption_depend_on_later_data_where_a_warning_says_so(series: str) -> None:
    blocks, named = SERIES[series]
    frame = city_panel(2).assign(pilot_year=lambda cities: cities["pilot_year"] + 1)
    last_before = min(COHORTS)
    if "gap" in blocks:
        lost = (frame["city"] == "city03") & (frame["year"] == last_before)
        frame["output"] = frame["output"].mask(lost)
    later = frame["year"] > last_before
    rng = np.random.default_rng(0)
    other = frame.copy()
    for column in ("output", "schools", "density"):
        other[column] = frame[column].where(~later, frame[column] * rng.uniform(0.5, 2, len(frame)))
    here, warnings = outcomes(frame, blocks)
    there, _ = outcomes(other, blocks)
    assert len(here) > 0
    name = here.columns[3]
    changed = not np.allclose(here[name], there[name], rtol=1e-9, atol=1e-9)
    told = [text for text in warnings if "still depend on later data" in text]
    assert changed == bool(named)
    assert len(told) == bool(named)
    if named:
        assert f"all years make {named} (" in told[0]
