"""Expected value of dyadic CR2 over the true variance, without simulation."""

from __future__ import annotations

import expected_variance
import numpy as np
import pytest
import trial
import worlds
from expected_variance import dealt, of_city_shocks, of_pair_noise

ADOPTERS = (3, 4, 5, 6, 7)


def ratios(cities: int, rule: str) -> np.ndarray:
    """``[ADOPTERS, 3]`` under shocks of cities, pair noise, and both with equal parts of the true variance."""
    rows = []
    for adopters in ADOPTERS:
        classes = dealt(cities, adopters)
        parts = [np.divide(*of_part(classes, rule)) for of_part in (of_city_shocks, of_pair_noise)]
        rows.append([*parts, np.mean(parts)])
    return np.array(rows)


@pytest.mark.parametrize("cities", [20, pytest.param(30, marks=pytest.mark.slow)])
def test_where_pairs_of_two_adopters_are_out_it_is_the_truth_but_for_four_percent(cities: int) -> None:
    found = ratios(cities, "exactly_one")
    assert found.min() > 0.96
    assert found.max() < 1.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "least", "most"),
    [(expected_variance.RULES[1], 0.98, 1.11), ("either", 0.90, 1.00), ("both", 1.02, 1.40)],
)
def test_under_other_rules_it_is_as_the_documentation_says(rule: str, least: float, most: float) -> None:
    found = np.concatenate([ratios(cities, rule) for cities in (20, 30)])
    assert (round(found.min(), 2), round(found.max(), 2)) == (least, most)


def test_parts_make_the_variance_of_simulated_outcomes() -> None:
    """The sum over parts against the form of outcomes that are sums of them, by simulation of few cities."""
    classes, rng = dealt(8, 3), np.random.default_rng(1)
    first, second = worlds.pairs_of(8)
    series = expected_variance.innovations()
    squares = []
    for _ in range(400):
        shocks = rng.normal(size=(8, len(worlds.YEARS))) @ series
        estimate, _ = trial.estimated(worlds.Panel(classes, shocks[first] + shocks[second]))
        squares.append(float(estimate.values[0]) ** 2)
    true = of_city_shocks(classes, "exactly_one")[1]
    assert abs(np.mean(squares) / true - 1) < 4 * np.sqrt(2 / len(squares))
