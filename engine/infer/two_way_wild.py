"""Wild bootstrap on the two-way decomposition of the residuals, with the null imposed.

With a coefficient held at zero, least squares leaves residuals u_pt = a_it + a_jt + w_pt: effects of both cities in
each year, and what is left to the pair. A draw has a multiplier v_c for every city and

    u*_pt = v_i a_it + v_j a_jt + v_i v_j w_pt,

so that pairs which share a city move together, by their city parts, and pairs which share none are uncorrelated. It is
regressed as the sample was, and its coefficient is divided by its own dyadic-robust error. Everything is linear in u*:
sums over the years of each part times each regressor are enough, and no row is made again. Sources: Menzel (2021) for
the multipliers, Roodman, MacKinnon, Nielsen and Webb (2019) for the null.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from engine.arrays import Array, Integers, check_shape
from engine.infer.errors.dyadic import drawn_variances
from engine.infer.summary import t_ratio


@dataclass(frozen=True)
class TwoWayParts:
    """Sums over the pairs from which draws of one coefficient are made; F regressors, the years but one among them.

    Attributes
    ----------
    i, j : int32 ``[P]``
    city_sums : float64 ``[n_units, F]``
        Sums of a city's parts of the residuals times each regressor, over its pairs and years.
    pair_sums : float64 ``[P, F]``
        Of the pair's own part, over its years.
    influence : float64 ``[3, P]``
        Of the parts of the first city, of the second and of the pair on the coefficient.
    weight_sums : float64 ``[P, F]``
        Of the coefficient's weight path.
    bread : float64 ``[F, F]``
        Inverse of the regressors' products.
    tested : int
        The coefficient among the F.
    """

    i: Integers
    j: Integers
    city_sums: Array
    pair_sums: Array
    influence: Array
    weight_sums: Array
    bread: Array
    tested: int

    def __post_init__(self) -> None:
        n_pairs, n_regressors = len(self.i), len(self.bread)
        check_shape("city_sums", self.city_sums, (None, n_regressors))
        check_shape("pair_sums", self.pair_sums, (n_pairs, n_regressors))
        check_shape("influence", self.influence, (3, n_pairs))
        check_shape("weight_sums", self.weight_sums, (n_pairs, n_regressors))

    @property
    def n_units(self) -> int:
        return len(self.city_sums)

    @cached_property
    def of_cities(self) -> sparse.csr_array:
        """``[n_units, P]`` ones where a city stands in a pair."""
        pairs = np.arange(len(self.i))
        ends = np.concatenate([self.i, self.j]), np.concatenate([pairs, pairs])
        return sparse.csr_array((np.ones(len(ends[0])), ends), shape=(self.n_units, len(pairs)))

    @cached_property
    def of_dyads(self) -> sparse.csr_array | None:
        """``[n_dyads, P]`` ones, of tables with both directions of a pair; None where each pair is a dyad."""
        low, high = np.minimum(self.i, self.j).astype(np.int64), np.maximum(self.i, self.j)
        dyads, number = np.unique(low * self.n_units + high, return_inverse=True)
        if len(dyads) == len(low):
            return None
        return sparse.csr_array((np.ones(len(low)), (number, np.arange(len(low)))))


def two_way_statistics(parts: TwoWayParts, multipliers: Array) -> tuple[Array, Array]:
    """Coefficients and t ratios ``[n_draws]`` of draws under the null.

    With multipliers of one, u* is the residual under the null: the sample's own coefficient and t ratio. The errors
    have no small-sample factor, which all t ratios share.

    Parameters
    ----------
    parts : TwoWayParts
    multipliers : float64 ``[n_draws, n_units]``
    """
    check_shape("multipliers", multipliers, (None, parts.n_units))
    by_draw = np.ascontiguousarray(multipliers.T)
    first, second = by_draw[parts.i], by_draw[parts.j]
    both = first * second
    sums = parts.city_sums.T @ by_draw + parts.pair_sums.T @ both
    coefficients = parts.bread @ sums
    of_first, of_second, of_pair = parts.influence[:, :, None]
    first *= of_first
    second *= of_second
    both *= of_pair
    influences = first + second + both - parts.weight_sums @ coefficients
    of_cities = parts.of_cities @ influences
    of_dyads = influences if parts.of_dyads is None else parts.of_dyads @ influences
    variance = drawn_variances((of_cities**2).sum(axis=0), np.einsum("pb,pb->b", of_dyads, of_dyads))
    estimate = coefficients[parts.tested]
    return estimate, t_ratio(estimate, np.sqrt(variance))
