"""The columns that ``engine/README.md`` explains are those that runs write, frame by frame."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pandas as pd
import pytest

import engine

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "engine" / "README.md").read_text(encoding="utf-8")
SMALL = ["panel.options.cities=40"]
FEW_DRAWS = [
    "inference={permutation: {reps: 19}, bootstrap: {kind: node, reps: 19}, jackknife: {by: city}, "
    "score_correlations: {bins: 3}}"
]
CONTROLS = ["edu", "tech", "second", "fd", "innov"]
SUBSETS = [list(names) for size in (1, 2, 3) for names in itertools.combinations(CONTROLS, size)]
NO_WINDOW = ["model.base=null", "model.window=null", "model.ends=null"]
# Jobs that have all frames among them, and what makes them small.
JOBS = {
    "table1_baseline.yaml": [
        f"sweep={{model.controls: {SUBSETS[:20]}}}",
        "inference={permutation: {reps: 19}}",
    ],
    "figure1_event_study.yaml": FEW_DRAWS,
    "paper/instrument.yaml": [],
    "paper/table2.yaml": ["inference=null"],
    "paper/matching.yaml": [],
    "paper/figure1.yaml": [
        "model.estimator=callaway_santanna",
        "model.controls=[]",
        "model.errors=[pair]",
        "model.options={base_period: universal}",
        "inference={honest: {sizes: [1]}}",
        *NO_WINDOW,
    ],
    "paper/both_pilot.yaml": [
        "inference=null",
        "model.controls=[]",
        "model.estimator=callaway_santanna",
        "model.errors=[pair]",
        "model.options={cohorts: cities}",
    ],
    "paper/column6.yaml": [
        "inference=null",
        "model.controls=[]",
        "model.diagnostics=[goodman_bacon, effect_weights]",
    ],
}


def explained(name: str) -> list[str]:
    """Columns of the table below the heading of a frame."""
    [section] = re.findall(rf"^### {name}\.parquet\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    return [column for cell in cells for column in re.findall(r"`([^`]+)`", cell)]


@pytest.fixture(scope="module")
def frames() -> dict[str, list[pd.DataFrame]]:
    by_name: dict[str, list[pd.DataFrame]] = {}
    for job, overrides in JOBS.items():
        results = engine.run(ROOT / "jobs" / job, overrides=[*SMALL, *overrides])
        for name, frame in results.frames.items():
            if len(frame):
                by_name.setdefault(name, []).append(frame)
    return by_name


def test_every_frame_is_explained(frames: dict[str, list[pd.DataFrame]]) -> None:
    assert sorted(frames) == sorted(re.findall(r"^### (\w+)\.parquet$", TEXT, re.MULTILINE))


@pytest.mark.parametrize("name", re.findall(r"^### (\w+)\.parquet$", TEXT, re.MULTILINE))
def test_columns_are_those_of_the_frame(name: str, frames: dict[str, list[pd.DataFrame]]) -> None:
    for frame in frames[name]:
        swept = [column for column in frame.columns if column == "case" or "." in column]
        assert sorted(set(frame.columns) - set(swept)) == sorted(explained(name))


def test_methods_are_those_of_the_inference_frame(frames: dict[str, list[pd.DataFrame]]) -> None:
    methods = {method for frame in frames["inference"] for method in frame["method"]}
    assert {"permutation", "permutation_max_t", "node", "bootstrap_se", "target_se_dyadic"} <= methods
    assert [
        method for method in methods if f"`{method}`" not in TEXT and not method.startswith("jackknife_")
    ] == []


def test_files_of_the_map_exist() -> None:
    [table] = re.findall(r"^\| layer, from the top.*?\n\n", TEXT, re.MULTILINE | re.DOTALL)
    places = [re.findall(r"`([\w./]+)`", line.split(" | ")[0]) for line in table.splitlines()[2:]]
    paths = [path if "/" in path else f"engine/{path}" for row in places for path in row]
    assert len(paths) > 12
    assert [path for path in paths if not (ROOT / path).exists()] == []
