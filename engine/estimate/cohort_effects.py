"""Effects of cohorts and their averages as a differentiable function of sums by cohort, and the `Estimate` they make.

With S_g the number of pairs of cohort g and the sums of their outcomes by year, an effect is f(S), and a pair's
influence grad f(S) [g] . (1, its outcomes), which has two parts:

    psi_p = sum_t r_gt e_pt + c_g

the outcome's, with e the residuals of the cohorts' means, and c_g, that of the weights: the shares of the cohorts are
estimated as well, and so are doses that an average is divided by, which are the same for all pairs of a cohort.
Residuals of a cohort add up to zero, so that their cross products do in the pair meat. Leave-one-city-out values are
f(S less the city's); a cohort that is gone with a city has weight zero.
Source: `engine.estimate.gradient`; Callaway and Sant'Anna (2021), theorem 2 and corollary 2.
"""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
from jax import Array as JaxArray

from engine.arrays import Array
from engine.estimate.cohorts import CohortSums, ComparisonArrays, Comparisons
from engine.estimate.estimate import Estimate
from engine.estimate.gradient import Differentiated, differentiate_sums
from engine.estimate.terms import Term


def cohort_effects(comparisons: ComparisonArrays, sums: JaxArray) -> JaxArray:
    """Averages, then cells, ``[K]`` of sums ``[G, 1 + T]``; NaN where no pair is left to compare."""
    n_pairs, blocks = sums[:, 0], jnp.asarray(comparisons.blocks)
    of_averages = jnp.asarray(comparisons.of_averages)
    means = sums[:, 1:] / jnp.where(n_pairs > 0, n_pairs, 1.0)[:, None]
    changes = means[:, comparisons.year] - means[:, comparisons.base]
    weights = comparisons.controls * n_pairs[:, None]
    n_controls = weights.sum(0)
    effects = (comparisons.treated * changes).sum(0) - _ratio((weights * changes).sum(0), n_controls)
    n_treated = jnp.where(n_controls > 0, n_pairs @ comparisons.treated, 0.0)
    n_of_blocks = jnp.asarray(comparisons.divisors) @ n_treated
    of_blocks = _ratio(blocks @ (n_treated * effects), n_of_blocks)
    n_cells = blocks @ (n_treated > 0).astype(sums.dtype)
    equal = (n_of_blocks > 0).astype(sums.dtype)
    weight = jnp.where(comparisons.by_pairs, _ratio(n_of_blocks, n_cells), equal)
    total = of_averages @ weight
    averages = _ratio(of_averages @ (weight * of_blocks), total)
    identified = jnp.concatenate([total, n_treated]) > 0
    return jnp.where(identified, jnp.concatenate([averages, effects]), jnp.nan)


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
    effects = differentiate_sums(cohort_effects, comparisons.arrays(), sums.of_cities)
    estimate = _estimate(regressed, comparisons.terms, effects, sums)
    n_averages = len(comparisons.averages)
    return _selected(estimate, slice(n_averages)), _selected(estimate, slice(n_averages, None))


def _estimate(
    regressed: Estimate, terms: tuple[Term, ...], effects: Differentiated, sums: CohortSums
) -> Estimate:
    """An estimate with the sizes and residuals of the regression, and values, influences and weights of effects."""
    if regressed.exact == "effects":
        effects = replace(effects, values=np.zeros_like(effects.values))
    n_pairs, of_outcome = sums.n_pairs, effects.jacobian[:, :, 1:]
    # A coefficient of the regression is a cohort's mean in a year, and n times it the sum.
    places = tuple(np.array([sums.rows.place(term) for term in regressed.terms]).T)
    by_coefficient = (of_outcome * n_pairs[:, None])[:, *places]
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
        share_meat=sums.share_meat(effects.jacobian),
        without_group={},
    )


def _selected(estimate: Estimate, places: slice) -> Estimate:
    """Some terms of an estimate whose pairs no pass has summed yet."""
    return replace(
        estimate,
        terms=estimate.terms[places],
        values=estimate.values[places],
        city_first=estimate.city_first[:, places],
        city_second=estimate.city_second[:, places],
        without_city=estimate.without_city[:, places],
        pair_meat=estimate.pair_meat[places, places],
        reciprocal_meat=estimate.reciprocal_meat[places, places],
        weight_path=estimate.weight_path[:, places],
        share_meat=None if estimate.share_meat is None else estimate.share_meat[places, places],
    )
