"""The fit of a cell in many samples: a regression, averages over cohorts, or imputed effects."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Flags
from engine.estimate.cohort_effects import cohort_effects
from engine.estimate.cohorts import CohortBatch, ComparisonArrays
from engine.estimate.many_samples import BatchFit, Tested, batch_fit
from engine.estimate.two_stages import WindowArrays, imputed_in_sample, n_year_effects
from engine.float64 import double_precision
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
    if cell.windows is not None:
        return _fit_of_windows(layout, sums, cell, cell.windows, influences=influences)
    return batch_fit(
        layout, sums, cell.paths, regressors=cell.regressors, tested=cell.tested, targets=targets
    )


def _fit_of_cohorts(
    layout: Layout, sums: Array, cell: Tested, cohorts: CohortBatch, *, influences: bool
) -> BatchFit:
    """Averages over cohorts, and their derivatives as weights of the statistics of each type."""
    n_samples, n_types, size = sums.shape
    outcomes = layout.outcomes
    members = cohorts.of_types == np.arange(len(cohorts.is_observed))[:, None]
    by_cohort = np.einsum("gz,dzf->dgf", members.astype(np.float64), sums)
    tested = list(cell.tested)
    of_tested = tuple(tested) if influences else ()
    values, jacobian = _in_parts(
        partial(_averages, cohorts.comparisons, n=cohorts.n_averages, tested=of_tested),
        by_cohort[:, :, [0, *outcomes]],
    )
    values[~_is_complete(layout, by_cohort, cohorts.is_observed)] = np.nan
    weights: Array | None = None
    if influences:
        weights = np.zeros((n_samples, len(tested), 1, n_types, size))
        of_types = jacobian[:, :, cohorts.of_types]
        weights[:, :, 0, :, 0] = of_types[..., 0]
        weights[:, :, 0, :, outcomes] = np.moveaxis(of_types[..., 1:], -1, 0)
        weights[np.isnan(values[:, tested])] = 0.0
    n_dummies = cohorts.is_observed.sum(axis=1) - 1.0
    has_pairs = by_cohort[:, :, 0] > 0
    reference = n_dummies.size - 1 - has_pairs[:, ::-1].argmax(axis=1)  # the last cohort that is there
    n_parameters = has_pairs @ n_dummies - n_dummies[reference] + cohorts.is_observed.any(axis=0).sum()
    return BatchFit(
        estimate=values[:, None],
        residual=np.zeros((n_samples, 1, 0)),
        influence=np.zeros((n_samples, 0, len(tested))),
        n_obs=by_cohort[:, :, 1].sum(axis=1),
        n_parameters=n_parameters,
        type_weights=weights,
    )


@partial(jax.jit, static_argnames=("n", "tested"))
def _averages(
    comparisons: ComparisonArrays, sums: jax.Array, *, n: int, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """The first n values ``[n_samples, n]`` of sums ``[n_samples, G, 1 + T]``, and Jacobians of those tested."""
    return _with_jacobians(lambda of_sample: cohort_effects(comparisons, of_sample)[:n], sums, tested)


def _is_complete(layout: Layout, by_cohort: Array, is_observed: Flags) -> Flags:
    """Samples in which all pairs of a cohort have its years; of statistics ``[n_samples, G, size]``."""
    if layout.balanced:
        return np.ones(len(by_cohort), dtype=bool)
    first, second = layout.year_pairs
    n_years = np.maximum(is_observed.sum(axis=1), 2.0)
    rows = by_cohort[:, :, 4 : 4 + layout.n_ee][:, :, first == second] / (1.0 - 1.0 / n_years)[:, None]
    expected = by_cohort[:, :, :1] * is_observed
    return np.asarray((np.abs(rows - expected) <= 1e-6).all(axis=(1, 2)))


def _fit_of_windows(
    layout: Layout, sums: Array, cell: Tested, windows: WindowArrays, *, influences: bool
) -> BatchFit:
    """Imputed effects and leads, and their derivatives as weights of the statistics of each type."""
    n_samples, tested = len(sums), list(cell.tested)
    values, jacobian = _in_parts(
        partial(_imputed, windows, layout=layout, tested=tuple(tested) if influences else ()), sums
    )
    weights: Array | None = None
    if influences:
        weights = np.where(np.isnan(values[:, tested])[:, :, None, None], 0.0, jacobian)[:, :, None]
    n_effects = len(windows.columns) - 1 + windows.averages.shape[2] - 1
    return BatchFit(
        estimate=values[:, None],
        residual=np.zeros((n_samples, 1, 0)),
        influence=np.zeros((n_samples, 0, len(tested))),
        n_obs=sums[:, :, 1].sum(axis=1),
        n_parameters=n_effects + n_year_effects(layout, windows.untreated, sums).astype(np.float64),
        type_weights=weights,
    )


@partial(jax.jit, static_argnames=("layout", "tested"))
def _imputed(
    windows: WindowArrays, sums: jax.Array, *, layout: Layout, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Values ``[n_samples, K]`` and Jacobians of those tested ``[n_samples, n_tested, n_types, size]``."""
    function = partial(imputed_in_sample(layout), windows)
    return _with_jacobians(function, sums, tested)


def _with_jacobians(
    function: Callable[[jax.Array], jax.Array], sums: jax.Array, tested: tuple[int, ...]
) -> tuple[jax.Array, jax.Array]:
    """Values of every sample, and Jacobians of those tested."""
    values = jax.vmap(function)(sums)
    if not tested:
        return values, jnp.zeros((len(sums), 0, *sums.shape[1:]))
    return values, jax.vmap(jax.jacrev(lambda of_sample: function(of_sample)[np.array(tested)]))(sums)


def _in_parts(function: Callable[[Array], tuple[jax.Array, jax.Array]], sums: Array) -> tuple[Array, Array]:
    """Values and Jacobians of samples, so many at a time."""
    padded = np.concatenate([sums, np.zeros((-len(sums) % _AT_ONCE, *sums.shape[1:]))])
    with double_precision():
        parts = [function(padded[start : start + _AT_ONCE]) for start in range(0, len(padded), _AT_ONCE)]
        values, jacobian = (np.concatenate(part)[: len(sums)] for part in zip(*parts, strict=True))
    return values, jacobian
