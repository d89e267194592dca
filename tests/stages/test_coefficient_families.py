"""Families of coefficients that draws test together, from the draws that a job keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import pytest
from pyfixest.estimation.post_estimation.multcomp import _get_rwolf_pval

import engine
from engine import pipeline

EVENTS = {"estimator": "event_study", "window": [-2, 2]}


def run(folder: Path, inference: dict[str, Any], **blocks: Any) -> engine.Results:
    frame = worlds.panel()
    job = {**worlds.job_of(frame, inference=inference), **blocks}
    return engine.run(worlds.write(folder, frame, job), out=folder / "out")


def check(results: engine.Results, method: str, keys: list[tuple[str, str]]) -> None:
    """p-values of a family by pyfixest, from all draws."""
    draws = results.draws[results.draws["method"] == method]
    wide = draws.pivot(index="replicate", columns=["cell", "term"], values="statistic")[keys].dropna()
    rows = results.inference[results.inference["method"] == method].set_index(["cell", "term"]).loc[keys]
    multiple = results.frames["multiple"]
    found = multiple[multiple["method"] == method].set_index(["cell", "term"]).loc[keys]
    expected = _get_rwolf_pval(rows["statistic"].to_numpy(), wide.to_numpy())
    np.testing.assert_allclose(found["step_down_p"], expected, rtol=1e-12)
    assert (found["step_down_p"] >= found["p_value"]).all()
    assert (found["holm_p"] >= found["p_value"]).all()
    assert (found["tests"] == len(keys)).all()
    assert (found["reps"] == len(wide)).all()
    np.testing.assert_array_equal(found["p_value"], rows["p_value"])


@pytest.mark.parametrize(
    ("method", "block"),
    [
        ("permutation", {"permutation": {"reps": 59}}),
        ("node", {"bootstrap": {"kind": "node", "reps": 59}}),
        ("multiplier", {"bootstrap": {"kind": "multiplier", "reps": 59}}),
        ("wild", {"bootstrap": {"kind": "wild", "reps": 59}}),
        ("two_way_wild", {"bootstrap": {"kind": "two_way_wild", "reps": 59}}),
    ],
)
def test_event_years_are_tested_together(method: str, block: dict[str, Any], tmp_path: Path) -> None:
    results = run(tmp_path, block, model=EVENTS)
    (cell,) = results.estimates["cell"].unique()
    check(results, method, [(cell, term) for term in results.estimates["term"].unique() if "[" in term])


def test_cells_of_one_relabelling_are_tested_together(tmp_path: Path) -> None:
    results = run(
        tmp_path, {"permutation": {"reps": 59}}, sweep={"model.controls": [[], ["edu"], ["edu", "dense"]]}
    )
    keys = [(cell, "policy") for cell in results.estimates["cell"].unique()]
    assert len(keys) == 3
    check(results, "permutation", keys)
    text = (results.folder / "table_multiple.txt").read_text(encoding="utf-8")
    assert "Step-down p" in text
    page = pipeline.report(tmp_path / "out", draw=False).read_text(encoding="utf-8")
    assert "Of 3 coefficients tested together, " in page


def test_cells_of_other_draws_are_tested_by_themselves(tmp_path: Path) -> None:
    cases = {"first": {}, "second": {"inference.permutation.seed": 4}}
    results = run(tmp_path, {"permutation": {"reps": 39}}, model=EVENTS, cases=cases)
    terms = [term for term in results.estimates["term"].unique() if "[" in term]
    for cell in results.estimates["cell"].unique():
        check(results, "permutation", [(cell, term) for term in terms])
    assert "multiple" not in run(tmp_path, {"permutation": {"reps": 39}}, cases=cases).frames


def test_one_coefficient_is_no_family(tmp_path: Path) -> None:
    assert "multiple" not in run(tmp_path, {"permutation": {"reps": 19}}).frames


def test_enumerated_assignments_give_shares(tmp_path: Path) -> None:
    """One adopter of sixteen: p-values are multiples of a sixteenth."""
    frame = worlds.panel()
    frame["pilot_year"] = np.where(frame["city"] == "city03", 2014.0, np.nan)
    job = worlds.job_of(frame, inference={"permutation": {"reps": 99}})
    path = worlds.write(tmp_path, frame, {**job, "sweep": {"model.controls": [[], ["edu"]]}})
    multiple = engine.run(path).frames["multiple"]
    assert len(multiple) == 2
    assert (multiple["reps"] <= 16).all()
    shares = multiple["step_down_p"] * multiple["reps"]
    np.testing.assert_allclose(shares, shares.round(), atol=1e-12)
    assert (shares >= 1).all()
