"""Designs of the table of truth: what makes pairs dependent, how many cities, how many of them adopt; no effect.

Ten years; the adopting cities are dealt at random over the adoption years 2015, 2016, 2018 and 2019, pairs of two
adopters leave, unless they are those that are treated, and a screen, where there is one, keeps the pairs above the
median of a force.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from worlds import YEARS, Array, Integers, Panel, pairs_of

Random = np.random.Generator

CITIES = (20, 30, 50, 120, 254)
ADOPTERS: dict[str, dict[int, tuple[int, ...]]] = {
    "usual": {20: (1, 1, 1, 1), 30: (1, 1, 2, 3), 50: (1, 2, 4, 4), 120: (1, 6, 10, 9), 254: (1, 12, 21, 21)},
    "few": {20: (0, 1, 1, 1), 30: (0, 1, 1, 1), 50: (0, 1, 1, 1), 120: (0, 1, 2, 1), 254: (0, 1, 2, 2)},
}
"""Cities that adopt in each of the adoption years, by the number of all."""

_T = len(YEARS)


@dataclass(frozen=True)
class Design:
    """What makes the outcome.

    Attributes
    ----------
    text : str
    outcome : callable
        Of a random generator and ``[n]`` whether a city ever adopts; float64 ``[n_pairs, T]``.
    has_screen : bool
    """

    text: str
    outcome: Callable[[Random, Any], Array]
    has_screen: bool = False


def panel(
    name: str, cities: int, adopters: str, number: int, rule: Literal["exactly_one", "both"] = "exactly_one"
) -> Panel:
    """A panel of a design; a function of its names and number alone."""
    rng = np.random.default_rng([list(DESIGNS).index(name), cities, list(ADOPTERS).index(adopters), number])
    counts = ADOPTERS[adopters][cities]
    dealt = np.repeat(np.arange(5, dtype=np.int32), [*counts, cities - sum(counts)])
    classes: Integers = rng.permutation(dealt)
    design = DESIGNS[name]
    outcome = design.outcome(rng, classes < len(counts))
    if not design.has_screen:
        return Panel(classes, outcome, rule=rule)
    first, second = pairs_of(cities)
    mass = 1.2 * rng.normal(size=cities)
    force = mass[first] + mass[second] + 0.5 * rng.normal(size=len(first))
    middle = np.median(force[Panel(classes, outcome, rule=rule).eligible])
    return Panel(classes, outcome, force > middle, rule)


def _shocks(rng: Random, cities: int, persistence: float) -> Array:
    """Stationary series of innovations of variance one ``[cities, T]``."""
    series = rng.normal(size=(cities, _T))
    series[:, 0] /= np.sqrt(1 - persistence**2)
    for year in range(1, _T):
        series[:, year] += persistence * series[:, year - 1]
    return series


def _noise(rng: Random, adopts: Any) -> Array:
    return rng.normal(size=(len(pairs_of(len(adopts))[0]), _T))


def _synchronization(rng: Random, adopts: Any, louder: float = 1.0) -> Array:
    """rho' of trends of one a year with series around them; those of adopters are ``louder`` times as far."""
    scale = np.where(adopts, louder, 1.0)[:, None]
    series = np.arange(_T) + 0.5 * scale * _shocks(rng, len(adopts), 0.6)
    z = (series - series.mean(axis=1, keepdims=True)) / series.std(axis=1, keepdims=True)
    first, second = pairs_of(len(adopts))
    half = (z[first] - z[second]) ** 2 / 2
    return np.asarray((np.log1p((1 - half) / (2 * _T - 3)) - np.log(half)) / 2)


def _shared(scale: Callable[[Random, Any], Any], persistence: float = 0.6) -> Callable[[Random, Any], Array]:
    """Shocks of both cities added, and pair noise."""

    def outcome(rng: Random, adopts: Any) -> Array:
        first, second = pairs_of(len(adopts))
        sizes = np.broadcast_to(np.asarray(scale(rng, adopts), dtype=np.float64), (len(adopts),))
        shocks = sizes[:, None] * _shocks(rng, len(adopts), persistence)
        return shocks[first] + shocks[second] + _noise(rng, adopts)

    return outcome


def _product(rng: Random, adopts: Any) -> Array:
    first, second = pairs_of(len(adopts))
    series = _shocks(rng, len(adopts), 0.3)
    return series[first] * series[second]


def _one_louder(rng: Random, adopts: Any) -> Any:
    return np.where(np.arange(len(adopts)) == rng.integers(len(adopts)), 5.0, 0.5)


_ADDITIVE = _shared(lambda rng, adopts: 0.5)
DESIGNS: dict[str, Design] = {
    "V1": Design("ρ′ of independent city series", _synchronization),
    "V2": Design("city shocks, AR(.6), and pair noise", _ADDITIVE),
    "V3": Design("independent pair noise", _noise),
    "V4": Design(
        "V1, adopters three times as volatile", lambda rng, adopts: _synchronization(rng, adopts, 3.0)
    ),
    "V4b": Design(
        "V2, adopters three times as volatile", _shared(lambda rng, adopts: np.where(adopts, 1.5, 0.5))
    ),
    "V4c": Design(
        "V2, cities that never adopt three times as volatile",
        _shared(lambda rng, adopts: np.where(adopts, 0.5, 1.5)),
    ),
    "V6a": Design("V2, one city ten times as volatile", _shared(_one_louder)),
    "V6c": Design(
        "V2, lognormal volatilities",
        _shared(lambda rng, adopts: 0.5 * np.exp(0.8 * rng.normal(size=len(adopts)))),
    ),
    "V7": Design("city shocks AR(.9) and pair noise", _shared(lambda rng, adopts: 0.3, 0.9)),
    "V8": Design(
        "city shocks so small that they nearly vanish",
        _shared(lambda rng, adopts: 0.6 / np.sqrt(len(adopts))),
    ),
    "V9": Design("products of city series: no additive part", _product),
    "V1 star": Design("V1, the pairs of hubs kept", _synchronization, has_screen=True),
    "V2 star": Design("V2, the pairs of hubs kept", _ADDITIVE, has_screen=True),
}
