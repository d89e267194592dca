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


def first_stage(seed: int) -> float:
    """Weak in the first worlds, strong in the others."""
    return 3.0 if seed < 30 else 30.0


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
    estimate = np.array([1.0, first_stage(seed), 1.0 + first_stage(seed)])
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


def variances(seed: int, effects: np.ndarray) -> np.ndarray:
    """Dyadic variances of the reduced form of y - b D by literal loops, guarded at each effect b."""
    fit, *_, psi = world(seed)
    city = np.zeros((6, len(effects)))
    moved = psi[:, [0]] - psi[:, [1]] * effects
    for (i, j), of_pair in zip(PAIRS, moved, strict=True):
        city[i] += of_pair
        city[j] += of_pair
    node, pair = (city**2).sum(axis=0), (moved**2).sum(axis=0)
    guarded = np.where(node - pair <= 1e-12 * node, node, node - pair)
    return guarded * 6 / 5 * (fit.n_obs - 1) / (fit.n_obs - fit.n_parameters_city)


def replaced(seed: int) -> tuple[bool, bool]:
    """Whether city sums stand in for the reduced form, and for the first stage."""
    *_, psi = world(seed)
    city = np.zeros((6, 2))
    for (i, j), own in zip(PAIRS, psi, strict=True):
        city[i] += own
        city[j] += own
    bad = (city**2).sum(axis=0) - (psi**2).sum(axis=0) <= 1e-12 * (city**2).sum(axis=0)
    return bool(bad[0]), bool(bad[1])


SEEDS = range(12)


def test_worlds_of_every_kind_occur() -> None:
    assert {replaced(seed) for seed in SEEDS} >= {(False, False), (True, False), (False, True)}
    shapes = {found_of(seed)[0]["dyadic"].shape for seed in range(60)}
    assert shapes >= {"interval", "outside", "line", "pieces"}


@pytest.mark.parametrize("seed", range(60))
def test_the_set_of_effects_that_are_not_rejected(seed: int) -> None:
    found, notes = found_of(seed)
    dyadic = found["dyadic"]
    critical = student.ppf(0.975, 5) ** 2
    effects = np.tan(np.linspace(-1.5705, 1.5705, 200_001))
    inside = (1.0 - first_stage(seed) * effects) ** 2 <= critical * variances(seed, effects)
    pieces = dyadic.effects.pieces if dyadic.effects is not None else ()
    expected = np.zeros_like(inside)
    near = np.zeros_like(inside)
    for low, high in pieces:
        expected |= (effects >= low) & (effects <= high)
        near |= np.minimum(abs(effects - low), abs(effects - high)) < 1e-9 * (1 + abs(effects))
    np.testing.assert_array_equal(inside[~near], expected[~near])
    assert (dyadic.shape == "pieces") == any(
        "Anderson-Rubin" in text for text in english(notes) if "dyadic" in text
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_terms_whose_variance_is_replaced_are_named(seed: int) -> None:
    found, notes = found_of(seed)
    variance_d = float(covariances_of_first(seed)[0, 0])
    assert found["dyadic"].f == pytest.approx(9.0 / variance_d, rel=1e-9)
    named = [
        name
        for name, is_replaced in zip(("the reduced form", "the first stage"), replaced(seed), strict=True)
        if is_replaced
    ]
    said = [
        text
        for text in english(notes)
        if text.startswith("dyadic: instrument: the variance is not positive for")
    ]
    assert len(said) == bool(named)
    assert all(name in said[0] for name in named)


def covariances_of_first(seed: int) -> np.ndarray:
    _, first, _, products, _ = world(seed)
    fit = dataclasses.replace(first, pair_meat=products[1][0], reciprocal_meat=products[1][1])
    return covariances(fit, ["dyadic"])[0].matrix


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("kind", ["pair", "city", "jackknife"])
def test_other_types_by_search(kind: str, seed: int) -> None:
    """One form is the variance at every effect; where a two-way one is not positive there is no test."""
    reduced, first, both, products, _ = world(seed)
    forms = []
    for fit, (meat, _) in zip((reduced, first, both), products, strict=True):
        n, k = fit.n_obs, fit.n_parameters
        if kind == "pair":
            (form,) = (covariances(dataclasses.replace(fit, pair_meat=meat), ["pair"])[0].matrix,)
        elif kind == "jackknife":
            (form,) = (covariances(fit, ["jackknife"])[0].matrix,)
        else:
            clusters, k = min(fit.n_first, fit.n_second), fit.n_parameters_city
            sums = fit.city_first.T @ fit.city_first + fit.city_second.T @ fit.city_second - meat
            form = sums * clusters / (clusters - 1) * (n - 1) / (n - k)
        forms.append(float(form[0, 0]))
    yy, dd, total = forms
    effects = np.tan(np.linspace(-1.5705, 1.5705, 20_001))
    variance = yy - effects * (total - yy - dd) + effects**2 * dd
    found = found_of(seed)[0][kind]
    dof = covariances(dataclasses.replace(reduced, pair_meat=products[0][0]), [kind])[0].smallest_dof
    critical = student.ppf(0.975, dof) ** 2
    inside = ((1.0 - first_stage(seed) * effects) ** 2 <= critical * variance) | (variance <= 0)
    expected = np.zeros_like(inside)
    near = np.zeros_like(inside)
    for low, high in found.effects.pieces if found.effects is not None else ():
        expected |= (effects >= low) & (effects <= high)
        near |= np.minimum(abs(effects - low), abs(effects - high)) < 1e-8 * (1 + abs(effects))
    np.testing.assert_array_equal(inside[~near], expected[~near])


def test_two_way_variances_below_zero_occur() -> None:
    shapes = [found_of(seed)[0]["city"] for seed in range(20)]
    assert any(np.isnan(strength.ar_p) for strength in shapes)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("kind", KINDS)
def test_p_and_set_agree_on_no_effect(kind: str, seed: int) -> None:
    found = found_of(seed)[0][kind]
    pieces = found.effects.pieces if found.effects is not None else ()
    assert any(low <= 0 <= high for low, high in pieces) == (np.isnan(found.ar_p) or found.ar_p > 0.05)


def test_one_first_city_has_no_two_way_set() -> None:
    """A star: one cluster of first cities."""
    pairs = [(0, k) for k in range(1, 6)]
    psi = np.random.default_rng(0).normal(size=(len(pairs), 2))
    fits = [
        dataclasses.replace(
            fit_of(pairs, values[:, None], values=np.array([1.0]), terms=(Term("instrument"),)),
            pair_meat=np.array([[values @ values]]),
            reciprocal_meat=np.zeros((1, 1)),
        )
        for values in (psi[:, 1], psi[:, 0], psi.sum(axis=1))
    ]
    cell: Any = SimpleNamespace(job=SimpleNamespace(model=SimpleNamespace(errors=["city"], confidence=0.95)))
    found, _ = strengths(cell, Instrumented(*fits))
    assert found["city"].shape == "unknown"
    assert np.isnan([found["city"].f, found["city"].ar_p, *found["city"].ends]).all()


@pytest.mark.parametrize("effect", [0.7, 1 / 3, 2.0])
def test_an_effect_that_explains_everything_is_in_the_set(effect: float) -> None:
    """y is the effect times D, and the first stage is noisy."""
    rng = np.random.default_rng(3)
    psi, steps = rng.normal(size=len(PAIRS)), rng.normal(size=6)
    fits = []
    for share in (1.0, effect, 1.0 + effect):
        of_share = psi[:, None] * share
        fit = fit_of(
            PAIRS,
            of_share,
            values=np.array([3.0 * share]),
            without_city=steps[:, None] * share,
            terms=(Term("instrument"),),
        )
        meat, reciprocal = sums(PAIRS, of_share)
        fits.append(dataclasses.replace(fit, pair_meat=meat, reciprocal_meat=reciprocal))
    cell: Any = SimpleNamespace(job=SimpleNamespace(model=SimpleNamespace(errors=KINDS, confidence=0.95)))
    found, _ = strengths(cell, Instrumented(*fits))
    for kind in ("pair", "dyadic"):
        effects = found[kind].effects
        assert effects is not None
        assert any(low - 1e-12 <= effect <= high + 1e-12 for low, high in effects.pieces)


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
