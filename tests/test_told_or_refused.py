"""What runs once took, or left out, without a word: each is refused by name, or told."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from strategies import pair_table, run_panel, run_table

from engine.errors import InputError

PLAIN: dict[str, Any] = {"pairs": {"exclude": "both_treated"}, "model": {"errors": ["pair", "dyadic_cr2"]}}


def panel(**columns: Any) -> pd.DataFrame:
    return worlds.panel().assign(**columns)


# -- refused


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        (
            {"index": {"population": {"entropy": ["schools", "density"]}}},
            "index.population: .*a column 'population' too",
        ),
        (
            {"panel": {"source": "cities.parquet", "fill": {"max_gap": 1, "columns": ["size"]}}},
            "panel.fill.columns: 'size' is not read",
        ),
        (
            {"panel": {"source": "cities.parquet", "missing": {"city": ["city03"]}}},
            "panel.missing: the column 'city' names the units",
        ),
        (
            {"inference": {"permutation": {"reps": 9, "terms": ["edu"]}}},
            "'edu' is a control, which stays as it is",
        ),
    ],
)
def test_keys_without_effect_are_refused(blocks: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        run_panel(panel(), **{**PLAIN, **blocks})


def test_codes_for_missing_units_of_a_pair_table_are_refused() -> None:
    table = {"source": "pairs.parquet", "unit_i": "one", "unit_j": "other", "year": "year"}
    with pytest.raises(InputError, match=r"pair_table.missing: the column 'one' names the units"):
        run_table(pair_table(0), pair_table={**table, "missing": {"one": ["u1"]}})


def test_half_a_month_of_adoption_is_refused() -> None:
    frame = panel(month=6.5)
    treatment = {"adoption": "pilot_year", "rule": "exactly_one", "month": "month", "cutoff": 6}
    with pytest.raises(InputError, match=r"adopts in month 6\.5"):
        run_panel(frame, **PLAIN, treatment=treatment)


# -- told


def warnings_of(results: Any) -> str:
    return "\n".join(results.manifest["warnings"])


def test_labels_that_read_like_missing_values_are_told() -> None:
    """``NA`` is what R writes for a missing label; it was a group of its own without a word."""
    frame = panel()
    frame["province"] = frame["province"].replace("west", "NA")
    results = run_panel(frame, **PLAIN, inference={"jackknife": {"by": "province"}})
    assert "labels in column 'province' that read like a missing value count as names ('NA')" in warnings_of(
        results
    )


def test_units_of_footnote_marks_are_told() -> None:
    frame = pair_table(0)
    frame = frame.replace({"one": {"u1": "u¹"}, "other": {"u1": "u¹"}})
    assert "signs that are read as plain letters and digits: 'u¹' = 'u1'" in warnings_of(run_table(frame))


def test_full_width_names_are_no_odd_signs() -> None:
    frame = pair_table(0).replace({"one": {"u1": "ｕ１"}, "other": {"u1": "ｕ１"}})
    assert "plain letters" not in warnings_of(run_table(frame))


def test_rows_that_lack_a_value_are_told() -> None:
    frame = pair_table(0, missing=0.0)
    frame.loc[[3, 40, 41], "x"] = np.nan
    frame.loc[[41, 77], "y"] = np.nan
    told = warnings_of(run_table(frame))
    assert f"4 of {len(frame)} rows lack a value (x: 3, y: 2) and are left out" in told
    assert "lack a value" not in warnings_of(run_table(pair_table(0, missing=0.0)))


def test_years_that_an_estimator_leaves_out_are_told() -> None:
    """Without never-treated pairs Sun and Abraham's event study ends with the year before the last cohort adopts."""
    frame = panel()
    last = frame["year"].max()
    frame["pilot_year"] = frame["pilot_year"].fillna(last - 1)
    model = {"estimator": "sun_abraham", "errors": ["pair"]}
    treatment = {"adoption": "pilot_year", "rule": "either"}
    results = run_panel(frame, pairs={"exclude": "none"}, model=model, treatment=treatment)
    notes = "\n".join(results.manifest["notes"])
    assert f"no pair-year of {last - 1}, {last} is in the regression" in notes


def test_effective_adopters_are_no_more_than_adopters() -> None:
    results = run_panel(panel(), **PLAIN)
    rows = results.estimates.dropna(subset="effective_adopters")
    assert len(rows)
    assert (rows["effective_adopters"] <= rows["n_adopters"]).all()


# -- draws that are too few


def test_one_assignment_rejects_no_effect() -> None:
    """Strata that fix who adopts leave the assignment that happened; the interval ended where rounding did."""
    frame = panel()
    frame["own"] = frame["city"]
    results = run_panel(frame, **PLAIN, inference={"permutation": {"reps": 99, "strata": ["own"]}})
    row = results.inference.set_index("method").loc["permutation"]
    assert row["p_value"] == 1
    assert (row["conf_low"], row["conf_high"]) == (-np.inf, np.inf)


def test_one_bootstrap_draw_has_no_spread() -> None:
    results = run_panel(panel(), **PLAIN, inference={"bootstrap": {"reps": 1}})
    spread = results.inference.set_index("method").filter(like="bootstrap_se", axis=0)["statistic"]
    assert spread.isna().all()
