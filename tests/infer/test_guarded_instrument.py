"""Anderson-Rubin sets and first-stage F where a dyadic variance is not positive, against a search over effects."""

from __future__ import annotations

import dataclasses
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import t as student
from sentences import english
from test_errors import fit_of, sums

from engine.estimate.estimate import Estimate
from engine.estimate.instrument import Instrumented
from engine.estimate.terms import Term
from engine.infer.errors import covariances
from engine.stages.instrument import strengths

PAIRS = list(combinations(range(6), 2))
KINDS = ("pair", "city", "dyadic", "jackknife")


def world(seed: int) -> tuple[Estimate, Estimate, Estimate, list[Any], np.ndarray]:
    """Reduced form, first stage and their sum with independent pair influences, and the sums of their products."""
    rng = np.random.default_rng(seed)
    psi = rng.normal(size=(len(PAIRS), 2)) @ np.array([[1.0, 0.3], [0.0, 1.0]])
    # Less of what the cities share: scores that repel each other within a city have no positive dyadic variance.
    cities = np.array([[float(unit in pair) for unit in range(6)] for pair in PAIRS])
    common = cities @ np.linalg.lstsq(cities, psi, rcond=None)[0]
    psi = psi - common * rng.choice([0.0, 0.7], size=2)
    both = np.column_stack([psi, psi.sum(axis=1)])
    without = rng.normal(size=(6, 2))
    without = np.column_stack([without, without.sum(axis=1)])
    estimate = np.array([1.0, 3.0, 4.0])
    fits = [
        fit_of(
            PAIRS,
            both[:, [k]],
            values=estimate[[k]],
            without_city=without[:, [k]],
            terms=(Term("instrument"),),
        )
        for k in range(3)
    ]
    return (*fits, [sums(PAIRS, both[:, [k]]) for k in range(3)], psi)


def found_of(seed: int) -> tuple[dict[str, Any], tuple[str, ...]]:
    reduced, first, both, products, _ = world(seed)
    cell: Any = SimpleNamespace(job=SimpleNamespace(model=SimpleNamespace(errors=KINDS, confidence=0.95)))
    fits = (
        dataclasses.replace(fit, pair_meat=pair_meat, reciprocal_meat=reciprocal)
        for fit, (pair_meat, reciprocal) in zip(
            (first, reduced, both), (products[k] for k in (1, 0, 2)), strict=True
        )
    )
    return strengths(cell, Instrumented(*fits))


def omega(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The joint dyadic covariance by literal loops, each variance guarded by itself; and which one was replaced."""
    fit, *_, psi = world(seed)
    city = np.zeros((6, 2))
    for (i, j), own in zip(PAIRS, psi, strict=True):
        city[i] += own
        city[j] += own
    node, pair = city.T @ city, psi.T @ psi
    bad = np.diag(node) - np.diag(pair) <= 1e-12 * np.diag(node)
    out = node - pair
    for k in np.flatnonzero(bad):
        out[k], out[:, k] = node[k], node[:, k]
    scale = np.sqrt(np.diag(out))
    correlation = float(np.clip(out[0, 1] / scale.prod(), -1, 1))  # of two terms, all that clipping does
    out[0, 1] = out[1, 0] = correlation * scale.prod()
    return out * 6 / 5 * (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters_city), bad


SEEDS = range(12)


def test_worlds_of_every_kind_occur() -> None:
    kinds = {tuple(omega(seed)[1].tolist()) for seed in SEEDS}
    assert kinds >= {(False, False), (True, False), (False, True)}


@pytest.mark.parametrize("seed", SEEDS)
def test_the_set_of_effects_that_are_not_rejected(seed: int) -> None:
    matrix, bad = omega(seed)
    found, notes = found_of(seed)
    dyadic = found["dyadic"]
    assert dyadic.f == pytest.approx(9.0 / matrix[1, 1], rel=1e-9)
    critical = student.ppf(0.975, 5) ** 2
    effects = np.linspace(-40, 40, 160_001)
    variance = matrix[0, 0] - 2 * effects * matrix[0, 1] + effects**2 * matrix[1, 1]
    assert (variance > -1e-9).all()
    inside = (1.0 - 3.0 * effects) ** 2 <= critical * np.maximum(variance, 0)
    if dyadic.shape == "line":
        assert inside.all()
    else:
        within = (effects >= dyadic.low) & (effects <= dyadic.high)
        expected = within if dyadic.shape == "interval" else ~within
        near = np.minimum(abs(effects - dyadic.low), abs(effects - dyadic.high)) < 1e-3
        np.testing.assert_array_equal(inside[~near], expected[~near])
    named = [
        name for name, replaced in zip(("the reduced form", "the first stage"), bad, strict=True) if replaced
    ]
    said = [
        text
        for text in english(notes)
        if text.startswith("dyadic: instrument: the variance is not positive for")
    ]
    assert len(said) == bool(named)
    assert all(name in said[0] for name in named)


@pytest.mark.parametrize("seed", SEEDS)
def test_f_and_p_are_those_of_the_two_regressions_alone(seed: int) -> None:
    """Two numbers for one thing would be a fault: each variance is that of its own cell."""
    reduced, first, _, products, _ = world(seed)
    found, _ = found_of(seed)
    for fit, meat, shown in (
        (first, products[1], {kind: 9.0 / one.f for kind, one in found.items()}),
        (reduced, products[0], None),
    ):
        for covariance in covariances(
            dataclasses.replace(fit, pair_meat=meat[0], reciprocal_meat=meat[1]), KINDS
        ):
            if covariance.kind == "city" and covariance.matrix[0, 0] <= 0:
                continue  # a negative two-way variance is clipped to what its neighbours leave of it
            if shown is not None:
                assert shown[covariance.kind] == pytest.approx(covariance.matrix[0, 0], rel=1e-9)
                continue
            ratio = fit.values[0] / covariance.std_error[0]
            expected = 2 * student.sf(abs(ratio), covariance.dof)
            assert found[covariance.kind].ar_p == pytest.approx(expected, rel=1e-9)
