"""Effects of cohorts and their averages as a differentiable function of sums by cohort, and the `Estimate` they make.

With S_g the number of pairs of cohort g and the sums of their outcomes by year, an effect is f(S), and a pair's
influence grad f(S) [g] . (1, its outcomes), which has two parts:

    psi_p = sum_t r_gt e_pt + c_g

the outcome's, with e the residuals of the cohorts' means, and c_g, that of the weights: the shares of the cohorts are
estimated as well. Residuals of a cohort add up to zero, so that their cross products do in the pair meat. Leave-one-
city-out values are f(S less the city's); a cohort that is gone with a city has weight zero.
Source: `engine.estimate.gradient`; Callaway and Sant'Anna (2021), theorem 2 and corollary 2.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import jax.numpy as jnp
import numpy as np
from jax import Array as JaxArray

from engine.arrays import Array
from engine.estimate.cohorts import CohortSums, Comparisons
from engine.estimate.estimate import Estimate
from engine.estimate.gradient import Differentiated, differentiate_sums
from engine.estimate.terms import Term


def cohort_effects(comparisons: Comparisons, sums: JaxArray) -> tuple[JaxArray, JaxArray]:
    """Averages ``[K]`` and cells ``[n_cells]`` of sums ``[G, 1 + T]``; NaN where no pair is left to compare."""
    n_pairs = sums[:, 0]
    means = sums[:, 1:] / jnp.where(n_pairs > 0, n_pairs, 1.0)[:, None]
    changes = means[:, comparisons.year] - means[:, comparisons.base]
    weights = comparisons.controls.T * n_pairs[:, None]
    n_controls = weights.sum(0)
    effects = changes[comparisons.cohort, np.arange(len(comparisons.cells))]
    effects = effects - _ratio((weights * changes).sum(0), n_controls)
    n_treated = jnp.where(n_controls > 0, n_pairs[comparisons.cohort], 0.0)
    averages = []
    for average in comparisons.averages:
        n_of_blocks = average.blocks @ n_treated
        of_blocks = _ratio(average.blocks @ (n_treated * effects), n_of_blocks)
        n_cells = average.blocks @ (n_treated > 0).astype(sums.dtype)
        weight = _ratio(n_of_blocks, n_cells) if average.by_pairs else (n_cells > 0).astype(sums.dtype)
        value = _ratio((weight * of_blocks).sum(), weight.sum())
        averages.append(jnp.where(weight.sum() > 0, value, jnp.nan))
    return jnp.stack(averages), jnp.where(n_treated > 0, effects, jnp.nan)


def _ratio(numerator: JaxArray, denominator: JaxArray) -> JaxArray:
    """Zero, with a derivative of zero, where there is nothing to divide by."""
    is_positive = denominator > 0
    return jnp.where(is_positive, numerator, 0.0) / jnp.where(is_positive, denominator, 1.0)


def estimates_of_cohorts(
    regressed: Estimate, comparisons: Comparisons, sums: CohortSums
) -> tuple[Estimate, Estimate]:
    """Averages, and cells, from the regression of cohort means and the sums behind it.

    Parameters
    ----------
    regressed : Estimate
        The regression on dummies of cohorts and years: its residuals are those of the cohorts' means.
    comparisons : Comparisons
    sums : CohortSums
    """
    terms = tuple(average.term for average in comparisons.averages), comparisons.cells
    averages, cells = (
        _estimate(regressed, of_part, differentiate_sums(partial(_part, comparisons, place), sums.of_cities), sums)
        for place, of_part in enumerate(terms)
    )
    return averages, cells


def _part(comparisons: Comparisons, place: int, sums: JaxArray) -> JaxArray:
    return cohort_effects(comparisons, sums)[place]


def _estimate(
    regressed: Estimate, terms: tuple[Term, ...], effects: Differentiated, sums: CohortSums
) -> Estimate:
    """An estimate with the sizes and residuals of the regression, and values, influences and weights of effects."""
    if regressed.exact == "effects":
        effects = replace(effects, values=np.zeros_like(effects.values))
    total, of_outcome = sums.total, effects.jacobian[:, :, 1:]
    n_pairs = np.where(total[:, 0] > 0, total[:, 0], 1.0)
    # A coefficient of the regression is a cohort's mean in a year, and n times it the sum.
    places = tuple(np.array([sums.place(term) for term in regressed.terms]).T)
    by_coefficient = (of_outcome * n_pairs[:, None])[:, *places]
    of_shares = effects.jacobian[:, :, 0] + (of_outcome * total[:, 1:] / n_pairs[:, None]).sum(axis=2)
    unknown: Array = np.full((len(terms), len(terms)), np.nan)
    path_set = regressed.terms[0].path_set
    return replace(
        regressed,
        terms=tuple(replace(term, path_set=path_set) for term in terms),
        values=effects.values,
        city_first=effects.city_first,
        city_second=effects.city_second,
        without_city=effects.without_city,
        pair_meat=unknown,
        reciprocal_meat=unknown,
        weight_path=regressed.weight_path @ by_coefficient.T,
        share_meat=(of_shares * total[:, 0]) @ of_shares.T,
    )
