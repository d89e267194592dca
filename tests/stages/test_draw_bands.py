"""Bands of event years from bootstrap draws, against the draws that the job leaves."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import numpy as np
import pytest
from strategies import run_panel

EVENT: dict[str, Any] = {"estimator": "event_study", "base": -1, "window": [-3, 2], "errors": ["dyadic"]}


@pytest.mark.parametrize("kind", ["multiplier", "node"])
def test_a_band_is_the_errors_times_the_quantile_of_the_largest_ratio(kind: str) -> None:
    results = run_panel(
        worlds.panel(),
        model={**EVENT, "confidence": 0.9},
        inference={"bootstrap": {"kind": kind, "reps": 99}},
    )
    draws, rows = results.draws, results.inference
    ratios = draws.pivot(index="replicate", columns="term", values="statistic")
    timed = ratios[[name for name in ratios.columns if name.startswith("policy[")]]
    largest = np.sort(timed.abs().max(axis=1, skipna=False).dropna())
    critical = largest[int(np.ceil(0.9 * len(largest))) - 1]
    bands = rows[rows["method"] == f"{kind}_band"].set_index("term")
    assert set(bands.index) == set(timed.columns)
    np.testing.assert_allclose(bands["statistic"], critical, rtol=1e-12)
    observed = rows[rows["method"] == kind].set_index("term").loc[bands.index]
    estimates = results.estimates.set_index("term").loc[bands.index, "estimate"]
    error = estimates / observed["statistic"]  # of the type that studentises
    np.testing.assert_allclose(bands["conf_low"], estimates - critical * error, rtol=1e-9)
    np.testing.assert_allclose(bands["conf_high"], estimates + critical * error, rtol=1e-9)
    assert (bands["reps"] == len(largest)).all()


def test_one_coefficient_has_no_band() -> None:
    results = run_panel(worlds.panel(), inference={"bootstrap": {"kind": "multiplier", "reps": 19}})
    assert not results.inference["method"].str.endswith("band").any()
