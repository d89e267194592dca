"""Instrumental variables with one instrument: its strength, and intervals that do not depend on it.

With pi_D and pi_y the instrument's coefficients in first stage and reduced form, and Omega their joint
covariance under one kind of dependence:

    F          (pi_D / se)^2, the Kleibergen-Paap rk Wald statistic of one instrument
    AR(b)      (pi_y - b pi_D)^2 / (Omega_yy - 2 b Omega_yD + b^2 Omega_DD)

The Anderson-Rubin interval {b: AR(b) <= c^2} has the solutions of a quadratic as its ends: it is an interval,
what lies outside of one, the whole line, or, where no effect fits, empty. Sources: Anderson and Rubin (1949),
Kleibergen and Paap (2006).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate, Interaction
from engine.estimate.fit import Stage, fit
from engine.estimate.terms import Regression, Term, column_terms

Shape = Literal["interval", "outside", "line", "empty"]


@dataclass(frozen=True)
class Instrumented:
    """The regressions behind one instrument.

    Attributes
    ----------
    first, reduced : Estimate
        Of the treatment, and of the outcome, on controls and instrument (the last coefficient).
    summed : Estimate
        Of their sum, whose variance gives the covariance of the two.
    """

    first: Estimate
    reduced: Estimate
    summed: Estimate


@dataclass(frozen=True)
class Strength:
    """Strength of the instrument under one standard-error type.

    Attributes
    ----------
    f : float
        Kleibergen-Paap F.
    ar_p : float
        p-value of no effect, Anderson-Rubin.
    shape : str
        Of the Anderson-Rubin interval.
    low, high : float
        Its ends; of shape ``outside`` the interval is below low and above high; infinite for ``line``, NaN
        for ``empty``.
    """

    f: float
    ar_p: float
    shape: Shape
    low: float
    high: float


def instrumented(stage: Stage, regressors: tuple[Term, ...], treatment: Term) -> Instrumented:
    """First stage, reduced form, and the fit of their sum, on controls and the instrument."""
    first, reduced = fit(stage, Regression(regressors, outcome=treatment)), fit(stage, Regression(regressors))
    parts = ("values", "residual_path", "city_first", "city_second", "without_city")
    summed = replace(reduced, **{part: getattr(first, part) + getattr(reduced, part) for part in parts})
    return Instrumented(first, reduced, summed)


def joint_estimate(regressions: Instrumented) -> Estimate:
    """The instrument's coefficients in reduced form and first stage as two terms of one estimate."""
    reduced, first, summed = regressions.reduced, regressions.first, regressions.summed
    city_first, city_second, without_city = (
        np.stack([getattr(reduced, part)[:, -1], getattr(first, part)[:, -1]], axis=1)
        for part in ("city_first", "city_second", "without_city")
    )
    pair_meat, reciprocal_meat = (
        _crossed(*(float(getattr(estimate, part)[-1, -1]) for estimate in (reduced, first, summed)))
        for part in ("pair_meat", "reciprocal_meat")
    )
    interaction = reduced.interaction
    if interaction is not None:
        interaction = Interaction(
            _crossed(*(_last_of_interaction(estimate) for estimate in (reduced, first, summed))),
            np.repeat(interaction.adopting_cities[-1], 2),  # the weights are those of the instrument in both
            np.repeat(interaction.weighted_cities[-1], 2),
        )
    return replace(
        reduced,
        terms=column_terms(("the reduced form", "the first stage")),
        values=np.array([reduced.values[-1], first.values[-1]]),
        city_first=city_first,
        city_second=city_second,
        without_city=without_city,
        pair_meat=pair_meat,
        reciprocal_meat=reciprocal_meat,
        interaction=interaction,
    )


def _last_of_interaction(estimate: Estimate) -> float:
    """That of the instrument with itself."""
    assert estimate.interaction is not None
    return float(estimate.interaction.matrix[-1, -1])


def _crossed(reduced: float, first: float, summed: float) -> Array:
    """Sums of products ``[2, 2]`` of two influences, from those of each and of their sum."""
    product = (summed - reduced - first) / 2
    return np.array([[reduced, product], [product, first]])


def strength(
    pi_y: float, pi_d: float, variances: tuple[float, float, float], *, dof: float, confidence: float
) -> Strength:
    """F and Anderson-Rubin interval from the variances of pi_y, pi_D and their sum.

    Parameters
    ----------
    pi_y, pi_d : float
    variances : (var pi_y, var pi_D, var (pi_y + pi_D))
    dof : float
        Of the t distribution.
    confidence : float
    """
    yy, dd, total = variances
    yd = (total - yy - dd) / 2
    from scipy.special import stdtr, stdtrit  # a tenth of the time in which a finished run is found

    critical = float(stdtrit(dof, 0.5 + confidence / 2)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        p = float(2 * stdtr(dof, -abs(pi_y) / np.sqrt(yy)))
        f = float(np.float64(pi_d**2) / dd)
    shape, low, high = _interval(
        pi_d**2 - critical * dd, -2 * (pi_y * pi_d - critical * yd), pi_y**2 - critical * yy
    )
    return Strength(f, p, shape, low, high)


def _interval(a: float, b: float, c: float) -> tuple[Shape, float, float]:
    """Where a x^2 + b x + c <= 0."""
    inner = b * b - 4 * a * c
    if a > 0 and inner < 0:
        return "empty", float("nan"), float("nan")
    if inner < 0 or (a == 0 and b == 0):
        return "line", -float("inf"), float("inf")
    if a == 0:
        end = -c / b
        return "interval", *((-float("inf"), end) if b > 0 else (end, float("inf")))
    # The root of larger size first: the other follows from their product without cancellation.
    far = -0.5 * (b + np.copysign(np.sqrt(inner), b))
    roots = sorted((float(far / a), float(c / far) if far else 0.0))
    return ("interval" if a > 0 else "outside"), roots[0], roots[1]
