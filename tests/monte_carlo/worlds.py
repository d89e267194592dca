"""Simulated panels of 50 cities and ten years in which the truth is known: no effect, or one that was added.

    V1  rho' of independent city series, AR(.6) around a trend: the kernel alone makes pairs dependent
    V2  y_ijt = f_it + f_jt + e_ijt with AR(.6) city shocks f and pair noise e
    V3  y_ijt = e_ijt: no two pairs are dependent
    V4  as V1, but the shocks of pilot cities are three times as large: no effect, yet cities are not alike. The
        mean coefficient is then not quite zero (-0.004, a fiftieth of its standard deviation; 30,000 panels)

Eleven cities adopt, 1, 2, 4 and 4 of them in 2015, 2016, 2018 and 2019 (the paper's 1, 12, 22 and 20 of 254, scaled),
and which ones is dealt at random. Every eligible pair is in the sample: pairs of two adopters are not, and there is
no gravity screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import jax
import numpy as np

from engine.pairs.centre import standardise
from engine.pairs.outcomes.synchronization import synchronization
from engine.pairs.treatment import NEVER, Adoption, allowed_classes, policy_paths

Array = np.ndarray[Any, np.dtype[np.float64]]
Integers = np.ndarray[Any, np.dtype[np.int32]]

DESIGNS = {
    "V1": "ρ′ of independent city series",
    "V2": "additive city shocks and pair noise",
    "V3": "independent pair noise",
    "V4": "V1, pilots three times as volatile",
}
N_CITIES = 50
YEARS = np.arange(2010, 2020)
COHORTS = {2015.0: 1, 2016.0: 2, 2018.0: 4, 2019.0: 4}
EFFECT = 0.07


@lru_cache
def pairs_of(n_cities: int) -> tuple[Integers, Integers]:
    """Every pair of some cities."""
    first, second = (side.astype(np.int32) for side in np.triu_indices(n_cities, 1))
    return first, second


FIRST, SECOND = pairs_of(N_CITIES)

ADOPTED = np.array([*COHORTS, NEVER])
_DEALT = np.repeat(
    np.arange(len(ADOPTED), dtype=np.int32), [*COHORTS.values(), N_CITIES - sum(COHORTS.values())]
)
_PERSISTENCE, _SHOCK, _LOUDER = 0.6, 0.5, 3.0


@dataclass(frozen=True)
class Panel:
    """One simulated panel.

    Attributes
    ----------
    classes : int32 ``[n_cities]``
        Position of each city's adoption year in `ADOPTED`.
    outcome : float64 ``[n_pairs, n_years]``
        Of every pair, in the sample or not.
    is_strong : bool ``[n_pairs]`` or None
        Pairs that a screen keeps; None without one.
    rule : str
        Which pairs are treated.
    """

    classes: Integers
    outcome: Array
    is_strong: Any = None
    rule: Literal["exactly_one", "both"] = "exactly_one"

    @property
    def n_cities(self) -> int:
        return len(self.classes)

    @property
    def adoption(self) -> Adoption:
        return Adoption(ADOPTED, self.classes)

    @property
    def treated(self) -> Array:
        """``[n_pairs, n_years]`` 1 where exactly one city has adopted, or both have."""
        first, second = pairs_of(self.n_cities)
        return policy_paths(self.adoption, YEARS, self.rule)[self.classes[first], self.classes[second]]

    @property
    def eligible(self) -> Any:
        """``[n_pairs]`` all but those that the screen leaves out and, unless they are treated, of two adopters."""
        first, second = pairs_of(self.n_cities)
        exclude = "none" if self.rule == "both" else "both_treated"
        allowed = allowed_classes(self.adoption, exclude)[self.classes[first], self.classes[second]]
        return allowed if self.is_strong is None else allowed & self.is_strong


def panel(design: str, number: int, *, effect: float = 0.0) -> Panel:
    """A panel of a design; a function of its number alone. ``effect`` is added to every treated pair-year."""
    rng = np.random.default_rng([list(DESIGNS).index(design), number])
    classes = rng.permutation(_DEALT)
    shape = (len(FIRST), len(YEARS))
    if design == "V3":
        outcome = rng.normal(size=shape)
    elif design == "V2":
        shock = autoregressive(rng)
        outcome = shock[FIRST] + shock[SECOND] + rng.normal(size=shape)
    else:
        outcome = synchronized(city_series(rng, louder=(ADOPTED[classes] < NEVER) & (design == "V4")))
    return Panel(classes, outcome + effect * Panel(classes, outcome).treated)


def city_series(rng: np.random.Generator, *, louder: Any) -> Array:
    """A trend of one a year and AR(.6) around it, three times as far in ``louder`` cities; ``[n_cities, n_years]``."""
    return YEARS - YEARS[0] + np.where(louder, _LOUDER, 1.0)[:, None] * autoregressive(rng)


def synchronized(series: Array) -> Array:
    """rho' ``[n_pairs, n_years]`` of city series ``[n_cities, n_years]``."""
    z = standardise(series, np.ones(len(YEARS), dtype=bool))
    with jax.enable_x64(True):
        rho = synchronization(z[FIRST], z[SECOND], float(len(YEARS)), look_ahead=True, clip=0.0)
    return np.asarray(rho)


def autoregressive(rng: np.random.Generator) -> Array:
    """Stationary AR(.6) ``[n_cities, n_years]``, its innovations of standard deviation 0.5."""
    shocks = _SHOCK * rng.normal(size=(N_CITIES, len(YEARS)))
    shocks[:, 0] /= np.sqrt(1 - _PERSISTENCE**2)
    for year in range(1, len(YEARS)):
        shocks[:, year] += _PERSISTENCE * shocks[:, year - 1]
    return shocks
