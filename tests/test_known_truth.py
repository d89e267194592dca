"""The embedded data have a known effect: intervals must hold it, and without it tests must not see one."""

from __future__ import annotations

import numpy as np
import pytest
from designs import JOBS
from scipy.stats import binomtest, kstest

import engine

COLUMN_6, FIGURE_1 = JOBS / "paper" / "column6.yaml", JOBS / "paper" / "figure1.yaml"
TRUTH = 0.07
SEEDS = 200


@pytest.mark.parametrize("job", ["table1", "column6", "weak_ties", "windows", "matching"])
def test_the_truth_lies_in_the_dyadic_intervals_of_the_embedded_data(job: str) -> None:
    rows = engine.run(JOBS / "paper" / f"{job}.yaml", overrides=["inference={}"]).estimates
    policy = rows[(rows["term"] == "policy") & (rows["errors"] == "dyadic")]
    assert len(policy)
    assert ((policy["conf_low"] < TRUTH) & (policy["conf_high"] > TRUTH)).all()


def test_the_event_study_holds_nothing_before_and_the_truth_after() -> None:
    rows = engine.run(FIGURE_1, overrides=["inference={}"]).event_study
    assert rows is not None
    dyadic = rows[(rows["errors"] == "dyadic") & (rows["event_time"] != -1)]
    truth = np.where(dyadic["event_time"] >= 0, TRUTH, 0.0)
    assert ((dyadic["conf_low"] < truth) & (dyadic["conf_high"] > truth)).all()


@pytest.mark.slow
def test_permutation_p_values_of_data_without_an_effect_are_uniform() -> None:
    """Kolmogorov-Smirnov over 200 seeds, at 1 in 1,000; a p-value is spread over the step below it."""
    setting = ["panel.options.effect=0", "inference.permutation.reps=199", "inference.permutation.seed=5"]
    rng = np.random.default_rng(11)
    found = []
    for seed in range(SEEDS):
        rows = engine.run(COLUMN_6, overrides=[*setting, f"panel.options.seed={seed}"]).inference
        p = rows[(rows["method"] == "permutation") & (rows["term"] == "policy")]["p_value"].item()
        found.append(p - rng.uniform(0, 1 / 200))
    assert kstest(found, "uniform").pvalue > 0.001


@pytest.mark.slow
def test_dyadic_intervals_cover_the_truth_over_seeds() -> None:
    """The dyadic error is a little too small at 55 adopters: coverage from 0.88 on is not refused."""
    inside = []
    for seed in range(SEEDS):
        rows = engine.run(COLUMN_6, overrides=[f"panel.options.seed={seed}"]).estimates
        own = rows[(rows["term"] == "policy") & (rows["errors"] == "dyadic")].iloc[0]
        inside.append(own["conf_low"] < TRUTH < own["conf_high"])
    assert binomtest(sum(inside), SEEDS, 0.92).pvalue > 0.001
