"""Draws of estimators of staggered adoption from sums by type: samples are estimated anew from what is left of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from strategies import run_panel

import engine
from engine.infer.draws import resampled_counts

EITHER: dict[str, Any] = {
    "pairs": {"exclude": "none"},
    "treatment": {"adoption": "pilot_year", "rule": "either"},
}
CONTROLS = ["edu", "dense"]
MODELS: dict[str, dict[str, Any]] = {
    "sun_abraham": {"window": [-2, 2], "controls": CONTROLS},
    "extended_twfe": {"window": [0, 2], "controls": ["edu"]},
    "imputation": {"window": [-2, 2], "controls": CONTROLS},
    "stacked": {"window": [-2, 1], "controls": []},
    "local_projection": {"window": [-2, 1], "controls": []},
}


def panel() -> pd.DataFrame:
    """Sixteen cities; cohorts of 2013, 2014 and 2016 in every province."""
    frame = worlds.panel(3)
    adopted = np.array([2013.0, 2013, 2014, 2014, 2016, 2016, 2013, 2014, *[np.nan] * 8])
    provinces = np.resize(["east", "middle"], 16)
    years = frame["year"].nunique()
    return frame.assign(pilot_year=np.repeat(adopted, years), province=np.repeat(provinces, years))


@pytest.mark.parametrize("estimator", MODELS)
def test_a_group_left_out_is_the_job_without_its_cities(estimator: str) -> None:
    frame = panel()
    model = {"estimator": estimator, "errors": ["dyadic"], **MODELS[estimator]}
    whole = run_panel(frame, model=model, inference={"jackknife": {"by": "province"}}, **EITHER)
    for group in ("east", "middle"):
        alone = run_panel(frame[frame["province"] != group], model=model, **EITHER).estimates
        left = whole.influence[whole.influence["left_out"] == group].set_index("term")["estimate"]
        expected = alone.set_index("term")["estimate"]
        assert_allclose(left, expected[left.index], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("estimator", MODELS)
def test_node_draws_are_tables_of_copies(estimator: str, tmp_path: Path) -> None:
    """A resample of cities is a table of pairs in which each stands as often as it was drawn, with its own error."""
    frame, reps = panel(), 4
    model = {"estimator": estimator, "errors": ["dyadic"], **MODELS[estimator]}
    inference = {"bootstrap": {"kind": "node", "reps": reps, "seed": 2}}
    results = run_panel(frame, model=model, inference=inference, **EITHER)
    whole = results.estimates.set_index("term")["estimate"]
    drawn = results.draws.set_index(["replicate", "term"])
    long, _ = oracle.relabelled(
        worlds.oracle_grid(frame, gravity=False),
        worlds.observed_adoption(frame),
        rule="either",
        exclude=False,
    )
    long = long.replace({"adoption_i": np.inf, "adoption_j": np.inf}, np.nan)
    job = {
        "job": "copies",
        "pair_table": {"source": "frame:pairs", "unit_i": "city_i", "unit_j": "city_j", "year": "year"},
        "outcome": {"column": "y"},
        "treatment": {"unit_adoption": ["adoption_i", "adoption_j"], "rule": "either"},
        "model": {"regressors" if name == "controls" else name: value for name, value in model.items()},
    }
    cities = sorted(frame["city"].unique())
    for replicate, count in enumerate(resampled_counts(2, np.arange(reps, dtype=np.int32), len(cities))):
        copies = oracle.resampled(long, dict(zip(cities, count.astype(int), strict=True)))
        expected = engine.run(job, frames={"pairs": copies}, out=tmp_path / str(replicate)).estimates
        for row in expected[~expected["term"].isin(CONTROLS)].to_dict("records"):
            here = drawn.loc[(replicate, row["term"])]
            assert_allclose(here["estimate"], row["estimate"], rtol=1e-9, atol=1e-11)
            t_ratio = (row["estimate"] - whole[row["term"]]) / row["std_error"]
            assert_allclose(here["statistic"], t_ratio, rtol=1e-6)
