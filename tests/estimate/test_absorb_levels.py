"""Levels of fixed effects, regressors that they explain, input that is refused, and what is compiled."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from absorb_designs import (
    N_ROWS,
    N_YEARS,
    TOLERANCE,
    balanced,
    columns,
    distance,
    dummies,
    effects,
    thinned,
    units,
)
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from engine.errors import InputError
from engine.estimate.absorb import (
    Absorbed,
    Collinear,
    Effect,
    absorb,
    find_collinear,
    nested_in,
    prepare,
    refuse_collinear,
)

# -- levels ------------------------------------------------------------------------------------------------


def test_singletons_go_one_after_another() -> None:
    """The row of level 3 is alone; without it that of pair 2 is; without that, that of level 2."""
    pair = np.array([0, 0, 1, 1, 1, 2, 2], np.int32)
    level = np.array([0, 1, 0, 1, 2, 2, 3], np.int32)
    x = columns(14, 7)
    own = absorb(x, [Effect("pair", pair), Effect("level", level)])
    np.testing.assert_array_equal(own.kept, [True, True, True, True, False, False, False])
    assert (own.singletons, own.n_levels, own.degrees_of_freedom) == (3, (2, 2), 3)
    square = x[:4].reshape(2, 2, -1)
    expected = square - square.mean(0) - square.mean(1)[:, None] + square.mean((0, 1))
    np.testing.assert_allclose(own.residuals, expected.reshape(4, -1), atol=1e-15 * np.abs(x).max() * 10)


@pytest.mark.parametrize(
    ("names", "active"),
    [
        (("year", "pair", "group x year"), ("pair", "group x year")),
        (("year", "city x year"), ("city x year",)),
        (("pair", "pair"), ("pair",)),
        (("year", "pair", "city x year"), ("pair", "city x year")),
        (("group x year", "city x year"), ("group x year", "city x year")),
    ],
)
def test_effects_that_others_span_are_left_out(names: tuple[str, ...], active: tuple[str, ...]) -> None:
    codes = balanced()
    plan = prepare(effects(codes, names))
    assert tuple(plan.names) == active
    every, some = (np.hstack([dummies(codes[name]) for name in group]) for group in (names, active))
    assert np.linalg.matrix_rank(every) == np.linalg.matrix_rank(some)


@given(seeds, st.integers(1, 2), st.integers(1, 2))
def test_nested(seed: int, members: int, ways: int) -> None:
    rng = np.random.default_rng(seed)
    codes, clusters = rng.integers(0, 9, (12, members)), rng.integers(0, 2, (12, ways))
    expected = any(
        all(len(set(way[(codes == level).any(axis=1)])) < 2 for level in range(9)) for way in clusters.T
    )
    assert nested_in(codes, clusters) == expected
    assert nested_in(np.arange(12), clusters)


def test_codes_far_apart_are_numbered() -> None:
    codes = thinned(15)
    x = columns(15, N_ROWS)
    far = {name: values * 1_000_003 for name, values in codes.items() if name != "city x year"}
    one, other = (
        absorb(x, prepare(effects(which, ("pair", "seven")), singletons="keep")) for which in (codes, far)
    )
    assert one.n_levels == other.n_levels
    assert distance(one.residuals, other.residuals, x) < 2 * TOLERANCE


# -- collinear regressors ----------------------------------------------------------------------------------


def policy_and_sample() -> tuple[np.ndarray, np.ndarray]:
    """Treatment of either member on the grid, and the rows whose members are not both treated."""
    i, j = units()
    adopts = np.array([2, 3, 3, 9, 9, 9, 9, 9])
    year = np.arange(N_YEARS)
    on = (year >= adopts[:, None]).astype(float)
    policy = on[i] + on[j] - 2 * on[i] * on[j]
    alone = np.repeat((adopts[i] == 9) | (adopts[j] == 9), N_YEARS)
    return policy.ravel(), alone


def collinear(own: Absorbed, x: np.ndarray, names: str) -> tuple[Collinear, ...]:
    return find_collinear(own.residuals, x[own.kept], names.split())


def test_city_year_effects_absorb_the_policy_unless_both_treated_pairs_are_kept() -> None:
    policy, alone = policy_and_sample()
    found = effects(balanced(), ("pair", "city x year"))
    x = np.column_stack([columns(16, len(policy), 1), policy])
    assert collinear(absorb(x, found), x, "edu policy") == ()
    part = [Effect(effect.name, effect.codes[alone]) for effect in found]
    dropped = collinear(absorb(x[alone], part), x[alone], "edu policy")
    assert dropped == (Collinear("policy", ()),)
    with pytest.raises(InputError, match="'policy' has no variation left") as caught:
        refuse_collinear(dropped, part, both_treated_kept=False)
    assert "without pairs of two treated units" in str(caught.value)
    assert "keep those pairs, or leave out city x year" in str(caught.value)


def test_collinear_regressors_are_named() -> None:
    codes = balanced()
    found = effects(codes, ("pair", "year"))
    a, b = columns(17, len(codes["pair"]), 2).T
    x = np.column_stack(
        [a, codes["pair"] * 1e4, b, 2 * a + codes["year"], np.full(len(a), 3.0), 1e-6 * b + a]
    )
    own = collinear(absorb(x, found), x, "a gap b twice flat mix")
    expected = (Collinear("gap", ()), Collinear("twice", ("a",)), Collinear("flat", ()))
    # mix keeps a share of 1e-12 of its own: below the tolerance.
    assert own == (*expected, Collinear("mix", ("a",)))
    with pytest.raises(InputError, match="'twice' is collinear with a once pair, year are removed"):
        refuse_collinear(own[1:], found, both_treated_kept=True)
    refuse_collinear((), found, both_treated_kept=True)


# -- input and compilation ---------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("design", [balanced, lambda: thinned(18)])
def test_missing_values_are_refused(value: float, design) -> None:  # type: ignore[no-untyped-def]
    found = effects(design(), ("pair", "year"))
    x = columns(18, len(found[0].codes))
    x[5, 2] = value
    with pytest.raises(InputError, match="column 2 has missing or infinite"):
        absorb(x, prepare(found, singletons="keep"))


def test_wrong_input_is_refused() -> None:
    codes = balanced()
    pair = effects(codes, ("pair",))
    x = columns(19, len(codes["pair"]))
    with pytest.raises(InputError, match="weights must be positive"):
        absorb(x, pair, weights=np.zeros(len(x)))
    with pytest.raises(InputError, match="no row is left: each is alone in a level of row"):
        absorb(x, [Effect("row", np.arange(len(x), dtype=np.int32))])
    with pytest.raises(InputError, match="the same level of 'self' twice"):
        absorb(x, [Effect("self", np.stack([codes["year"]] * 2, axis=1))])
    with pytest.raises(ValueError, match="integer codes from 0 of 'pair', got float64"):
        absorb(x, [Effect("pair", codes["pair"].astype(float))])
    with pytest.raises(ValueError, match="expected 140 codes of 'year', got 139"):
        absorb(x, [*pair, Effect("year", codes["year"][1:])])
    with pytest.raises(ValueError, match=r"expected columns \[140, at least 1\], got \(139, 3\)"):
        absorb(x[1:], pair)
    with pytest.raises(ValueError, match="expected weights in the plan"):
        absorb(x, prepare(pair), weights=np.ones(len(x)))
    with pytest.raises(ValueError, match="at least one effect"):
        absorb(x, [])


def test_float64_whatever_the_global_setting() -> None:
    assert not jax.config.jax_enable_x64
    own = absorb(columns(25, N_ROWS), prepare(effects(thinned(25), ("pair", "seven")), singletons="keep"))
    assert own.residuals.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        own.residuals[0, 0] = 1.0
