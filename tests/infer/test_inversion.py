"""The set of effects that a permutation test does not reject, against its p-value at effect after effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.infer.inversion import N_INVERSION, confidence_set

Arrays = np.ndarray[Any, np.dtype[np.float64]]


def error_at(sums: Arrays, effect: float) -> float:
    """Of the outcome less the effect of the treatment, from city and pair sums."""
    city, pair = (yy - 2 * effect * yd + effect**2 * dd for yy, yd, dd in (sums[:3], sums[3:]))
    return float(np.sqrt(city - pair if city - pair > 1e-12 * city else city))


def p_value(
    estimate: float,
    error: float,
    draws: Arrays,
    inversion: Arrays,
    effect: float,
    observed: Arrays | None = None,
) -> float:
    """Draw by draw, each with a variance of its own at the effect, as the sample has where it is given."""
    extreme, known = 0, 0
    of_sample = abs((estimate - effect) / (error if observed is None else error_at(observed, effect)))
    for b, (slope, *sums) in zip(draws, inversion, strict=True):
        if not (np.isfinite(b) and np.isfinite(slope)):
            continue
        known += 1
        of_draw = abs(b - effect * slope) / error_at(np.array(sums), effect)
        extreme += of_draw >= of_sample * (1 - 1e-10)
    return (1 + extreme) / (1 + known)


def world(seed: int, *, n_draws: int = 59, few: bool = False) -> tuple[float, float, Arrays, Arrays]:
    """Estimate, error, draws and their sums: as of cities' and pairs' influences on outcome and treatment."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-3, 3)
    slope = rng.uniform(-0.2, 0.9 if few else 0.5, n_draws)
    draws = scale * rng.normal(0, 1, n_draws)
    inversion = np.full((n_draws, N_INVERSION), np.nan)
    for number in range(n_draws):
        cities = rng.normal(size=(3 if few else 12, 2)) @ np.diag([scale, 0.5])
        pairs = rng.normal(size=(3 if few else 12, 2)) @ np.diag([scale, 0.5]) * (0.9 if few else 0.6)
        city, pair = cities.T @ cities / len(cities), pairs.T @ pairs / len(pairs)
        inversion[number] = [
            slope[number], *(part[a, b] for part in (city, pair) for a, b in ((0, 0), (0, 1), (1, 1)))
        ]  # fmt: skip
    draws[1], inversion[2] = np.nan, np.nan
    return scale * rng.normal(), scale * rng.uniform(0.3, 1.2), draws, inversion


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("varies", [False, True], ids=["one error", "an error for each effect"])
def test_it_holds_what_is_not_rejected_and_nothing_else(seed: int, few: bool, varies: bool) -> None:
    estimate, error, draws, inversion = world(seed, few=few)
    observed = inversion[0, 1:] / 9 if varies else None
    if observed is not None:
        error = error_at(observed, estimate)
    accepted = confidence_set(estimate, error, draws, inversion, confidence=0.9, observed=observed)
    ends = np.array(accepted.pieces)
    assert (np.diff(ends.ravel()) > 0).all()
    assert any(low <= estimate <= high for low, high in accepted.pieces)
    near = [end + side * 1e-6 * error for end in ends.ravel() if np.isfinite(end) for side in (-1, 1)]
    wide = estimate + error * np.sinh(np.linspace(-12, 12, 240))
    for effect in (*near, *wide):
        inside = any(low < effect < high for low, high in accepted.pieces)
        assert inside == (p_value(estimate, error, draws, inversion, effect, observed) > 0.1), effect


def test_a_sample_whose_variance_falls_back_for_some_effects() -> None:
    """Its own guard has ends too: between them, city sums stand in."""
    estimate, _, draws, inversion = world(1, few=True)
    scale = float(np.nanstd(draws))
    observed = np.array([2.0, 0.1, 1.0, 1.0, -1.5, 1.0]) * np.array([scale**2, scale, 1.0] * 2)
    guarded = [
        error_at(observed, effect) ** 2 == observed[:3] @ [1, -2 * effect, effect**2]
        for effect in estimate + scale * np.linspace(-5, 5, 101)
    ]
    assert 0 < sum(guarded) < 101
    error = error_at(observed, estimate)
    accepted = confidence_set(estimate, error, draws, inversion, confidence=0.9, observed=observed)
    for effect in estimate + scale * np.sinh(np.linspace(-6, 6, 400)):
        inside = any(low < effect < high for low, high in accepted.pieces)
        assert inside == (p_value(estimate, error, draws, inversion, effect, observed) > 0.1), effect


def test_there_are_sets_in_pieces() -> None:
    sets = [confidence_set(*world(seed, few=True), confidence=0.9) for seed in range(40)]
    assert any(len(found.pieces) > 1 for found in sets)


def test_of_all_assignments_p_is_the_share() -> None:
    """Nineteen assignments, one of which is what happened: p is never below 1/19."""
    estimate, error, draws, inversion = world(3, n_draws=19)
    draws[:3], inversion[:3] = world(4, n_draws=19)[2][3:6], world(4, n_draws=19)[3][3:6]
    draws[0], inversion[0] = estimate, [1.0, error**2, 0.0, 0.0, 0.0, 0.0, 0.0]
    found = confidence_set(estimate, error, draws, inversion, confidence=0.95, exact=True)
    assert (found.low, found.high) == (-np.inf, np.inf)
    found = confidence_set(estimate, error, draws, inversion, confidence=0.94, exact=True)
    assert np.isfinite([found.low, found.high]).all()


@pytest.mark.parametrize("unknown", ["draws", "error"])
def test_without_draws_or_an_error_there_is_none(unknown: str) -> None:
    estimate, error, draws, inversion = world(5)
    if unknown == "draws":
        draws = np.full_like(draws, np.nan)
    found = confidence_set(
        estimate, error if unknown == "draws" else np.nan, draws, inversion, confidence=0.9
    )
    assert np.isnan([found.low, found.high]).all()
