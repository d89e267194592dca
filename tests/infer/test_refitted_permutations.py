"""Permutations by refits and by sums: equal where both exist, and to jobs on relabelled panels elsewhere."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import engine
from engine import pipeline
from engine.infer.draws import permuted_classes
from engine.infer.permutation import draws_of
from engine.spec.inference import PermutationTest
from engine.stages.inference.permutation_draws import permutation_test
from engine.stages.inference.refitted_draws import refits_of, refitted_test

MATCHED = {"unit": "pair", "covariates": ["edu", "dense"], "caliper": 0.5}
ROADS: dict[str, dict[str, Any]] = {
    "effects": {"model": {"fixed_effects": ["pair", "province x year"]}, "pairs": {"exclude": "none"}},
    "city years": {
        "model": {"fixed_effects": ["pair", "city x year"]},
        "pairs": {"exclude": "none"},
        "treatment": {"adoption": "pilot_year", "rule": "both"},
    },
    "matching": {"matching": MATCHED},
    "thirds of the drawn sample": {
        "pairs": {"exclude": "both_treated", "split": {"by": "schools", "rule": "terciles", "pairs": "mixed"}}
    },
    "sun_abraham": {"model": {"estimator": "sun_abraham", "window": [-3, 2], "controls": []}},
    "sun_abraham with controls": {
        "model": {"estimator": "sun_abraham", "window": [-2, 1], "ends": "drop"},
        "pairs": {"exclude": "none"},
        "treatment": {"adoption": "pilot_year", "rule": "either"},
    },
    "extended_twfe": {"model": {"estimator": "extended_twfe", "window": [0, 2], "controls": []}},
    "extended_twfe with controls": {"model": {"estimator": "extended_twfe", "window": [0, 2]}},
    "imputation": {"model": {"estimator": "imputation", "window": [-2, 2]}},
    "stacked": {"model": {"estimator": "stacked", "window": [-2, 1], "controls": []}},
    "local_projection": {"model": {"estimator": "local_projection", "window": [-2, 1], "controls": []}},
}
N_DRAWS = 3


@pytest.mark.parametrize("screen", ["fixed", "recomputed"])
@pytest.mark.parametrize("estimator", ["twfe", "event_study"])
def test_refits_are_the_contraction_where_there_is_one(estimator: str, screen: str) -> None:
    model = {"estimator": estimator} | ({"window": [-3, 2]} if estimator == "event_study" else {})
    for holes in (False, True):
        done = worlds.first_pass(worlds.panel(2, holes=holes), model=model)
        block = PermutationTest(reps=9, seed=3, screen=screen)  # type: ignore[arg-type]
        classes = permuted_classes(3, np.arange(4, dtype=np.int32), done.prepared.design.classes)
        contracted = draws_of(
            permutation_test(done.prepared, done.results, block), classes, np.arange(4, dtype=np.int32)
        )
        refits = refits_of(
            refitted_test(done.prepared, done.results[0], block), classes, np.arange(4, dtype=np.int32)
        )
        assert_allclose(refits.estimate[0], contracted.estimate[0], rtol=1e-9, atol=1e-12)
        assert_allclose(refits.statistic[0], contracted.statistic[0], rtol=1e-8)
        assert refits.fallback == contracted.fallback


@pytest.mark.parametrize("road", ROADS)
def test_draws_are_jobs_on_relabelled_panels(road: str, tmp_path: Path) -> None:
    frame, blocks = worlds.panel(4), ROADS[road]
    permutation = {"permutation": {"reps": N_DRAWS, "seed": 8}}
    path = worlds.write(tmp_path, frame, worlds.job_of(frame, inference=permutation, **blocks))
    found = engine.run(path)
    drawn = found.draws[found.draws["method"] == "permutation"].set_index(["replicate", "term"])
    for replicate in range(N_DRAWS):
        cities = pipeline.draw(path, replicate=replicate).cities.set_index("city")["adopts_in_draw"]
        relabelled = frame.assign(pilot_year=frame["city"].map(cities).astype(float))
        expected = engine.run(_at(tmp_path / str(replicate), relabelled, blocks)).estimates
        expected = expected[expected["errors"] == "dyadic"].set_index("term")
        for term in drawn.loc[replicate].index:
            here = drawn.loc[(replicate, term)]
            assert_allclose(here["estimate"], expected.loc[term, "estimate"], rtol=1e-8)
            assert_allclose(here["statistic"], expected.loc[term, "statistic"], rtol=1e-7)
    rows = found.inference.set_index(["method", "term"])
    dyadic = found.estimates[found.estimates["errors"] == "dyadic"].set_index("term")
    for method, term in rows.index.intersection([("permutation", term) for term in dyadic.index]):
        assert_allclose(rows.loc[(method, term), "statistic"], dyadic.loc[term, "statistic"], rtol=1e-10)
        values = drawn.xs(term, level="term")["statistic"].dropna().abs()
        as_far = (values >= abs(dyadic.loc[term, "statistic"])).sum()
        assert_allclose(rows.loc[(method, term), "p_value"], (1 + as_far) / (1 + len(values)))


def _at(folder: Path, frame: pd.DataFrame, blocks: dict[str, Any]) -> Path:
    folder.mkdir()
    return worlds.write(folder, frame, worlds.job_of(frame, **blocks))


def test_one_adopter_of_sixteen_cities_is_every_city_once(tmp_path: Path) -> None:
    frame = worlds.panel(4)
    frame["pilot_year"] = np.where(frame["city"] == "city03", 2014.0, np.nan)
    blocks = {"matching": MATCHED, "inference": {"permutation": {"reps": 50}}}
    found = engine.run(worlds.write(tmp_path, frame, worlds.job_of(frame, **blocks)))
    values = found.draws["statistic"].abs()
    row = found.inference.set_index("method").loc["permutation"]
    assert len(values) == worlds.N_CITIES
    assert row["mc_error"] == 0
    as_far = values.dropna() >= abs(row["statistic"]) * (1 - 1e-9)
    assert_allclose(row["p_value"], as_far.sum() / as_far.size)
    assert math.isnan(row["conf_low"])  # a draw says nothing of other effects


def test_workers_make_the_same_draws(tmp_path: Path) -> None:
    frame = worlds.panel(4)
    blocks = {**ROADS["effects"], "inference": {"permutation": {"reps": 9, "strata": ["province"]}}}
    path = worlds.write(tmp_path, frame, worlds.job_of(frame, **blocks))
    here, there = engine.run(path), engine.run(path, workers=2)
    pd.testing.assert_frame_equal(here.draws, there.draws, check_exact=True)
    pd.testing.assert_frame_equal(here.inference, there.inference, check_exact=True)


def test_a_draw_that_cannot_be_estimated_is_counted_and_left_out(tmp_path: Path) -> None:
    """Two adopters and a narrow caliper: in some draws no pair finds a match."""
    frame = worlds.panel(4)
    frame["pilot_year"] = np.where(frame["city"].isin(["city03", "city05"]), 2014.0, np.nan)
    blocks = {
        "pairs": {"exclude": "both_treated"},
        "matching": {"unit": "pair", "covariates": ["edu"], "caliper": 1e-3},
        "inference": {"permutation": {"reps": 40}},
    }
    found = engine.run(worlds.write(tmp_path, frame, worlds.job_of(frame, **blocks)))
    n_missing = int(found.draws["estimate"].isna().sum())
    assert 0 < n_missing < 20
    assert found.inference.set_index("method").loc["permutation_coefficient", "reps"] == 40 - n_missing
    told = f"{n_missing} permutations do not identify the regression and are left out"
    assert any(told in warning for warning in found.manifest["warnings"])
