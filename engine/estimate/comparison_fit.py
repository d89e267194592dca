"""Estimators with clean controls as functions of the cohorts' sums, and the `Estimate` that their gradient makes.

Sums, influences and leave-one-city-out values are those of `engine.estimate.cohorts` and `engine.estimate.gradient`,
and the two parts of a pair's influence those of `engine.estimate.cohort_effects`: what counts pairs and city years
(`engine.estimate.city_years`) reads paths, the weight of a pair-year being the derivative by its outcome, and its
residual the outcome less the mean of its cohort in that year.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyIntegers, Array, Flags, Integers
from engine.errors import InputError
from engine.estimate.cohorts import CohortSums, cohort_sums, cohorts_by_year
from engine.estimate.estimate import Estimate
from engine.estimate.fit import Stage, exactness_of_outcome, sample_counts
from engine.estimate.gradient import Differentiated, differentiate_sums
from engine.estimate.terms import Term
from engine.pairs.clean_comparisons import CleanComparisons, CohortWeights
from engine.pairs.moments import CityMoments, Layout


class CleanArrays(NamedTuple):
    """`CleanComparisons` as arrays.

    Attributes
    ----------
    treated, earlier : int64 ``[G]``
    later : int64 ``[K, G]``
    clean : float64 ``[K, G, C]``
    """

    treated: AnyIntegers
    earlier: AnyIntegers
    later: AnyIntegers
    clean: Array


@dataclass(frozen=True)
class ComparisonBatch:
    """Comparisons to be made in many samples of the same classes, whose pairs are summed by type.

    Attributes
    ----------
    comparisons : CleanArrays
    weights : str
    of_types : int ``[n_types]``
        Cohort of each type of pair.
    rows : bool ``[G, C, T]``
        Cohort-years that the comparisons of each cohort read.
    """

    comparisons: CleanArrays
    weights: CohortWeights
    of_types: AnyIntegers
    rows: Flags

    def rows_by_year(self, n_pairs: Array) -> Array:
        """Rows that some comparison reads ``[n_samples, T]``, of pairs of each cohort ``[n_samples, C]``."""
        is_compared = (n_pairs[:, self.comparisons.treated] > 0).astype(np.float64)
        read = np.einsum("sg,gct->sct", is_compared, self.rows.astype(np.float64)) > 0
        return np.asarray(np.einsum("sc,sct->st", n_pairs, read))

    @classmethod
    def of(cls, comparisons: CleanComparisons, types: Sequence[tuple[int, int]]) -> ComparisonBatch:
        """For sums of some types of pairs, the classes of their cities."""
        of_classes = cohorts_by_year(comparisons.adopted).of_classes
        of_types = np.array([of_classes[pair] for pair in types])
        return cls(clean_arrays(comparisons), comparisons.weights, of_types, comparisons.rows_of_each())


def clean_arrays(comparisons: CleanComparisons) -> CleanArrays:
    """The comparisons as arrays."""
    clean = comparisons.clean.astype(np.float64)
    return CleanArrays(comparisons.treated, comparisons.earlier, comparisons.later, clean)


def effects(comparisons: CleanArrays, sums: jax.Array, *, weights: CohortWeights) -> jax.Array:
    """``[K]`` effects by event year; NaN where no cohort and its controls have a pair. A cohort without pairs counts 0.

    Parameters
    ----------
    comparisons : CleanArrays
    sums : float64 ``[C, 1 + T]``
        Pairs of each cohort and sums of their outcomes, up to a number for each cohort and one for each year.
    weights : str
    """
    n_pairs, outcome = sums[:, 0], sums[:, 1:]
    treated, clean = comparisons.treated, comparisons.clean
    changes = outcome[:, comparisons.later] - outcome[:, comparisons.earlier][:, None]  # [C, K, G]
    of_treated = changes[treated, :, np.arange(len(treated))].T
    n_treated = jnp.broadcast_to(n_pairs[treated][None], of_treated.shape)
    n_controls = jnp.einsum("kgc,c->kg", clean, n_pairs)
    of_controls = jnp.einsum("kgc,ckg->kg", clean, changes)
    is_there = (n_treated > 0.5) & (n_controls > 0.5)
    parts = [jnp.where(is_there, part, 0.0) for part in (n_treated, n_controls, of_treated, of_controls)]
    if weights == "stacked":
        return _stacked(*parts)
    return _projected(*parts, equal=weights == "equal")


_EFFECTS: Mapping[CohortWeights, partial[jax.Array]] = MappingProxyType(
    {weights: partial(effects, weights=weights) for weights in get_args(CohortWeights)}
)
"""One function each, since one compiled is found again by its identity."""


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
        Its counts are those of the whole sample, which city-year effects are of.
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
        """The estimate with what a second pass has summed, and the counts of the rows read."""
        counts = self.counts
        return replace(
            summed,
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
) -> ComparisonFit:
    """Estimate effects from type sums, and everything that inference reads.

    Parameters
    ----------
    comparisons : CleanComparisons
    moments : CityMoments
        Of complete pairs.
    classes : int ``[n_units]``
    stage : Stage
        Of the same moments.
    cohort_terms : tuple of Term
        Cohort by cohort, year by year, among those of the stage.
    reported : tuple of Term
        A term an event year.

    Raises
    ------
    InputError
        Where pair-years are missing, or no pair of a cohort and of its controls is left.
    """
    _refuse_missing(moments.layout)
    partition = cohorts_by_year(comparisons.adopted)
    cohorts = _Cohorts(comparisons, cohort_sums(moments, classes, comparisons.years, partition))
    differentiated = differentiate_sums(
        _EFFECTS[comparisons.weights], clean_arrays(comparisons), cohorts.sums.of_cities
    )
    _refuse_unidentified(differentiated.values, reported)
    n_years, compared = comparisons.n_years, comparisons.compared
    return ComparisonFit(
        _estimate(cohorts.sums, differentiated, stage, cohort_terms, reported),
        cohorts.counts(len(reported)),
        tuple(cohort_terms[n_years * cohort + year] for cohort in compared for year in range(n_years)),
        left_out=cohorts.years_of(comparisons.left_out),
        emptied=cohorts.years_of(compared[cohorts.sums.of_one_city()[compared]]),
    )


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
    """Comparisons, and the sums of a sample by their cohorts."""

    comparisons: CleanComparisons
    sums: CohortSums

    def counts(self, n_effects: int) -> dict[str, int]:
        """Sizes of the rows that are read; pair effects are nested in every cluster, year effects in none."""
        n_pairs, read = self.sums.n_pairs, self.comparisons.rows()
        present = self.sums.of_cities[:, :, read.any(axis=1), 0].sum(axis=2) > 0
        return {
            "n_obs": int((n_pairs @ read).sum()),
            "n_pairs": int(n_pairs[read.any(axis=1)].sum()),
            "n_units": int(present.any(axis=0).sum()),
            "n_first": int(present[0].sum()),
            "n_second": int(present[1].sum()),
            "n_parameters": n_effects + int((n_pairs @ read > 0).sum()),
        }

    def years_of(self, cohorts: AnyIntegers) -> tuple[float, ...]:
        """Adoption years of those of some cohorts that have pairs."""
        return tuple(self.comparisons.cohorts[cohorts[self.sums.n_pairs[cohorts] > 0]].tolist())


def _estimate(
    sums: CohortSums,
    differentiated: Differentiated,
    stage: Stage,
    cohort_terms: tuple[Term, ...],
    reported: tuple[Term, ...],
) -> Estimate:
    """Estimate with the paths of weights and residuals on the years of cohorts."""
    normal, n_effects, means = stage.normal, len(reported), sums.means
    of_outcome = differentiated.jacobian[:, :, 1:]
    at_terms = normal.n_years + np.array(normal.positions(cohort_terms))
    residual_path, weight_path = np.zeros(len(normal.total)), np.zeros((len(normal.total), n_effects))
    residual_path[at_terms], residual_path[-1] = -means.ravel(), 1.0
    weight_path[at_terms] = of_outcome.reshape(n_effects, -1).T
    exact = exactness_of_outcome(stage, float(normal.total[-1, -1] - (sums.total[:, 1:] * means).sum()))
    unknown: Array = np.full((n_effects, n_effects), np.nan)
    return Estimate(
        terms=reported,
        values=np.zeros_like(differentiated.values) if exact == "effects" else differentiated.values,
        city_first=differentiated.city_first,
        city_second=differentiated.city_second,
        without_city=differentiated.without_city,
        pair_meat=unknown,
        reciprocal_meat=unknown,
        residual_path=residual_path,
        weight_path=weight_path,
        **sample_counts(normal, n_effects),
        r2=np.nan,
        r2_within=np.nan,
        exact=exact,
        interaction=None,
        takes_both=False,
        is_instrumented=False,
        one_step=None,
        nearby={},
        without_group={},
        share_influence=None,
        resting={},
        share_meat=sums.share_meat(differentiated.jacobian),
    )
