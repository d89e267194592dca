"""Draws, p-values and intervals of a cell are those that it has in a job of its own, whatever its neighbours are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import draw_worlds as worlds
import pandas as pd

import engine

EVENTS = {"model.estimator": "event_study", "model.window": [-3, 2]}
CASES: dict[str, dict[str, Any]] = {
    "main": {},
    "no controls": {"model.controls": []},
    "events": EVENTS,
    "shifted": {"treatment.shift": -1},
    "either": {"treatment.rule": "either"},
    "cohorts": {"model.estimator": "extended_twfe"},
    "all pairs": {"pairs.exclude": "none"},
}


def in_one_job(
    folder: Path, frame: pd.DataFrame, cases: Mapping[str, Mapping[str, Any]], inference: Mapping[str, Any]
) -> dict[str, dict[str, pd.DataFrame]]:
    """Frames ``inference`` and ``draws`` of each case of a job, once they are found equal to those of it alone."""
    job = worlds.job_of(frame, inference=dict(inference))

    def results_of(some_cases: Mapping[str, Mapping[str, Any]]) -> engine.Results:
        return engine.run(worlds.write(folder, frame, {**job, "cases": dict(some_cases)}))

    together = results_of(cases)
    cell_ids = together.estimates.drop_duplicates("case").set_index("case")["cell"]
    assert set(cell_ids.index) == set(cases)
    by_case = {}
    for case, changes in cases.items():
        alone = results_of({case: changes})
        by_case[case] = {name: getattr(alone, name) for name in ("inference", "draws")}
        for name, frame_alone in by_case[case].items():
            rows = getattr(together, name)
            rows = rows[rows["cell"] == cell_ids[case]].reset_index(drop=True)
            pd.testing.assert_frame_equal(
                rows.drop(columns="cell"), frame_alone.drop(columns="cell"), rtol=1e-9
            )
    return by_case


def test_permutations(tmp_path: Path) -> None:
    by_case = in_one_job(tmp_path, worlds.panel(), CASES, {"permutation": {"reps": 99, "seed": 3}})
    for case, frames in by_case.items():
        rows = frames["inference"]
        has_interval = rows.loc[rows["method"] == "permutation", "conf_low"].notna().any()
        assert has_interval == (case not in ("events", "cohorts"))


def test_pipeline_draws(tmp_path: Path) -> None:
    """Another cell that a resample does not identify takes nothing from it."""
    frame = worlds.panel(2, n_cities=14, holes=True)
    cases = {name: CASES[name] for name in ("main", "shifted")} | {
        "events": {**EVENTS, "model.window": [-2, 2]}
    }
    by_case = in_one_job(tmp_path, frame, cases, {"bootstrap": {"kind": "pipeline", "reps": 16, "seed": 3}})
    unidentified = {
        case: set(frames["draws"].loc[frames["draws"]["estimate"].isna(), "replicate"])
        for case, frames in by_case.items()
    }
    assert unidentified["events"] > unidentified["main"]
