"""Multiplier draws of regressions that no other draw can run again: b + sum_c v_c psi_c, from the estimate alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import draw_worlds as worlds
import numpy as np
import pandas as pd
import pytest
from strategies import TABLE_JOB, pair_table

import engine
from engine import pipeline
from engine.errors import InputError
from engine.infer.draws import multipliers

REPS, SEED = 40, 3
BLOCK = {"bootstrap": {"kind": "multiplier", "reps": REPS, "seed": SEED}}
SHIFTED = {"instrument": {"sum": "shifter"}}
EVENTS = {"estimator": "sun_abraham", "window": [-2, 1]}
MATCHED = {
    "pairs": {"exclude": "both_treated"},
    "matching": {"covariates": ["edu", "dense"], "unit": "pair", "year": "mean"},
}
PANELS: dict[str, dict[str, Any]] = {
    "iv": {"model": {"estimator": "iv"}, **SHIFTED},
    "first stage": {"model": {"estimator": "first_stage"}, **SHIFTED},
    "sun_abraham": {"model": EVENTS},
    "matching": MATCHED,
}


def frame() -> pd.DataFrame:
    table = worlds.panel(n_cities=24)
    return table.assign(shifter=np.random.default_rng(2).normal(size=len(table)))


def check(path: Path) -> None:
    """The draws of a job by hand, and one of them made again."""
    fit = worlds.first_pass_of(path).results[0].fit
    treated = [place for place, term in enumerate(fit.terms) if term.is_treatment]
    positions = treated or list(range(len(fit.terms)))
    signs = multipliers(SEED, np.arange(REPS, dtype=np.int32), len(fit.city_influence), "rademacher")
    expected = fit.values[positions] + signs @ fit.city_influence[:, positions]
    results = engine.run(path)
    wide = results.draws.pivot(index="replicate", columns="term", values="estimate")
    names = [fit.names[place] for place in positions]
    np.testing.assert_allclose(wide[names].to_numpy(), expected, rtol=1e-9, atol=1e-12)
    again = pipeline.draw(path, replicate=7).terms.set_index("term")
    np.testing.assert_allclose(again.loc[names, "estimate"], expected[7], rtol=1e-9, atol=1e-12)
    assert results.inference.query("method == 'multiplier'")["p_value"].between(0, 1).all()


@pytest.mark.parametrize("name", PANELS)
def test_draws_are_multiplied_influences(name: str, tmp_path: Path) -> None:
    table = frame()
    check(worlds.write(tmp_path, table, worlds.job_of(table, inference=BLOCK, **PANELS[name])))


def test_weighted_rows(tmp_path: Path) -> None:
    table = pair_table(1).assign(weight=lambda rows: 1 + np.arange(len(rows)) % 3)
    block = {
        "source": "cities.parquet",
        "unit_i": "one",
        "unit_j": "other",
        "year": "year",
        "weight": "weight",
    }
    job = {**TABLE_JOB, "pair_table": block, "inference": BLOCK}
    path = worlds.write(tmp_path, table, job)
    results = engine.run(path)
    assert len(results.draws) == REPS * results.estimates["term"].nunique()
    node = results.inference.query("method == 'target_se_node'").set_index("term")["statistic"]
    spread = results.inference.query("method == 'bootstrap_se'").set_index("term")["statistic"]
    assert (spread / node).between(0.6, 1.5).all()


def test_other_draws_are_refused_with_a_remedy(tmp_path: Path) -> None:
    table, block = frame(), {"bootstrap": {"kind": "node", "reps": 9}}
    path = worlds.write(tmp_path, table, worlds.job_of(table, inference=block, **PANELS["iv"]))
    with pytest.raises(InputError, match="not defined for estimator iv") as caught:
        engine.run(path)
    assert "kind multiplier" in str(caught.value)
