"""The registry of outcomes: names and needs without JAX, a formula in each file; variation against its definition."""

from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pytest

from engine.pairs.outcomes import OUTCOMES
from engine.spec.design import Outcome


@pytest.mark.parametrize("name", OUTCOMES)
def test_every_outcome_has_its_formula_in_the_file_of_its_name(name: str) -> None:
    assert OUTCOMES[name].name == name
    assert OUTCOMES[name].pair_values.__module__ == f"engine.pairs.outcomes.{name}"


@pytest.mark.parametrize("name", OUTCOMES)
def test_an_outcome_is_a_key_of_the_job_file_and_names_itself(name: str) -> None:
    weight = {"weight": "people"} if OUTCOMES[name].weighted else {}
    outcome = Outcome(**{name: "gdp"}, **weight)
    assert (outcome.kind, outcome.series, outcome.name) == (name, "gdp", f"{name} of gdp")
    assert outcome.standardised == OUTCOMES[name].standardised


def test_a_column_of_a_pair_table_is_called_by_its_own_name() -> None:
    outcome = Outcome(column="log(trade)")
    assert (outcome.kind, outcome.series, outcome.name) == (None, None, "log(trade)")


def test_job_files_read_the_registries_without_jax() -> None:
    code = "import sys, engine.spec; sys.exit('jax' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_variation_is_the_weighted_standard_deviation_over_the_mean() -> None:
    rng = np.random.default_rng(3)
    y, w = rng.uniform(0.5, 9, (2, 40, 6)), rng.uniform(0.1, 5, (2, 40, 6))
    mean = (w * y).sum(0) / w.sum(0)
    expected = np.sqrt((w * (y - mean) ** 2).sum(0) / w.sum(0)) / mean
    with jax.enable_x64(True):
        values = OUTCOMES["variation"].pair_values(*map(jax.numpy.asarray, (*y, *w)), None)
    np.testing.assert_allclose(values, expected, rtol=1e-13, atol=1e-15)  # the definition cancels a little
