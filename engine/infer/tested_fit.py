"""The fit of a cell in many samples: a regression, averages of its coefficients or over cohorts, imputed effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyIntegers, Array, Flags
from engine.estimate.cohort_effects import cohort_effects
from engine.estimate.cohorts import CohortBatch, ComparisonArrays
from engine.estimate.comparison_fit import CleanArrays, ComparisonBatch, effects
from engine.estimate.gradient import in_turn
from engine.estimate.many_samples import BatchFit, RowAverages, Tested, batch_fit
from engine.estimate.row_counts import complete_rows
from engine.estimate.two_stages import WindowArrays, imputed_in_sample, n_year_effects
from engine.float64 import double_precision
from engine.pairs.clean_comparisons import CohortWeights
from engine.pairs.moments import Layout

_AT_ONCE = 64  # samples of one call, whatever their number: one compilation


def tested_fit(
    layout: Layout, sums: Array, cell: Tested, *, targets: tuple[int, ...] = (-1,), influences: bool = True
) -> BatchFit:
    """Estimates of a cell in every sample, from pair statistics summed by type ``[n_samples, n_types, size]``.

    ``targets`` as in `batch_fit`. Without ``influences`` averages over cohorts and imputed effects have no derivatives.
    """
    if cell.cohorts is not None:
        return _fit_of_cohorts(layout, sums, cell, cell.cohorts, influences=influences)
    if cell.comparisons is not None:
        return _fit_of_comparisons(layout, sums, cell, cell.comparisons, influences=influences)
    if cell.averages is not None:
        return _fit_of_averages(layout, sums, cell, cell.averages, influences=influences)
    if cell.windows is not None:
        return _fit_of_windows(layout, sums, cell, cell.windows, influences=influences)
    return batch_fit(
        layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested, targets=targets
    )


def _fit_of_cohorts(
    layout: Layout, sums: Array, cell: Tested, cohorts: CohortBatch, *, influences: bool
) -> BatchFit:
    """Averages over cohorts, and their derivatives as weights of the statistics of each type."""
    function = partial(_averages, cohorts.comparisons, n=cohorts.n_averages)
    n_dummies = cohorts.is_observed.sum(axis=1) - 1.0
    by_cohort = _sums_by_cohort(sums, cohorts.of_types, len(n_dummies))
    has_pairs = by_cohort[:, :, 0] > 0
    reference = n_dummies.size - 1 - has_pairs[:, ::-1].argmax(axis=1)  # the last cohort that is there
    n_parameters = has_pairs @ n_dummies - n_dummies[reference] + cohorts.is_observed.any(axis=0).sum()
    sizes = by_cohort[:, :, 1].sum(axis=1), n_parameters
    is_complete = _is_complete(layout, by_cohort, cohorts.is_observed)
    sample = _CohortSample(by_cohort, cohorts.of_types, is_complete, *sizes)
    return _fit_of_sums(layout, sample, cell, function, influences=influences)


def _fit_of_comparisons(
    layout: Layout, sums: Array, cell: Tested, batch: ComparisonBatch, *, influences: bool
) -> BatchFit:
    """Effects beside clean controls, and their derivatives as weights of the statistics of each type."""
    function = partial(_effects, batch.comparisons, weights=batch.weights)
    _, n_cohorts, n_years = batch.rows.shape
    by_cohort = _sums_by_cohort(sums, batch.of_types, n_cohorts)
    rows = batch.rows_by_year(by_cohort[:, :, 0])
    sizes = rows.sum(axis=1), len(cell.regressors) + (rows > 0).sum(axis=1).astype(np.float64)
    is_complete = _is_complete(layout, by_cohort, np.ones((n_cohorts, n_years), dtype=bool))
    sample = _CohortSample(by_cohort, batch.of_types, is_complete, *sizes)
    return _fit_of_sums(layout, sample, cell, function, influences=influences)


def _sums_by_cohort(sums: Array, of_types: AnyIntegers, n_cohorts: int) -> Array:
    """``[n_samples, n_cohorts, size]``"""
    members = of_types == np.arange(n_cohorts)[:, None]
    return np.asarray(np.einsum("gz,dzf->dgf", members.astype(np.float64), sums))


class _CohortSample(NamedTuple):
    """Statistics of many samples by cohort, and their sizes.

    Attributes
    ----------
    sums : float64 ``[n_samples, G, size]``
    of_types : int ``[n_types]``
        Cohort of each type of pair.
    is_complete : bool ``[n_samples]``
    n_obs, n_parameters : float64 ``[n_samples]``
    """

    sums: Array
    of_types: AnyIntegers
    is_complete: Flags
    n_obs: Array
    n_parameters: Array


def _fit_of_sums(
    layout: Layout,
    sample: _CohortSample,
    cell: Tested,
    function: Callable[..., tuple[jax.Array, jax.Array]],
    *,
    influences: bool,
) -> BatchFit:
    """Values of a function of counts and outcomes of cohorts, and its derivatives as weights of the statistics."""
    n_samples, _, size = sample.sums.shape
    tested, outcomes = list(cell.tested), layout.outcomes
    values, jacobian = _in_parts(
        partial(function, tested=tuple(tested) if influences else ()), sample.sums[:, :, [0, *outcomes]]
    )
    values[~sample.is_complete] = np.nan
    weights: Array | None = None
    if influences:
        weights = np.zeros((n_samples, len(tested), 1, len(sample.of_types), size))
        of_each = jacobian[:, :, sample.of_types]
        weights[:, :, 0, :, 0] = of_each[..., 0]
        weights[:, :, 0, :, outcomes] = np.moveaxis(of_each[..., 1:], -1, 0)
        weights[np.isnan(values[:, tested])] = 0.0
    return _without_paths(values, len(tested), (sample.n_obs, sample.n_parameters), weights)


def _without_paths(
    values: Array, n_tested: int, sizes: tuple[Array, Array], weights: Array | None
) -> BatchFit:
    """A fit that has weights of statistics alone; ``sizes``: observations and parameters ``[n_samples]``."""
    n_samples = len(values)
    return BatchFit(
        estimate=values[:, None],
        residual=np.zeros((n_samples, 1, 0)),
        influence=np.zeros((n_samples, 0, n_tested)),
        n_obs=sizes[0],
        n_parameters=sizes[1],
        type_weights=weights,
    )


@partial(jax.jit, static_argnames=("n", "tested"))
def _averages(
    comparisons: ComparisonArrays, sums: jax.Array, *, n: int, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """The first n values ``[n_samples, n]`` of sums ``[n_samples, G, 1 + T]``, and Jacobians of those tested."""
    return _with_jacobians(lambda of_sample: cohort_effects(comparisons, of_sample)[:n], sums, tested)


@partial(jax.jit, static_argnames=("weights", "tested"))
def _effects(
    comparisons: CleanArrays, sums: jax.Array, *, weights: CohortWeights, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """As `_averages`, of effects beside clean controls."""
    return _with_jacobians(partial(effects, comparisons, weights=weights), sums, tested)


def _is_complete(layout: Layout, by_cohort: Array, is_observed: Flags) -> Flags:
    """Samples in which all pairs of a cohort have its years; of statistics ``[n_samples, G, size]``."""
    if layout.balanced:
        return np.ones(len(by_cohort), dtype=bool)
    first, second = layout.year_pairs
    n_years = np.maximum(is_observed.sum(axis=1), 2.0)
    rows = by_cohort[:, :, 4 : 4 + layout.n_ee][:, :, first == second] / (1.0 - 1.0 / n_years)[:, None]
    expected = by_cohort[:, :, :1] * is_observed
    return np.asarray((np.abs(rows - expected) <= 1e-6).all(axis=(1, 2)))


def _fit_of_averages(
    layout: Layout, sums: Array, cell: Tested, averages: RowAverages, *, influences: bool
) -> BatchFit:
    """Averages of a regression's coefficients by rows, which the influences of pairs take as fixed."""
    k, n_columns, tested = len(cell.regressors), layout.n_columns - 1, list(cell.tested)
    fit = batch_fit(
        layout,
        sums,
        cell.paths,
        regressors=cell.regressors,
        tested=tuple(range(k)) if influences else (),
    )
    rows, is_complete = complete_rows(layout, sums)
    ones = np.ones((*rows.shape[:2], n_columns))  # a column counts as itself
    of_pairs = np.concatenate([ones, np.einsum("szt,ztr->szr", rows > 0, cell.paths)], axis=2)
    counts = np.concatenate([ones[:, 0], np.einsum("szt,ztr->sr", rows, cell.paths)], axis=1)
    places = list(cell.regressors)
    of_pairs, counts = of_pairs[:, :, places], counts[:, places]
    total = counts @ averages.members.T
    weights = averages.members * counts[:, None] / np.where(total > 0, total, np.nan)[:, :, None]
    slopes = fit.estimate[:, 0]
    values = np.where(weights == 0, 0.0, weights * slopes[:, None]).sum(axis=2)
    values[~is_complete.all(axis=1)] = np.nan
    if not influences:
        return replace(fit, estimate=values[:, None])
    is_known = ~np.isnan(values[:, tested])
    weights = np.where(is_known[:, :, None], weights[:, tested], 0.0)
    is_average = np.array([place >= n_columns for place in places])
    gaps = np.where(weights[..., is_average] == 0, 0.0, slopes[:, None, is_average] - values[:, tested, None])
    by_row = np.where(is_known, 1 / np.where(total > 0, total, np.nan)[:, tested], 0.0)
    return replace(
        fit,
        estimate=values[:, None],
        influence=fit.influence @ np.swapaxes(weights, 1, 2),
        shares=np.einsum("szk,sak->saz", of_pairs[:, :, is_average], gaps) * by_row[:, :, None],
    )


def _fit_of_windows(
    layout: Layout, sums: Array, cell: Tested, windows: WindowArrays, *, influences: bool
) -> BatchFit:
    """Imputed effects and leads, and their derivatives as weights of the statistics of each type."""
    tested = list(cell.tested)
    values, jacobian = _in_parts(
        partial(_imputed, windows, layout=layout, tested=tuple(tested) if influences else ()), sums
    )
    weights: Array | None = None
    if influences:
        weights = np.where(np.isnan(values[:, tested])[:, :, None, None], 0.0, jacobian)[:, :, None]
    n_effects = len(windows.columns) - 1 + windows.averages.shape[2] - 1
    n_years = n_year_effects(layout, windows.untreated, sums).astype(np.float64)
    return _without_paths(values, len(tested), (sums[:, :, 1].sum(axis=1), n_effects + n_years), weights)


@partial(jax.jit, static_argnames=("layout", "tested"))
def _imputed(
    windows: WindowArrays, sums: jax.Array, *, layout: Layout, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Values ``[n_samples, K]`` and Jacobians of those tested ``[n_samples, n_tested, n_types, size]``."""
    function = partial(imputed_in_sample(layout), windows)
    return in_turn(lambda of_sample: _with_jacobian(function, of_sample, tested), sums)


def _with_jacobians(
    function: Callable[[jax.Array], jax.Array], sums: jax.Array, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Values of every sample, and Jacobians of those tested; of a function that solves no system."""
    return jax.vmap(lambda of_sample: _with_jacobian(function, of_sample, tested))(sums)


def _with_jacobian(
    function: Callable[[jax.Array], jax.Array], sums: jax.Array, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Values of one sample, and the Jacobian of those tested."""
    if not tested:
        return function(sums), jnp.zeros((0, *sums.shape))

    def tested_and_all(of_sample: jax.Array) -> tuple[jax.Array, jax.Array]:
        values = function(of_sample)
        return values[np.array(tested)], values

    jacobian, values = jax.jacrev(tested_and_all, has_aux=True)(sums)
    return values, jacobian


def _in_parts(function: Callable[[Array], tuple[jax.Array, jax.Array]], sums: Array) -> tuple[Array, Array]:
    """Values and Jacobians of samples, so many at a time."""
    padded = np.concatenate([sums, np.zeros((-len(sums) % _AT_ONCE, *sums.shape[1:]))])
    with double_precision():
        parts = [function(padded[start : start + _AT_ONCE]) for start in range(0, len(padded), _AT_ONCE)]
        values, jacobian = (np.concatenate(part)[: len(sums)] for part in zip(*parts, strict=True))
    return values, jacobian
