"""Node bootstrap and leave-out samples: weights w_i w_j against dummies, literal resamples and literal deletions."""

from __future__ import annotations

from functools import cache
from typing import Any

import draw_worlds as worlds
import jax
import numpy as np
import oracle_draws as oracle
import pandas as pd
import pytest
from strategies import dyads
from tolerances import BRUTE

from engine.infer import weighted as module
from engine.infer.draws import resampled_counts
from engine.infer.weighted import sort_by_type, weighted_fit, weighted_sums
from engine.pairs.pair_statistics import pair_statistics
from engine.pairs.process_cache import forget_all
from engine.pairs.table_design import TableDesign
from engine.stages.inference import pass_inputs

REPS = np.arange(20, dtype=np.int32)

CASES: dict[str, dict[str, Any]] = {
    "balanced": {},
    "missing": {"holes": True},
    "infinite": {"frame": worlds.twins},
    "either, kept, missing": {"holes": True, "rule": "either"},
    "event study, missing": {"holes": True, "model": {"estimator": "event_study", "window": [-2, 1]}},
}


@cache
def world(name: str) -> tuple[worlds.Pass, pd.DataFrame, list[str], list[str]]:
    """The pass, the oracle's long frame of the same sample, its regressors, and those that are tested."""
    case = CASES[name]
    frame = case["frame"]() if "frame" in case else worlds.panel(holes=case.get("holes", False))
    rule = case.get("rule", "exactly_one")
    blocks: dict[str, Any] = {"treatment": {"adoption": "pilot_year", "rule": rule}}
    options: dict[str, Any] = {"rule": rule}
    if rule == "either":
        blocks["pairs"] = {"exclude": "none", "gravity": {"mass": ["population"]}}
        options["exclude"] = False
    if "model" in case:
        blocks["model"] = case["model"]
        options["event"] = (-1, (-2, 1))
    done = worlds.first_pass(frame, **blocks)
    long, terms = oracle.relabelled(worlds.oracle_grid(frame), worlds.observed_adoption(frame), **options)
    return done, long, ["edu", "dense", *terms], terms


@cache
def bootstrap(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Counts, estimates and dyadic variances of the engine's node-bootstrap draws."""
    done = world(name)[0]
    counts = resampled_counts(11, REPS, len(done.units))
    with jax.enable_x64(True):
        cell = pass_inputs.tested_of(done.prepared, done.results[0], None)
        _, estimate, variance = weighted_fit(
            pass_inputs.typed_pairs(done.prepared).sorted(), counts, cell, studentise=True
        )
    return counts, estimate, variance


@pytest.mark.parametrize("name", CASES)
def test_a_node_bootstrap_draw_is_a_literal_resample(name: str) -> None:
    """Every copy of a city is a city, every pair of copies has an effect of its own; the t ratio is dyadic."""
    done, long, regressors, terms = world(name)
    counts, estimate, variance = bootstrap(name)
    known = 0
    for row, drawn in enumerate(counts.astype(int)):
        literal = oracle.resampled(long, done.by_city(drawn))
        expected, _, error = oracle.studentised(literal, regressors, terms)
        np.testing.assert_array_equal(np.isfinite(estimate[row]), np.isfinite(expected))
        if np.isfinite(expected).all():
            known += 1
            np.testing.assert_array_less(np.abs(estimate[row] - expected) / error, BRUTE)
            np.testing.assert_allclose(np.sqrt(variance[row]), error, rtol=BRUTE)
    assert known >= 12


@pytest.mark.parametrize("name", ["balanced", "missing", "event study, missing"])
def test_a_node_bootstrap_draw_is_a_weighted_regression_on_dummies(name: str) -> None:
    done, long, regressors, terms = world(name)
    counts, estimate, variance = bootstrap(name)
    place = [regressors.index(term) for term in terms]
    for row in np.flatnonzero(np.isfinite(estimate).all(axis=1)):
        expected, square = (
            part[place] for part in oracle.weighted_fit(long, regressors, done.by_city(counts[row]))
        )
        np.testing.assert_array_less(np.abs(estimate[row] - expected) / np.sqrt(np.abs(square)), BRUTE)
        positive = square > 0
        np.testing.assert_allclose(variance[row][positive], square[positive], rtol=BRUTE)


def test_weights_of_one_are_the_sample() -> None:
    for name in CASES:
        done = world(name)[0]
        result = done.results[0]
        with jax.enable_x64(True):
            cell = pass_inputs.tested_of(done.prepared, result, None)
            ones = np.ones((2, len(done.units)))
            _, estimate, variance = weighted_fit(
                pass_inputs.typed_pairs(done.prepared).sorted(), ones, cell, studentise=True
            )
        positions, error = list(cell.tested), result.studentising.std_error[list(cell.tested)]
        np.testing.assert_allclose(
            estimate[0], result.fit.values[positions], rtol=0, atol=BRUTE * error.min()
        )
        if not result.studentising.notes:
            np.testing.assert_allclose(np.sqrt(variance[0]), error, rtol=BRUTE)


@pytest.mark.parametrize("name", ["balanced", "missing", "event study, missing"])
def test_weights_of_zero_leave_cities_out(name: str) -> None:
    """One at a time, and by province, against the sample without their rows."""
    done, long, regressors, terms = world(name)
    province = worlds.panel().groupby("city")["province"].first()
    groups = [[unit] for unit in done.units] + [
        list(part) for part in province.groupby(province).groups.values()
    ]
    weights = np.array([[float(unit not in group) for unit in done.units] for group in groups])
    with jax.enable_x64(True):
        cell = pass_inputs.tested_of(done.prepared, done.results[0], None)
        _, estimate, _ = weighted_fit(
            pass_inputs.typed_pairs(done.prepared).sorted(), weights, cell, studentise=False
        )
    for row, group in enumerate(groups):
        rest = long[~long["city_i"].isin(group) & ~long["city_j"].isin(group)]
        expected, _, error = oracle.studentised(rest, regressors, terms)
        np.testing.assert_array_equal(np.isfinite(estimate[row]), np.isfinite(expected))
        if np.isfinite(expected).all():
            np.testing.assert_array_less(np.abs(estimate[row] - expected) / error, BRUTE)
    own = slice(0, len(done.units))
    result = done.results[0]
    # The table's jackknife deletes through city moments, another way to the same samples.
    np.testing.assert_allclose(
        estimate[own],
        result.fit.without_city[:, list(cell.tested)],
        rtol=BRUTE,
        atol=BRUTE * result.studentising.std_error.min(),
    )


@pytest.mark.parametrize(("step", "slab"), [(7, 2**16), (512, 10), (3, 16)])
def test_any_cut_of_the_pairs_and_any_block_give_the_same(
    step: int, slab: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Long or short steps, the table on the device as a whole or in slabs, any blocks of draws."""
    counts, estimate, variance = bootstrap("missing")
    done = world("missing")[0]
    monkeypatch.setattr(module, "_PAIRS", step)
    monkeypatch.setattr(module, "_SLAB", slab)
    forget_all()
    with jax.enable_x64(True):
        cell = pass_inputs.tested_of(done.prepared, done.results[0], None)
        setting = pass_inputs.typed_pairs(done.prepared).sorted()
        n_pairs = len(setting.pairs.i)
        assert len(setting.slabs) == -(-n_pairs // slab)
        assert all(one.rows.shape[1] <= step for one in setting.slabs)
        parts = [
            weighted_fit(setting, part, cell, studentise=True)[1:] for part in np.split(counts, [3, 4, 15])
        ]
    for whole, cut in zip((estimate, variance), zip(*parts, strict=True), strict=True):
        np.testing.assert_allclose(np.concatenate(cut), whole, rtol=1e-11)  # issue 3: another order of sums


@pytest.mark.parametrize(("step", "slab"), [(512, 2**16), (2, 8), (3, 1)])
def test_sums_by_type_are_sums_over_pairs(step: int, slab: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Features of a table's pairs, types dealt at random, weights of any sign: one loop over the pairs."""
    monkeypatch.setattr(module, "_PAIRS", step)
    monkeypatch.setattr(module, "_SLAB", slab)
    data = dyads(2, n_units=7)
    design = TableDesign(data.i, data.j, data.values, 7, False)
    pairs = pair_statistics(design, every_screen=False, memory_bytes=1e9)
    rng = np.random.default_rng(0)
    kind, weights = rng.integers(-1, 3, len(pairs.i)), rng.normal(size=(4, 7))
    setting = sort_by_type(pairs, kind, 3)
    with jax.enable_x64(True):
        found = weighted_sums(setting, weights)
    assert pairs.table is not None
    expected, units = np.zeros((4, 3, pairs.layout.size)), set()
    for p, (i, j) in enumerate(zip(pairs.i, pairs.j, strict=True)):
        units |= {int(i), int(j)} if kind[p] >= 0 and pairs.table[p, 0] else set()
        for draw in range(4):
            if kind[p] >= 0:
                expected[draw, kind[p]] += weights[draw, i] * weights[draw, j] * pairs.table[p]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)  # sums of twenty products
    assert setting.units.tolist() == sorted(units)


def test_a_table_without_pairs_of_the_sample_gives_zeros() -> None:
    data = dyads(2, n_units=7)
    pairs = pair_statistics(
        TableDesign(data.i, data.j, data.values, 7, False), every_screen=False, memory_bytes=1e9
    )
    with jax.enable_x64(True):
        found = weighted_sums(sort_by_type(pairs, np.full(len(pairs.i), -1), 2), np.ones((3, 7)))
    np.testing.assert_array_equal(found, np.zeros((3, 2, pairs.layout.size)))
