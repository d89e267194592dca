"""Estimators of comparisons as functions of the cohorts' sums, and the `Estimate` that their gradient makes.

Influences, leave-one-city-out values and pair meat come from `engine.estimate.gradient`. What counts pairs and city
years (`engine.estimate.city_years`) reads paths: the weight of a pair-year is the derivative by its outcome, and its
residual the outcome less the mean of its cohort in that year.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyIntegers, Array, Integers
from engine.errors import InputError
from engine.estimate.estimate import Estimate
from engine.estimate.fit import Stage, exactness_of_outcome, sample_counts
from engine.estimate.gradient import Differentiated, differentiate
from engine.estimate.terms import Term
from engine.pairs.clean_comparisons import CleanComparisons
from engine.pairs.moments import CityMoments, Layout


def effects(comparisons: CleanComparisons, n_pairs: jax.Array, outcome: jax.Array) -> jax.Array:
    """``[K]`` effects by event year; NaN where no cohort and its controls have a pair. A cohort without pairs counts 0.

    Parameters
    ----------
    comparisons : CleanComparisons
    n_pairs : float64 ``[C]``
        Pairs of each cohort.
    outcome : float64 ``[C, T]``
        Sums of their outcomes, up to a number for each cohort and one for each year.
    """
    treated, clean = comparisons.treated, comparisons.clean.astype(np.float64)
    changes = outcome[:, comparisons.later] - outcome[:, comparisons.earlier][:, None]  # [C, K, G]
    of_treated = changes[treated, :, np.arange(len(treated))].T
    n_treated = jnp.broadcast_to(n_pairs[treated][None], of_treated.shape)
    n_controls = jnp.einsum("kgc,c->kg", clean, n_pairs)
    of_controls = jnp.einsum("kgc,ckg->kg", clean, changes)
    is_there = (n_treated > 0.5) & (n_controls > 0.5)
    sums = [jnp.where(is_there, part, 0.0) for part in (n_treated, n_controls, of_treated, of_controls)]
    if comparisons.weights == "stacked":
        return _stacked(*sums)
    return _projected(*sums, equal=comparisons.weights == "equal")


def _projected(
    n_treated: jax.Array, n_controls: jax.Array, of_treated: jax.Array, of_controls: jax.Array, *, equal: bool
) -> jax.Array:
    """Least squares of changes on being treated, with an effect of each cohort's year; sums ``[K, G]``."""
    n_rows = _positive(n_treated + n_controls)
    weights = jax.lax.stop_gradient(n_rows / _positive(n_controls)) if equal else jnp.ones_like(n_rows)
    gaps = weights * (n_controls * of_treated - n_treated * of_controls) / n_rows
    return _ratio(gaps.sum(1), (weights * n_treated * n_controls / n_rows).sum(1))


def _stacked(
    n_treated: jax.Array, n_controls: jax.Array, of_treated: jax.Array, of_controls: jax.Array
) -> jax.Array:
    """Least squares on the stack, controls with the corrective weights; sums ``[K, G]``."""
    weights = jax.lax.stop_gradient(n_treated / _positive(n_controls))
    controls = _ratio((weights * of_controls).sum(1), (weights * n_controls).sum(1))
    return _ratio(of_treated.sum(1), n_treated.sum(1)) - controls


def _positive(counts: jax.Array) -> jax.Array:
    """One in place of zero."""
    return jnp.where(counts > 0, counts, 1.0)


def _ratio(total: jax.Array, counts: jax.Array) -> jax.Array:
    return jnp.where(counts > 0, total / _positive(counts), jnp.nan)


@dataclass(frozen=True)
class ComparisonFit:
    """An estimate of comparisons.

    Attributes
    ----------
    estimate : Estimate
        With its pair meat; counts are those of the whole sample, which city-year effects are of.
    counts : dict of str to int
        Of the rows that some comparison reads, each once, by the names that `Estimate` has.
    compared : tuple of Term
        Years of the cohorts that are compared.
    left_out, emptied : tuple of float
        Adoption years of cohorts that are compared at no event year; of those that have no pair without some city.
    """

    estimate: Estimate
    counts: dict[str, int]
    compared: tuple[Term, ...]
    left_out: tuple[float, ...]
    emptied: tuple[float, ...]

    def reported(self, summed: Estimate) -> Estimate:
        """The estimate with what a second pass has summed, its own pair meat, and the counts of the rows read."""
        counts = self.counts
        return replace(
            summed,
            pair_meat=self.estimate.pair_meat,
            n_obs=counts["n_obs"],
            n_pairs=counts["n_pairs"],
            n_units=counts["n_units"],
            n_first=counts["n_first"],
            n_second=counts["n_second"],
            n_parameters=counts["n_parameters"],
            n_parameters_city=counts["n_parameters"],
        )


def fit_comparisons(
    comparisons: CleanComparisons,
    moments: CityMoments,
    classes: Integers,
    stage: Stage,
    *,
    cohort_terms: tuple[Term, ...],
    reported: tuple[Term, ...],
    table: Array,
) -> ComparisonFit:
    """Estimate effects from type sums, and everything that inference reads.

    Parameters
    ----------
    comparisons : CleanComparisons
    moments : CityMoments
        Of complete pairs, with products.
    classes : int ``[n_units]``
    stage : Stage
        Of the same moments.
    cohort_terms : tuple of Term
        Cohort by cohort, year by year, among those of the stage.
    reported : tuple of Term
        A term an event year.
    table : float64 ``[H, H, T, r]``
        Paths of the stage's terms.

    Raises
    ------
    InputError
        Where pair-years are missing, or no pair of a cohort and of its controls is left.
    """
    _refuse_missing(moments.layout)
    cohorts = _Cohorts(comparisons, moments, classes)

    @jax.jit  # else each of its operations is compiled alone
    def of_sums(sums: jax.Array) -> jax.Array:
        outcomes = _outcomes(moments.layout, sums)
        return effects(comparisons, cohorts.added(sums[:, 0]), cohorts.added(outcomes))

    differentiated = differentiate(
        lambda type_sums: of_sums(type_sums.sums),
        moments,
        classes,
        terms=stage.normal.terms,
        table=table,
    )
    _refuse_unidentified(differentiated.values, reported)
    estimate = _estimate(cohorts, differentiated, stage, cohort_terms, reported)
    n_years = comparisons.n_years
    compared = comparisons.compared
    terms = tuple(cohort_terms[n_years * cohort + year] for cohort in compared for year in range(n_years))
    return ComparisonFit(
        estimate,
        cohorts.counts(len(reported)),
        terms,
        left_out=cohorts.years_of(comparisons.left_out),
        emptied=cohorts.emptied(compared),
    )


def _outcomes(layout: Layout, sums: jax.Array) -> jax.Array:
    """``[n_types, T]`` sums of the outcome, without pair means."""
    start, shape = 4 + layout.n_ee, (len(sums), layout.n_years, layout.n_columns)
    return sums[:, start : start + layout.n_ev].reshape(shape)[:, :, -1]


def _refuse_missing(layout: Layout) -> None:
    if not layout.balanced:
        raise InputError(
            "pair-years are missing, and the estimator compares pairs that have all years",
            where="model.estimator",
            remedy="use cities without missing years (panel.balance: drop), and outcome.infinite: clip",
        )


def _refuse_unidentified(values: Array, reported: tuple[Term, ...]) -> None:
    names = [term.name for term, value in zip(reported, values, strict=True) if np.isnan(value)]
    if names:
        raise InputError(
            f"the sample has no pairs of adopters, or none to compare them with, at {', '.join(names)}",
            where="model.window",
            remedy="narrow the window, or loosen the filters of pairs",
        )


@dataclass(frozen=True)
class _Cohorts:
    """Pairs of the cohorts in the sums of a sample."""

    comparisons: CleanComparisons
    moments: CityMoments
    classes: Integers

    @property
    def members(self) -> Array:
        """``[C, n_types]``: 1 where pairs of a type are of the cohort."""
        adopted = self.comparisons.adopted
        of_types = adopted[np.triu_indices(len(adopted))]
        return np.asarray(self.comparisons.cohorts[:, None] == of_types, dtype=np.float64)

    def added(self, by_type: jax.Array) -> jax.Array:
        """Sums by type ``[n_types, ...]`` as sums by cohort."""
        return jnp.einsum("cz,z...->c...", self.members, by_type)

    def derivatives(self, jacobian: Array) -> Array:
        """``[K, C, T]`` by the sums of the outcome, of ``[K, n_types, size]``; types of a cohort have equal ones."""
        layout = self.moments.layout
        start, shape = 4 + layout.n_ee, (*jacobian.shape[:2], layout.n_years, layout.n_columns)
        by_type = jacobian[:, :, start : start + layout.n_ev].reshape(shape)[..., -1]
        return by_type[:, self.members.argmax(axis=1)]

    @property
    def by_city(self) -> Array:
        """``[2, n_units, C]`` pairs in which a city stands first, and second, by cohort."""
        of_classes = self.comparisons.adopted[self.classes][:, :, None] == self.comparisons.cohorts
        sides = np.stack([self.moments.first[..., 0], self.moments.second[..., 0]])
        return np.einsum("snh,nhc->snc", sides, of_classes.astype(np.float64))

    def counts(self, n_effects: int) -> dict[str, int]:
        """Sizes of the rows that are read; pair effects are nested in every cluster, year effects in none."""
        n_pairs, read = self.by_city[0].sum(axis=0), self.comparisons.rows()
        present = self.by_city[:, :, read.any(axis=1)].sum(axis=2) > 0
        n_parameters = n_effects + int((n_pairs @ read > 0).sum())
        return {
            "n_obs": int((n_pairs @ read).sum()),
            "n_pairs": int(n_pairs[read.any(axis=1)].sum()),
            "n_units": int(present.any(axis=0).sum()),
            "n_first": int(present[0].sum()),
            "n_second": int(present[1].sum()),
            "n_parameters": n_parameters,
        }

    def years_of(self, cohorts: AnyIntegers) -> tuple[float, ...]:
        """Adoption years of those of some cohorts that have pairs."""
        with_pairs = cohorts[self.by_city[0].sum(axis=0)[cohorts] > 0]
        return tuple(self.comparisons.cohorts[with_pairs].tolist())

    def emptied(self, compared: AnyIntegers) -> tuple[float, ...]:
        """See `ComparisonFit`."""
        of_city = self.by_city.sum(axis=0)[:, compared]
        n_pairs = self.by_city[0].sum(axis=0)[compared]
        return self.years_of(compared[(of_city == n_pairs).any(axis=0)])


def _estimate(
    cohorts: _Cohorts,
    differentiated: Differentiated,
    stage: Stage,
    cohort_terms: tuple[Term, ...],
    reported: tuple[Term, ...],
) -> Estimate:
    """Estimate with the paths of weights and residuals on the years of cohorts."""
    residual_path, weight_path, ssr = _paths(cohorts, differentiated, stage, cohort_terms)
    exact = exactness_of_outcome(stage, ssr)
    return Estimate(
        terms=reported,
        values=np.zeros_like(differentiated.values) if exact == "effects" else differentiated.values,
        city_first=differentiated.city_first,
        city_second=differentiated.city_second,
        without_city=differentiated.without_city,
        pair_meat=differentiated.pair_meat,
        reciprocal_meat=np.zeros_like(differentiated.pair_meat),
        residual_path=residual_path,
        weight_path=weight_path,
        **sample_counts(stage.normal, len(reported)),
        r2=np.nan,
        r2_within=np.nan,
        exact=exact,
        interaction=None,
        is_instrumented=False,
        one_step=None,
        nearby={},
        without_group={},
        share_meat=None,
    )


def _paths(
    cohorts: _Cohorts, differentiated: Differentiated, stage: Stage, cohort_terms: tuple[Term, ...]
) -> tuple[Array, Array, float]:
    """Residual path ``[Q]``, weight path ``[Q, K]`` and the sum of squared residuals."""
    normal, n_effects = stage.normal, len(differentiated.values)
    n_years = cohorts.comparisons.n_years
    at_terms = n_years + np.array(normal.positions(cohort_terms))
    n_pairs = cohorts.by_city[0].sum(axis=0)
    sums = normal.total[at_terms, -1].reshape(-1, n_years)
    means = sums / np.where(n_pairs > 0, n_pairs, 1.0)[:, None]
    residual_path, weight_path = np.zeros(len(normal.total)), np.zeros((len(normal.total), n_effects))
    residual_path[at_terms], residual_path[-1] = -means.ravel(), 1.0
    weight_path[at_terms] = cohorts.derivatives(differentiated.jacobian).reshape(n_effects, -1).T
    return residual_path, weight_path, float(normal.total[-1, -1] - (sums * means).sum())
