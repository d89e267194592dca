"""p-values and intervals of draws, by hand and against numpy; enumeration against itertools."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations
from math import comb, factorial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.infer.summary import (
    all_assignments,
    bootstrap_interval,
    max_statistic_p,
    n_assignments,
    permutation_p,
)

NAN = np.nan


# -- p-values ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("observed", "draws", "exact", "value", "counted"),
    [
        (2.0, [1.0, -3.0, 0.5, 2.5], False, 3 / 5, 4),
        (-2.0, [1.0, -3.0, 0.5, 2.5], False, 3 / 5, 4),  # two-sided
        (2.0, [2.0, -2.0, 0.0], False, 3 / 4, 3),  # ties count
        (2.0, [2.0 - 4e-16, 1.0], False, 2 / 3, 2),  # and so does a tie that rounding pulled apart
        (2.0, [1.999, 1.0], False, 1 / 3, 2),
        (9.0, [0.1] * 99, False, 1 / 100, 99),  # never zero
        (2.0, [3.0, NAN, 1.0, NAN], False, 2 / 3, 2),  # draws that identify nothing are no draws
        (2.0, [2.0, 1.0, 0.0, -1.0], True, 1 / 4, 4),  # all assignments: the share itself
        (2.0, [NAN, NAN], False, NAN, 0),
        (NAN, [1.0, 2.0], False, NAN, 2),
    ],
)
def test_p_values_by_hand(
    observed: float, draws: list[float], exact: bool, value: float, counted: int
) -> None:
    found = permutation_p(observed, np.array(draws), exact=exact)
    np.testing.assert_allclose(found.value, value, rtol=1e-15)
    assert found.draws == counted
    expected = NAN if np.isnan(value) else 0.0 if exact else np.sqrt(value * (1 - value) / (1 + counted))
    np.testing.assert_allclose(found.error, expected, rtol=1e-14)


def test_the_joint_p_value_takes_the_largest_of_each_draw() -> None:
    draws = np.array([[0.1, -3.1], [3.0, 0.0], [1.0, 1.0], [NAN, 9.0]])
    found = max_statistic_p(np.array([-3.0, 2.0]), draws)
    assert (found.value, found.draws) == (3 / 4, 3)
    assert max_statistic_p(np.array([-3.0, 2.0]), draws[:3], exact=True).value == 2 / 3
    single = draws[:3, :1]
    assert max_statistic_p(np.array([2.0]), single) == permutation_p(2.0, single[:, 0])


def test_under_the_null_p_values_are_valid_at_every_level() -> None:
    """Of exchangeable numbers each is as likely the observed one: #{p <= a} is at most a share a of them."""
    values = np.random.default_rng(0).normal(size=40)
    p = np.array([permutation_p(values[k], np.delete(values, k)).value for k in range(40)])
    np.testing.assert_allclose(np.sort(p), np.arange(1, 41) / 40, rtol=1e-14)


# -- intervals ---------------------------------------------------------------------------------------------

DRAWN = np.array([NAN, *np.random.default_rng(1).normal(1, 2, 198), NAN])
RATIOS = np.random.default_rng(2).standard_t(5, 200)


@pytest.mark.parametrize("confidence", ["0.9", "0.95", "0.99"])
def test_intervals_are_order_statistics(confidence: str) -> None:
    """The smallest value below which the share of draws reaches the level, of the draws that are known."""
    alpha = 1 - Fraction(confidence)  # whole numbers: a level such as 5 of 200 is met by the fifth exactly

    def quantile(values: np.ndarray, level: Fraction) -> float:
        ordered = sorted(values[np.isfinite(values)])
        return next(v for n, v in enumerate(ordered, start=1) if Fraction(n, len(ordered)) >= level)

    low, high = quantile(DRAWN, alpha / 2), quantile(DRAWN, 1 - alpha / 2)
    t_low, t_high = quantile(RATIOS, alpha / 2), quantile(RATIOS, 1 - alpha / 2)
    expected = {
        "percentile": (low, high),
        "basic": (2 * 0.7 - high, 2 * 0.7 - low),
        "percentile_t": (0.7 - t_high * 0.3, 0.7 - t_low * 0.3),
    }
    for kind, interval in expected.items():
        found = bootstrap_interval(0.7, 0.3, DRAWN, RATIOS, kind=kind, confidence=float(confidence))
        np.testing.assert_array_equal(found, interval)
    known = DRAWN[np.isfinite(DRAWN)]
    numpys = np.quantile(known, [float(alpha / 2), float(1 - alpha / 2)], method="inverted_cdf")
    np.testing.assert_array_equal([low, high], numpys)


def test_intervals_without_draws_are_missing() -> None:
    nothing = np.full(5, NAN)
    for kind in ("percentile", "basic", "percentile_t"):
        found = bootstrap_interval(0.7, 0.3, nothing, nothing, kind=kind, confidence=0.95)
        np.testing.assert_array_equal(found, (NAN, NAN))


# -- enumeration -------------------------------------------------------------------------------------------

labels = st.lists(st.integers(0, 3), min_size=1, max_size=7)


@given(labels, st.integers(0, 2**32 - 1), st.booleans())
def test_enumeration_against_itertools(classes: list[int], seed: int, stratified: bool) -> None:
    dealt = np.array(classes, dtype=np.int32)
    strata = np.random.default_rng(seed).integers(0, 3, len(classes)).astype(np.int32)
    kept = strata if stratified else np.zeros(len(classes), dtype=np.int32)
    expected = {
        order
        for order in permutations(classes)
        if all(sorted(np.array(order)[kept == s]) == sorted(dealt[kept == s]) for s in np.unique(kept))
    }
    found = all_assignments(dealt, strata if stratified else None)
    assert len(found) == len(expected) == n_assignments(dealt, strata if stratified else None)
    assert {tuple(row) for row in found.tolist()} == expected
    assert found.dtype == np.int32


def test_counts_are_multinomial_coefficients() -> None:
    paper = np.repeat([0, 1, 2, 3, 4], [1, 12, 21, 21, 199]).astype(np.int32)
    expected = factorial(254) // (factorial(12) * factorial(21) ** 2 * factorial(199))
    assert n_assignments(paper, None) == expected
    strata = (np.arange(254) % 2).astype(np.int32)
    ways = 1
    for s in (0, 1):
        left = int((strata == s).sum())
        for count in np.unique(paper[strata == s], return_counts=True)[1]:
            ways *= comb(left, int(count))
            left -= int(count)
    assert n_assignments(paper, strata) == ways
