"""The `Estimate` that inference and reports read, whoever made it: type sums, rows with absorbed effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from engine.arrays import Array
from engine.estimate.terms import Term, names_of

_ALL_GONE = 1e-9  # of rows: what rounding leaves where none are


@dataclass(frozen=True)
class Interaction:
    """Sums over the pairs of what city-year effects leave of them, and how evenly the weights spread over cities.

    With r_pt the weight path and w_pt the residual path without its city-year effects, phi_p = sum_t r_pt w_pt,
    a_ct = sum of r_pt over the pairs of c, kappa_p = sum_t r_pt^2 and w_c = sum of kappa_p over those.

    Attributes
    ----------
    matrix : float64 ``[K, K]``
        Sum of phi_p phi_p' times n / (n - rank).
    adopting_cities : float64 ``[K]``
        (sum_c gamma_c)^2 / sum_c gamma_c^2, gamma_c = sum_t a_ct^2.
    weighted_cities : float64 ``[K]``
        (sum_p kappa_p)^2 / (sum_c w_c^2 - sum_p kappa_p^2).
    city_parts : CityParts or None
        Of estimates with `Estimate.takes_both`.
    """

    matrix: Array
    adopting_cities: Array
    weighted_cities: Array
    city_parts: CityParts | None = None


@dataclass(frozen=True)
class CityParts:
    """Contributions of cities to coefficients that few pairs bear, apart from those of the pairs.

    Attributes
    ----------
    values : float64 ``[n_units, K]``
        sum_t a_ct alpha_ct, with alpha_ct the city-year effects of the residuals; the rest of `Interaction`.
    noise : float64 ``[K, K]``
        sum_ct a_ct a_ct' / n_ct with n_ct the pairs of the city in the year: the variance that independent noise of
        pairs has in the parts of cities, over (sum_p kappa_p)^(1/2) of both coefficients.
    weighted_pairs : float64 ``[K]``
        (sum_p kappa_p)^2 / sum_p kappa_p^2.
    """

    values: Array
    noise: Array
    weighted_pairs: Array


@dataclass(frozen=True)
class Nearby:
    """Sums for errors that allow for dependence between pairs of near cities, of one kernel k of their nearness.

    Attributes
    ----------
    step : float64 ``[n_units, K]``
        b less the coefficients without a city and all that are near it, averaged over the kernel's radii.
    interaction : float64 ``[K, K]``
        Sum over pairs of (1 + 2 k_ij) phi_p phi_p' times n / (n - rank), see `Interaction`.
    effective_cities : float64 ``[K]``
        tr(k U)^2 / tr(k U k U), U_cd = k_cd sum_t a_ct a_dt: the adopting cities, near ones counted as fewer. Zero
        where the kernel gives no positive number, infinite where city-year effects leave nothing to count.
    unidentified : float64 ``[K]``
        Share of the squares of the cities' influence, and of the radii, whose samples do not identify a coefficient, so
        that the steps of the cities one by one stand in.
    """

    step: Array
    interaction: Array
    effective_cities: Array
    unidentified: Array


@dataclass(frozen=True)
class RowsLeft:
    """Shares of the rows of each of K coefficients that samples without cities have; one where rows are no weights.

    Attributes
    ----------
    of_city : float64 ``[n_units, K]``
        Those that are not of the city's pairs.
    of_refit : float64 ``[n_units, K]``
        Those that a regression without the city has: fewer where others are then alone in a level.
    of_groups : mapping of str to float64 ``[n_groups, K]``
        Without each group of cities, by the code of a standard-error type.
    """

    of_city: Array
    of_refit: Array
    of_groups: Mapping[str, Array]


@dataclass(frozen=True)
class Estimate:
    """Coefficients of one regression, and how every pair and every city moves them.

    With r_pt = db/dy_pt the weight path of a pair and e_pt its residual path, a pair's influence is
    psi_p = sum_t r_pt e_pt, ``[K]``; of averages over cohorts plus that of the cohorts' shares, see `share_meat`.

    Attributes
    ----------
    terms : tuple of Term
        K of them.
    values : float64 ``[K]``
    city_first, city_second : float64 ``[n_units, K]``
        Influence of the pairs in which a city stands first (second).
    without_city : float64 ``[n_units, K]``
        Coefficients of the leave-one-city-out samples; NaN where one is not identified, or none was made.
    pair_meat, reciprocal_meat : float64 ``[K, K]``
        Sums over pairs of psi_p psi_p', and of psi_p psi_q' with q the opposite direction of p's dyad (zero where
        pairs have none). NaN until a second pass over the pairs has summed them.
    residual_path, weight_path : float64 ``[Q]``, ``[Q, K]``
        Coefficients that turn the columns of a pair into e_p and r_p. Of type sums the columns are
        [years | columns | terms | outcome], demeaned within the pair; of rows [regressors | outcome] without the
        absorbed effects (`absorbed_fit.row_paths`).
    n_obs, n_pairs, n_units, n_first, n_second : int
        Observations, pairs, cities in them, cities that stand first, second.
    n_parameters, n_parameters_city : int
        Coefficients and effects that are not nested in pairs, or in cities: K + T where the effects are pair
        and year; pair effects are nested in every cluster.
    r2, r2_within : float
        As fixest defines them; NaN where there is nothing to explain.
    exact : str
        ``effects`` where they leave nothing of the outcome (a constant one, say), ``regressors`` where those leave
        nothing: residuals are rounding, and so would be every error. Empty for a proper regression.
    interaction : Interaction or None
        None until a pass over the pairs has summed it.
    takes_both : bool
        The treatment takes both cities of a pair (rule ``both``), so that few pairs bear its coefficients.
    is_instrumented : bool
        Two-stage least squares: its influences are steps of the linear form, its leave-one-out steps are not.
    one_step : float64 ``[n_units, K]`` or None
        Coefficients of the leave-one-city-out samples with the absorbed effects as all rows have them; NaN where one
        is not identified. None where no effects are absorbed, or none were made.
    nearby : mapping of str to Nearby
        By the code of a type that reads neighbourhoods; empty until a pass over the pairs has summed them.
    without_group : mapping of str to float64 ``[n_groups, K]``
        Coefficients of the samples without each group of cities, by the code of a standard-error type that reads
        them; NaN where one is not identified.
    share_influence : float64 ``[n_units, K]`` or None
        Influence of a city through the shares of cohorts in an average, which those of its pairs take as fixed.
    resting : mapping of str to tuple of str
        Averages of a coefficient whose rows are all of the pairs of one city, under ``city``, or of one group of
        cities, by the code of a standard-error type.
    share_meat : float64 ``[K, K]`` or None
        Pair meat of the shares of cohorts where they are estimated, which no path holds: a pass adds it.
    """

    terms: tuple[Term, ...]
    values: Array
    city_first: Array
    city_second: Array
    without_city: Array
    pair_meat: Array
    reciprocal_meat: Array
    residual_path: Array
    weight_path: Array
    n_obs: int
    n_pairs: int
    n_units: int
    n_first: int
    n_second: int
    n_parameters: int
    n_parameters_city: int
    r2: float
    r2_within: float
    exact: str = field(default="", kw_only=True)
    interaction: Interaction | None = field(default=None, kw_only=True)
    takes_both: bool = field(default=False, kw_only=True)
    is_instrumented: bool = field(default=False, kw_only=True)
    one_step: Array | None = field(default=None, kw_only=True)
    nearby: Mapping[str, Nearby] = field(default_factory=dict, kw_only=True)
    without_group: Mapping[str, Array] = field(default_factory=dict, kw_only=True)
    share_influence: Array | None = field(default=None, kw_only=True)
    resting: Mapping[str, tuple[str, ...]] = field(default_factory=dict, kw_only=True)
    share_meat: Array | None = field(default=None, kw_only=True)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the terms, as tables print them."""
        return names_of(self.terms)

    @property
    def tested_positions(self) -> list[int]:
        """Coefficients of the treatment; all where it is no regressor."""
        of_treatment = [place for place, term in enumerate(self.terms) if term.is_treatment]
        return of_treatment or list(range(len(self.terms)))

    @property
    def city_influence(self) -> Array:
        """``[n_units, K]`` influence of all pairs of a city, and through the shares of an average."""
        of_pairs = self.city_first + self.city_second
        return of_pairs if self.share_influence is None else of_pairs + self.share_influence

    def combined(self, terms: tuple[Term, ...], weights: Array) -> Estimate:
        """Linear combinations of the coefficients, ``weights`` ``[n_combinations, K]`` taken as fixed."""
        return replace(
            self,
            terms=terms,
            values=weights @ self.values,
            city_first=self.city_first @ weights.T,
            city_second=self.city_second @ weights.T,
            without_city=_combined_samples(self.without_city, weights),
            pair_meat=weights @ self.pair_meat @ weights.T,
            reciprocal_meat=weights @ self.reciprocal_meat @ weights.T,
            weight_path=self.weight_path @ weights.T,
            interaction=None,
            nearby={},
            without_group={
                code: _combined_samples(values, weights) for code, values in self.without_group.items()
            },
            one_step=None if self.one_step is None else _combined_samples(self.one_step, weights),
            share_influence=None if self.share_influence is None else self.share_influence @ weights.T,
            resting={},
        )

    def averaged(self, terms: tuple[Term, ...], weights: Array, left: RowsLeft) -> Estimate:
        """Averages of coefficients, whose samples without cities weigh by the rows that are left.

        A coefficient that such a sample does not identify is left out of its averages. The influences of pairs take
        shares as fixed.

        Parameters
        ----------
        terms : tuple of Term
        weights : float64 ``[n_averages, K]``
        left : RowsLeft
        """
        combined = self.combined(terms, weights)
        gone = (1 - left.of_city) @ weights.T
        samples = {"city": left.of_city} | {code: left.of_groups[code] for code in self.without_group}
        averages = weights > 0
        return replace(
            combined,
            without_city=_averaged_samples(self.without_city, weights, left.of_refit),
            without_group={
                code: _averaged_samples(values, weights, left.of_groups[code])
                for code, values in self.without_group.items()
            },
            one_step=None
            if self.one_step is None
            else _averaged_samples(self.one_step, weights, left.of_city),
            resting={
                name: tuple(
                    combined.names[place]
                    for place in np.flatnonzero(averages @ (of_sample < _ALL_GONE).any(axis=0))
                )
                for name, of_sample in samples.items()
            },
            share_influence=((1 - left.of_city) * self.values) @ weights.T - gone * combined.values,
        )


def _averaged_samples(values: Array, weights: Array, left: Array) -> Array:
    """Averages in n samples ``[n, K]`` of the coefficients that each identifies; NaN where it has none of them."""
    known = ~np.isnan(values)
    left = np.where(known, left, 0.0)
    sums, of_weights = (left * np.where(known, values, 0.0)) @ weights.T, left @ weights.T
    whole = weights.sum(axis=1)
    return np.divide(
        sums * whole, of_weights, out=np.full(sums.shape, np.nan), where=of_weights > _ALL_GONE * whole
    )


def _combined_samples(values: Array, weights: Array) -> Array:
    """Combinations of coefficients of n samples ``[n, K]``; NaN where one of those that count is."""
    unknown = np.isnan(values)
    combinations = np.where(unknown, 0.0, values) @ weights.T
    combinations[unknown.astype(np.float64) @ (weights != 0).T > 0] = np.nan
    return np.asarray(combinations)


def exactness(ssr: float, left: float, nothing: float, share: float) -> str:
    """`Estimate.exact`, from what effects leave of the outcome and what regressors leave of that (sums of squares).

    Parameters
    ----------
    ssr, left : float
    nothing : float
        Rounding of ``left``.
    share : float
        Rounding of ``ssr``, of ``left``.
    """
    if not (np.isfinite(left) and np.isfinite(ssr)):
        return ""
    if left <= nothing:
        return "effects"
    return "regressors" if abs(ssr) <= share * left else ""


def explained(ssr: float, total: float) -> float:
    """R2; 1 where rounding leaves less than nothing unexplained, NaN where there is nothing to explain."""
    return 1.0 - max(ssr, 0.0) / total if total > 0 else float("nan")
