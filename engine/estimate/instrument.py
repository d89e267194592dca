"""Instrumental variables with one instrument: the regressions behind it, and what measures its strength.

With pi_D and pi_y the instrument's coefficients in first stage and reduced form, F = (pi_D / se)^2 is the rk Wald
statistic of Kleibergen and Paap (2006) for one instrument; `engine.infer.anderson_rubin` has the effects that the
test of Anderson and Rubin (1949) does not reject.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate, Interaction
from engine.estimate.fit import Stage, fit
from engine.estimate.terms import Regression, Term, column_terms


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


def instrumented(stage: Stage, regressors: tuple[Term, ...], treatment: Term) -> Instrumented:
    """First stage, reduced form, and the fit of their sum, on controls and the instrument."""
    first, reduced = fit(stage, Regression(regressors, outcome=treatment)), fit(stage, Regression(regressors))
    parts = ("values", "residual_path", "city_first", "city_second", "without_city")
    without_group = {code: first.without_group[code] + left for code, left in reduced.without_group.items()}
    added = {part: getattr(first, part) + getattr(reduced, part) for part in parts}
    summed = replace(reduced, **added, without_group=without_group)
    return Instrumented(first, reduced, summed)


def joint_estimate(regressions: Instrumented) -> Estimate:
    """The instrument's coefficients in reduced form and first stage as two terms of one estimate."""
    reduced, first, summed = regressions.reduced, regressions.first, regressions.summed
    city_first, city_second, without_city, weight_path = (
        np.stack([getattr(reduced, part)[:, -1], getattr(first, part)[:, -1]], axis=1)
        for part in ("city_first", "city_second", "without_city", "weight_path")
    )
    without_group = {
        code: np.stack([left[:, -1], first.without_group[code][:, -1]], axis=1)
        for code, left in reduced.without_group.items()
    }
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
        without_group=without_group,
        weight_path=weight_path,
        pair_meat=pair_meat,
        reciprocal_meat=reciprocal_meat,
        interaction=interaction,
        exact=reduced.exact and first.exact,
    )


def _last_of_interaction(estimate: Estimate) -> float:
    """That of the instrument with itself."""
    assert estimate.interaction is not None
    return float(estimate.interaction.matrix[-1, -1])


def _crossed(reduced: float, first: float, summed: float) -> Array:
    """Sums of products ``[2, 2]`` of two influences, from those of each and of their sum."""
    product = (summed - reduced - first) / 2
    return np.array([[reduced, product], [product, first]])
