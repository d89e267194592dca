"""Jobs whose tables are read in ways that only a whole job shows: joins, labels of draws, lists, codes of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from strategies import PANEL_JOB, city_panel, pair_table, run_panel, run_table

import engine
from engine.errors import InputError


def run_in(folder: Path, job: dict[str, Any], **tables: pd.DataFrame) -> engine.Results:
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name}.csv", index=False)
    path = folder / "job.yaml"
    path.write_text(yaml.safe_dump(job, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return engine.run(path)


def coefficients(results: engine.Results) -> list[float]:
    return results.estimates["estimate"].tolist()


def test_a_backticked_city_joins_as_a_bare_one(tmp_path: Path) -> None:
    frame = city_panel(3)
    expected = coefficients(run_panel(frame))
    schools = frame[["city", "year", "schools"]]
    panel = {
        "source": "a.csv",
        "columns": {"city": "`城 市`", "year": "`年 份`"},
        "join": [{"source": "b.csv"}],
    }
    renamed = frame.drop(columns="schools").rename(columns={"city": "城 市", "year": "年 份"})
    results = run_in(tmp_path, {**PANEL_JOB, "panel": panel}, a=renamed, b=schools)
    np.testing.assert_allclose(coefficients(results), expected, rtol=1e-9)


LABELS: dict[str, dict[str, Any]] = {
    "inference.jackknife.by": {"inference": {"jackknife": {"by": "province"}}},
    "inference.permutation.strata": {"inference": {"permutation": {"reps": 99, "strata": ["province"]}}},
    "model.fixed_effects": {"model": {"fixed_effects": ["pair", "province-pair x year"]}},
}


@pytest.mark.parametrize("key", LABELS)
def test_a_label_that_is_missing_is_refused_wherever_it_is_needed(key: str) -> None:
    frame = city_panel(3)
    frame["province"] = np.where(frame["city"].isin(["city02", "city05"]), "", frame["city"].str[-1])
    with pytest.raises(InputError) as caught:
        run_panel(frame, **LABELS[key])
    assert f"2 of 14 cities have no 'province', which {key} needs: city02, city05" in str(caught.value)


def test_an_empty_list_of_columns_fills_none(tmp_path: Path) -> None:
    frame = city_panel(3)
    frame.loc[(frame["city"] == "city03") & (frame["year"] == 2013), "schools"] = np.nan
    left_out = coefficients(run_panel(frame[frame["city"] != "city03"]))
    panel = {"source": "a.csv", "fill": {"max_gap": 2, "columns": []}}
    results = run_in(tmp_path, {**PANEL_JOB, "panel": panel}, a=frame)
    np.testing.assert_allclose(coefficients(results), left_out, rtol=1e-9)


def test_codes_of_a_pair_table_are_missing() -> None:
    frame = pair_table(5, missing=0.0)
    lost = np.arange(len(frame)) % 17 == 0
    expected = coefficients(run_table(frame.assign(x=frame["x"].mask(lost))))
    coded = {
        "source": "pairs.parquet",
        "unit_i": "one",
        "unit_j": "other",
        "year": "year",
        "missing": {"x": [-999]},
    }
    results = run_table(frame.assign(x=frame["x"].mask(lost, -999)), pair_table=coded)
    np.testing.assert_allclose(coefficients(results), expected, rtol=1e-12)


@pytest.mark.parametrize("code", ["hi", -9])
@pytest.mark.parametrize("key", LABELS)
def test_codes_of_a_label_are_missing_as_empty_cells_are(key: str, code: str | int) -> None:
    frame = city_panel(3)
    tier = frame["city"].str[-1].map(int) % 3 + 1
    frame["tier"] = tier.astype(object).mask(frame["city"].isin(["city02", "city05"]), code)
    mapped = {"source": "cities.parquet", "columns": {"province": "tier"}, "missing": {"province": [code]}}
    with pytest.raises(InputError) as caught:
        run_panel(frame.assign(tier=frame["tier"].astype(str)), panel=mapped, **LABELS[key])
    assert f"2 of 14 cities have no 'province', which {key} needs: city02, city05" in str(caught.value)
