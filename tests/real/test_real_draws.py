"""Twenty permutations and twenty resamples of the real Chinese panel against literal refits; no figure is kept."""

from __future__ import annotations

import jax
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from designs import MASSES
from draw_worlds import Pass, first_pass_of
from test_real_panel import CONTROLS, DATA, HERE, clean
from tolerances import BRUTE

from engine.infer.draws import resampled_counts
from engine.infer.permutation import OBSERVED, drawn_classes, permutation_draws
from engine.infer.weighted import weighted_fit
from engine.spec.inference import PermutationTest
from engine.stages.inference import pass_inputs
from engine.stages.inference.permutation_draws import permutation_test

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.exists(), reason=f"no real city panel: {DATA.name} is not there"),
]

REGRESSORS = [*CONTROLS, "policy"]


@pytest.fixture(scope="module")
def done() -> Pass:
    return first_pass_of(HERE / "table1_real.yaml", overrides=("sweep={}",))


@pytest.fixture(scope="module")
def cities() -> pd.DataFrame:
    return clean()


@pytest.fixture(scope="module")
def everything(cities: pd.DataFrame) -> oracle.Grid:
    return oracle.grid(cities, series="development", adoption="pilot_year", controls=CONTROLS, masses=MASSES)


def adoption(cities: pd.DataFrame) -> dict[str, float]:
    first = cities.groupby("city")["pilot_year"].first()
    return first.where(first <= cities["year"].max(), np.inf).to_dict()


def test_permutations(done: Pass, everything: oracle.Grid) -> None:
    setting = permutation_test(done.prepared, done.results, PermutationTest(seed=3))
    replicates = np.arange(OBSERVED, 20, dtype=np.int32)
    draws = permutation_draws(setting, replicates)
    for row, classes in enumerate(drawn_classes(setting, replicates)):
        long, terms = oracle.relabelled(everything, done.adopted(classes))
        estimate, statistic, error = oracle.studentised(long, REGRESSORS, terms)
        assert abs(draws.estimate[0][row, 0] - estimate[0]) < BRUTE * error[0]
        np.testing.assert_allclose(draws.statistic[0][row], statistic, rtol=BRUTE, atol=BRUTE)


def test_resamples(done: Pass, everything: oracle.Grid, cities: pd.DataFrame) -> None:
    """Node-bootstrap draws against the literal resample, every pair of copies with an effect of its own."""
    counts = resampled_counts(3, np.arange(20, dtype=np.int32), len(done.units))
    long, _ = oracle.relabelled(everything, adoption(cities))
    with jax.enable_x64(True):
        cell = pass_inputs.tested_of(done.prepared, done.results[0], None)
        _, estimate, variance = weighted_fit(
            pass_inputs.typed_pairs(done.prepared).sorted(), counts, cell, studentise=True
        )
    for row, drawn in enumerate(counts.astype(int)):
        literal = oracle.resampled(long, done.by_city(drawn))
        expected, _, error = oracle.studentised(literal, REGRESSORS, ["policy"])
        assert abs(estimate[row, 0] - expected[0]) < BRUTE * error[0]
        np.testing.assert_allclose(np.sqrt(variance[row]), error, rtol=BRUTE)
