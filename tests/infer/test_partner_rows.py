"""Draws by rows of partners, as on an accelerator, against those by pairs: sums, screens and variances agree."""

from __future__ import annotations

from typing import Any

import draw_worlds as worlds
import jax
import numpy as np
import pytest

from engine.infer import partner_rows as module
from engine.infer import permuted_influences, permuted_rows, permuted_sums
from engine.infer.draws import permuted_classes, resampled_counts
from engine.infer.permutation import Permutation, drawn_classes, permutation_draws
from engine.infer.weighted import weighted_fit, weighted_sums
from engine.infer.weighted_rows import WeightedRows
from engine.stages.inference import pass_inputs
from engine.stages.inference.permutation_draws import permutation_test

EVENT_STUDY = {"estimator": "event_study", "base": -1, "window": [-3, 2]}
EXACT = 1e-11

DESIGNS: dict[str, dict[str, Any]] = {
    "screened": {},
    "tied forces": {"frame": worlds.tied},
    "no screen": {"pairs": {"exclude": "both_treated"}},
    "all types": {"pairs": {"exclude": "none"}, "treatment": {"adoption": "pilot_year", "rule": "either"}},
    "event study": {"model": EVENT_STUDY},
    "event study, ends dropped": {"model": {**EVENT_STUDY, "ends": "drop"}},
    "holes": {"holes": True},
    "event study with holes": {"model": EVENT_STUDY, "holes": True},
    "holes, ends dropped": {"model": {**EVENT_STUDY, "ends": "drop"}, "holes": True},
}


def _first_pass(design: str) -> worlds.Pass:
    blocks = dict(DESIGNS[design])
    frame = blocks.pop("frame", worlds.panel)
    panel = frame(holes=True) if blocks.pop("holes", False) else frame()
    return worlds.first_pass(panel, inference={"permutation": {"reps": 20}}, **blocks)


def _test_of(design: str) -> Permutation:
    """The permutation test of a small world."""
    done = _first_pass(design)
    scheme = done.results[0].cell.job.inference.permutation
    assert scheme is not None
    return permutation_test(done.prepared, done.results, scheme)


@pytest.mark.parametrize("rows_at_once", [16, 16 * 5, 1 << 14])
@pytest.mark.parametrize("design", DESIGNS)
def test_rows_and_pairs_agree(design: str, rows_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One unit a step, five (which do not divide sixteen), and all at once."""
    monkeypatch.setattr(module, "_ROWS", rows_at_once)
    monkeypatch.setattr(module, "_ROWS_OF_TABLE", module.ProcessCache())
    monkeypatch.setattr(module, "_CHUNK", 7)
    test = _test_of(design)
    classes = drawn_classes(test, np.arange(12, dtype=np.int32))
    with jax.enable_x64(True):
        sums, reach = permuted_sums.type_sums(test.sample, classes)
        by_rows, row_reach = permuted_rows.type_sums(test.sample, classes)
    np.testing.assert_array_equal(row_reach.screens, reach.screens)
    np.testing.assert_allclose(by_rows, sums, rtol=EXACT, atol=EXACT * np.abs(sums).max())
    by_pairs = permutation_draws(test, np.arange(12, dtype=np.int32))
    monkeypatch.setattr("engine.infer.permutation.rows_fit", lambda pairs: True)
    monkeypatch.setattr(permuted_influences, "add_influences", None)  # is not called
    draws = permutation_draws(test, np.arange(12, dtype=np.int32))
    assert np.isfinite(draws.estimate[0]).any()
    assert np.isfinite(draws.statistic[0]).any()
    assert draws.fallback == by_pairs.fallback
    for name in ("estimate", "statistic", "inversion"):
        result, expected = getattr(draws, name)[0], getattr(by_pairs, name)[0]
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=EXACT, err_msg=name)


@pytest.mark.parametrize("scheme", ["resampled", "one left out"])
@pytest.mark.parametrize("design", DESIGNS)
def test_weighted_samples_by_rows(design: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sums, estimates and dyadic variances of resampled cities and of samples without one."""
    monkeypatch.setattr(module, "_ROWS", 16 * 5)
    monkeypatch.setattr(module, "_ROWS_OF_TABLE", module.ProcessCache())
    done = _first_pass(design)
    types = pass_inputs.typed_pairs(done.prepared)
    by_pairs = types.ready()
    monkeypatch.setattr("engine.infer.weighted.rows_fit", lambda pairs: True)
    by_rows = types.ready()
    assert isinstance(by_rows, WeightedRows)
    n = len(done.units)
    weights = resampled_counts(3, np.arange(12, dtype=np.int32), n)
    if scheme == "one left out":
        weights = 1.0 - np.eye(n)
    cell = pass_inputs.tested_of(done.prepared, done.results[0], None)
    with jax.enable_x64(True):
        expected, result = (
            (weighted_sums(pairs, weights), *weighted_fit(pairs, weights, cell, studentise=True)[1:])
            for pairs in (by_pairs, by_rows)
        )
    assert np.isfinite(expected[2]).any()
    for mine, theirs in zip(result, expected, strict=True):
        size = np.nanmax(np.abs(theirs))
        np.testing.assert_allclose(mine, theirs, rtol=1e-9, atol=EXACT * size)


def test_a_draw_is_the_same_bits_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.infer.permutation.rows_fit", lambda pairs: True)
    test, replicates = _test_of("screened"), np.arange(12, dtype=np.int32)
    first, second = (permutation_draws(test, replicates) for _ in range(2))
    np.testing.assert_array_equal(first.statistic[0], second.statistic[0])


def test_a_processor_has_no_rows() -> None:
    """Where JAX computes on the processor, it touches the pairs that a draw needs."""
    assert jax.default_backend() != "cpu" or not module.rows_fit(_test_of("screened").sample.pairs)


@pytest.mark.parametrize("n_strata", [0, 1, 3, 40])
def test_an_accelerator_permutes_as_the_processor_does(
    n_strata: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = np.random.default_rng(2).integers(0, 5, 97).astype(np.int32)
    strata = np.random.default_rng(3).integers(0, n_strata, 97).astype(np.int32) if n_strata else None
    replicates = np.arange(1000, 1040, dtype=np.int32)
    expected = permuted_classes(2**63 + 5, replicates, classes, strata)
    monkeypatch.setattr("engine.infer.draws.jax.default_backend", lambda: "gpu")
    np.testing.assert_array_equal(permuted_classes(2**63 + 5, replicates, classes, strata), expected)


def test_twenty_cohorts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Types of pairs are products of classes, more than a byte has; the assignment that happened has the table's t."""
    frame = worlds.panel(n_cities=26)
    cities = frame["city"].unique()
    years = dict(zip(cities[:20], range(2001, 2021), strict=True))
    frame["pilot_year"] = frame["city"].map(years)
    done = worlds.first_pass(frame, inference={"permutation": {"reps": 20}})
    scheme = done.results[0].cell.job.inference.permutation
    assert scheme is not None
    test = permutation_test(done.prepared, done.results, scheme)
    assert test.sample.n_classes > 16
    replicates = np.arange(-1, 8, dtype=np.int32)
    by_pairs = permutation_draws(test, replicates)
    fit, studentising = done.results[0].fit, done.results[0].studentising
    position = fit.names.index("policy")
    expected = fit.values[position] / studentising.std_error[position]
    assert by_pairs.statistic[0][0, 0] == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr("engine.infer.permutation.rows_fit", lambda pairs: True)
    by_rows = permutation_draws(test, replicates)
    np.testing.assert_allclose(by_rows.statistic[0], by_pairs.statistic[0], rtol=1e-9)


@pytest.mark.parametrize("n_classes", [126, 127, 300])
def test_classes_are_packed_whole(n_classes: int) -> None:
    classes = np.arange(n_classes, dtype=np.int32)[None]
    np.testing.assert_array_equal(permuted_sums.packed_classes(classes, n_classes)[:, 0], classes[0])
