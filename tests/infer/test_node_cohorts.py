"""Resamples that lose an adoption cohort: dropped, counted, and said so; an event study keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest

import engine
from engine.infer.draws import resampled_counts
from engine.stages.inference.bootstrap import dropped_draws

REPS, SEED = 60, 6


def run(folder: Path, frame: pd.DataFrame, kind: str, reps: int, **blocks: Any) -> engine.Results:
    inference = {"bootstrap": {"kind": kind, "reps": reps, "seed": SEED}}
    return engine.run(worlds.write(folder, frame, worlds.job_of(frame, inference=inference, **blocks)))


def lonely() -> pd.DataFrame:
    """The first adopter alone in its cohort, the others of one year."""
    frame = worlds.panel()
    first = frame.loc[frame["pilot_year"].notna(), "city"].iloc[0]
    years = np.where(frame["city"] == first, 2012.0, np.where(frame["pilot_year"].notna(), 2014.0, np.nan))
    return frame.assign(pilot_year=years)


def lost_by_hand(frame: pd.DataFrame, reps: int) -> np.ndarray[Any, Any]:
    """Cohort by cohort, city by city."""
    cities = sorted(frame["city"].unique())
    adopted = frame.groupby("city")["pilot_year"].first()
    counts = resampled_counts(SEED, np.arange(reps, dtype=np.int32), len(cities))
    lost = np.zeros(reps, dtype=bool)
    for year in adopted.dropna().unique():
        members = [k for k, city in enumerate(cities) if adopted[city] == year]
        lost |= counts[:, members].sum(axis=1) == 0
    return lost


@pytest.mark.parametrize(("kind", "reps"), [("node", REPS), ("pipeline", 8)])
def test_draws_without_some_cohort_are_dropped_and_counted(kind: str, reps: int, tmp_path: Path) -> None:
    frame = lonely()
    found, lost = run(tmp_path, frame, kind, reps), lost_by_hand(frame, reps)
    assert 0.1 < lost.mean() < 0.6  # a city is missing from 36% of the resamples of 16
    draws = found.draws.sort_values("replicate")
    np.testing.assert_array_equal(draws["estimate"].isna(), lost)
    kept = draws[~lost]
    row = found.inference.set_index("method").loc[kind]
    assert row["reps"] == len(kept)
    error = found.inference.set_index("method").loc["bootstrap_se"]
    np.testing.assert_allclose(error["statistic"], kept["estimate"].std(ddof=0), rtol=1e-12)
    assert error["reps"] == len(kept)
    if kind == "node":
        assert draws["statistic"].isna().tolist() == lost.tolist()
        extreme = (kept["statistic"].abs() >= abs(row["statistic"])).sum()
        assert row["p_value"] == (1 + extreme) / (1 + len(kept))
    (note,) = [note for note in found.manifest["warnings"] if "cohort" in note]
    assert note.startswith(f"{kind} bootstrap: {lost.sum()} of {reps} draws ({100 * lost.mean():.0f}%)")
    assert "2012 (1 city) is missing from" in note
    assert not [other for other in found.manifest["warnings"] if "do not identify" in other]


def test_an_event_study_keeps_the_draws_that_it_identifies(tmp_path: Path) -> None:
    frame = lonely()
    found = run(tmp_path, frame, "node", REPS, model={"estimator": "event_study", "window": [-2, 1]})
    wide = found.draws.pivot(index="replicate", columns="term", values="estimate")
    lost = lost_by_hand(frame, REPS)
    assert np.isfinite(wide[lost]).all(axis=1).sum() > 0
    assert not [note for note in found.manifest["warnings"] if "cohort" in note]


def test_a_draw_made_again_is_dropped_too() -> None:
    frame = lonely()
    done = worlds.first_pass(frame)
    counts = resampled_counts(SEED, np.arange(REPS, dtype=np.int32), len(done.units))
    np.testing.assert_array_equal(
        dropped_draws(done.prepared, done.results[0], counts), lost_by_hand(frame, REPS)
    )
