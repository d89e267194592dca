"""Expected value of dyadic CR2 over the true variance, exactly: both are quadratic forms of the outcome.

An outcome of independent parts v_k of mean zero and variance one, y = sum_k v_k z_k, has E q(y) = sum_k q(v_k) for a
quadratic form q, and a coefficient b(y), linear, has the variance sum_k b(v_k)^2. Parts are the innovations of AR(.6)
shocks of each city, added over the cities of a pair, and each pair-year's noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import trial
import worlds

from engine.infer.errors import dyadic_cr2
from engine.pairs.treatment import policy_paths

Array = np.ndarray[Any, np.dtype[np.float64]]

_PERSISTENCE = 0.6


RULES = ("exactly_one", "exactly_one, pairs of two adopters kept", "either", "both")


@dataclass(frozen=True)
class KeptPanel(worlds.Panel):
    """A panel that keeps pairs of two adopters; where they count as treated, ``either``."""

    is_either: bool = False

    @property
    def treated(self) -> Array:
        rule: Literal["either", "exactly_one"] = "either" if self.is_either else "exactly_one"
        first, second = worlds.pairs_of(self.n_cities)
        return policy_paths(self.adoption, worlds.YEARS, rule)[self.classes[first], self.classes[second]]

    @property
    def eligible(self) -> Any:
        return np.ones(len(self.outcome), dtype=bool)


def _panel(classes: worlds.Integers, outcome: Array, rule: str) -> worlds.Panel:
    if rule in ("exactly_one", "both"):
        return worlds.Panel(classes, outcome, rule=rule)  # type: ignore[arg-type]
    return KeptPanel(classes, outcome, is_either=rule == "either")


def dealt(cities: int, adopters: int) -> worlds.Integers:
    """Classes of cities: adopters over the adoption years in turn, the others never."""
    never = len(worlds.COHORTS)
    classes = np.full(cities, never, dtype=np.int32)
    classes[:adopters] = np.arange(adopters) % never
    return classes


def innovations() -> Array:
    """``[T, T]`` series that each innovation of a stationary AR(.6) makes."""
    n_years = len(worlds.YEARS)
    lag = np.subtract.outer(np.arange(n_years), np.arange(n_years))
    series = np.where(lag >= 0, _PERSISTENCE ** np.maximum(lag, 0), 0.0)
    series[:, 0] /= np.sqrt(1 - _PERSISTENCE**2)
    return series.T


def of_city_shocks(classes: worlds.Integers, rule: str) -> tuple[float, float]:
    """Expected variance and true variance of the coefficient under shocks of cities of unit variance."""
    first, second = worlds.pairs_of(len(classes))
    forms = []
    for city in range(len(classes)):
        has_city = ((first == city) | (second == city)).astype(np.float64)
        forms += [_forms(classes, has_city[:, None] * series, rule) for series in innovations()]
    expected, true = np.sum(forms, axis=0)
    return float(expected), float(true)


def of_pair_noise(classes: worlds.Integers, rule: str) -> tuple[float, float]:
    """The same under noise of each pair and year; pairs of two classes are alike, and one stands for all."""
    first, second = worlds.pairs_of(len(classes))
    kinds = classes[first] * (len(worlds.ADOPTED)) + classes[second]
    expected, true = 0.0, 0.0
    for kind in np.unique(kinds):
        alike = np.flatnonzero(kinds == kind)
        for year in range(len(worlds.YEARS)):
            outcome = np.zeros((len(first), len(worlds.YEARS)))
            outcome[alike[0], year] = 1.0
            of_one = _forms(classes, outcome, rule)
            expected += len(alike) * of_one[0]
            true += len(alike) * of_one[1]
    return expected, true


def _forms(classes: worlds.Integers, outcome: Array, rule: str) -> tuple[float, float]:
    """The variance without its floor, and the squared coefficient, of one outcome."""
    estimate, _ = trial.estimated(_panel(classes, outcome, rule))
    products, _ = dyadic_cr2.forms(estimate)
    return float(products[0, 0]), float(estimate.values[0] ** 2)
