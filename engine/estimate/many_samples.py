"""Least squares for many samples at once, from their moment matrices: what draws need."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags, check_shape
from engine.estimate.cohorts import CohortBatch
from engine.estimate.comparison_fit import ComparisonBatch
from engine.estimate.normal import SMALLEST, expand, partial_inverse, partial_out_years
from engine.estimate.singletons import year_singletons
from engine.estimate.two_stages import WindowArrays
from engine.pairs.moments import Layout

_NOTHING = 1e-13  # of a row's squares: what rounding may leave of a path that is constant within pairs


@dataclass(frozen=True)
class RowAverages:
    """Averages of coefficients by the rows in which their terms are on.

    Attributes
    ----------
    members : bool ``[n_averages, K]``
        The coefficients of each; a column stands alone in its own.
    """

    members: Flags


@dataclass(frozen=True)
class Tested:
    """One regression whose coefficients are tested.

    Attributes
    ----------
    regressors : tuple of int
        Positions in [columns | terms].
    tested : tuple of int
        Positions in ``regressors``.
    paths : float64 ``[n_types, T, r]``
        Treatment path of each type of pair, in the order of the sums.
    observed : int or None
        Position in [columns | terms] of the treatment that happened, where the test is to be inverted.
    cohorts : CohortBatch or None
        Averages over cohorts that are tested in place of coefficients; then all of them are the ``regressors``.
    windows : WindowArrays or None
        Imputed effects and leads, in the same way; sums are of untreated windows.
    comparisons : ComparisonBatch or None
        Effects beside clean controls, in the same way.
    averages : RowAverages or None
        Of the coefficients of the ``regressors``; ``tested`` then are positions among the averages.
    """

    regressors: tuple[int, ...]
    tested: tuple[int, ...]
    paths: Array
    observed: int | None = None
    cohorts: CohortBatch | None = None
    windows: WindowArrays | None = None
    comparisons: ComparisonBatch | None = None
    averages: RowAverages | None = None

    @property
    def is_regression(self) -> bool:
        """Coefficients themselves are tested."""
        others = (self.cohorts, self.windows, self.comparisons, self.averages)
        return all(part is None for part in others)


@dataclass(frozen=True)
class BatchFit:
    """Coefficients of one regression in many samples.

    Attributes
    ----------
    estimate : float64 ``[n_samples, n_targets, K]``
        NaN where the sample does not identify the coefficient.
    residual : float64 ``[n_samples, n_targets, Q]``
        Coefficients that turn [years | columns | terms | outcome] of a pair into its residual path.
    influence : float64 ``[n_samples, Q, n_tested]``
        Coefficients that turn them into the residualised regressors times the bread, for tested ones; zero where
        not identified.
    n_obs, n_parameters : float64 ``[n_samples]``
        Observations without rows alone in a year; rank of the regressors, and year effects.
    type_weights : float64 ``[n_samples, n_tested, n_targets, n_types, size]`` or None
        Weights as `feature_weights` gives them, of an estimator that has neither residuals nor influences of this form.
    shares : float64 ``[n_samples, n_tested, n_types]`` or None
        What a pair of each type adds to the influences of its cities through the shares of an average, which its own
        influence takes as fixed.
    """

    estimate: Array
    residual: Array
    influence: Array
    n_obs: Array
    n_parameters: Array
    type_weights: Array | None = None
    shares: Array | None = None

    def of_term(self, position: int) -> BatchFit:
        """The same of one of the tested coefficients."""
        place = slice(position, position + 1)
        weights, shares = (
            None if part is None else part[:, place] for part in (self.type_weights, self.shares)
        )
        return replace(self, influence=self.influence[:, :, place], type_weights=weights, shares=shares)


def batch_fit(
    layout: Layout,
    sums: Array,
    paths: Array,
    *,
    regressors: tuple[int, ...],
    tested: tuple[int, ...],
    targets: tuple[int, ...] = (-1,),
) -> BatchFit:
    """OLS with pair and year effects in every sample.

    Parameters
    ----------
    layout : Layout
    sums : float64 ``[n_samples, n_types, size]``
    paths : float64 ``[n_types, T, r]``
        Treatment path of each type.
    regressors : tuple of int
        Positions in [columns | terms] of the regressors.
    tested : tuple of int
        Positions in ``regressors`` whose influence is wanted.
    targets : tuple of int
        Positions in [columns | terms | outcome] of what is regressed; the outcome alone by default.
    """
    check_shape("paths", paths, (None, layout.n_years, None))
    check_shape("sums", sums, (None, len(paths), layout.size))
    matrix, totals = expand(layout, sums, paths[None])
    t = layout.n_years
    projected = partial_out_years(matrix, t, balanced=layout.balanced)
    index, q = list(regressors), projected.q
    aims = list(targets)
    a, b = q[:, index][:, :, index], q[:, index][:, :, aims]
    scale = _lengths(np.diagonal(matrix, axis1=1, axis2=2)[:, t:], totals[:, 1], paths)[:, index]
    scaled = a / scale[:, :, None] / scale[:, None, :]
    bread, identified, rank = _inverses(scaled)
    bread = bread / scale[:, :, None] / scale[:, None, :]
    slopes = np.swapaxes(bread @ b, 1, 2)  # [samples, targets, K]
    bread = np.where(identified[:, None, :], bread, 0.0)
    residual, influence = projected.paths(
        slopes, bread[:, :, list(tested)], regressors=index, instruments=index, outcomes=aims
    )
    estimate = np.where(identified[:, None, :], slopes, np.nan)
    n_obs, n_years = totals[:, 1], (np.diagonal(matrix, axis1=1, axis2=2)[:, :t] > 0).sum(axis=1)
    if not layout.balanced:
        n_singletons, n_years = year_singletons(matrix[:, :t, :t])
        n_obs = n_obs - n_singletons
    return BatchFit(estimate, residual, influence, n_obs, rank + n_years)


def _lengths(squares: Array, n_obs: Array, paths: Array) -> Array:
    """Lengths ``[n_samples, m + r]`` within pairs of columns and terms; infinite where nothing but rounding is left.

    A term whose path is constant in every pair that a sample has is no regressor there: its sums are of the size of
    ``n_obs`` times what rounding leaves of a path.
    """
    rounding = np.zeros_like(squares)
    if paths.shape[2]:
        rounding[:, -paths.shape[2] :] = _NOTHING * n_obs[:, None] * np.abs(paths).max(initial=0.0) ** 2
    return np.where(squares > rounding, np.sqrt(np.maximum(squares, 0.0)), np.inf)


def _inverses(scaled: Array) -> tuple[Array, Flags, AnyIntegers]:
    """`partial_inverse` of ``[n_samples, K, K]``: inverses, ``[n_samples, K]`` and ``[n_samples]``."""
    n_samples, k = scaled.shape[:2]
    regular = np.linalg.eigvalsh(scaled)[:, 0] > SMALLEST
    inverse = np.linalg.inv(np.where(regular[:, None, None], scaled, np.eye(k)))
    identified, rank = np.ones((n_samples, k), dtype=bool), np.full(n_samples, k)
    for sample in np.flatnonzero(~regular):
        inverse[sample], identified[sample], rank[sample] = partial_inverse(scaled[sample])
    return inverse, identified, rank


def feature_weights(layout: Layout, fit: BatchFit, paths: Array) -> Array:
    """Weights w with which a pair's influence on a tested coefficient is its statistics times w.

    With residual coefficients b and influence coefficients g on a pair's own columns (treatment folded into
    the years by the type's path), psi = b' Z'Z g; Z'Z is symmetric and its entries are the statistics.

    Returns
    -------
    float64 ``[n_samples, n_tested, n_targets, n_types, size]``
    """
    if fit.type_weights is not None:
        return fit.type_weights
    return _weights(layout, fit.residual, fit.influence, paths)


def city_feature_weights(layout: Layout, fit: BatchFit, paths: Array) -> Array | None:
    """As `feature_weights`, of what a pair adds to its cities' sums; None where that is its influence.

    The first of a pair's statistics is one.
    """
    if fit.shares is None:
        return None
    weights = np.array(feature_weights(layout, fit, paths))
    weights[:, :, 0, :, 0] += fit.shares
    return weights


def influence_products(
    layout: Layout, products: Array, residual: Array, influence: Array, paths: Array
) -> Array:
    """Sums over pairs of psi psi' of many regressions, from the products of the pairs' statistics.

    psi = statistics w with the weights w of the pair's type (`feature_weights`), so the sum is w' [sum over pairs
    of statistics' statistics] w, added over types.

    Parameters
    ----------
    layout : Layout
    products : float64 ``[n_types, size, size]``
    residual, influence : float64 ``[n_cells, Q]``, ``[n_cells, Q, K]``
        Coefficients on [years | columns | terms | outcome]; K is that of the widest cell, zeros fill the others.
    paths : float64 ``[n_types, T, r]``

    Returns
    -------
    float64 ``[n_cells, K, K]``
    """
    weights = _weights(layout, residual[:, None], influence, paths)[:, :, 0]
    out = np.zeros((len(residual), influence.shape[2], influence.shape[2]))
    for number, of_type in enumerate(products):
        type_weights = weights[:, :, number]
        out += (type_weights @ of_type) @ np.swapaxes(type_weights, 1, 2)
    return out


def _weights(layout: Layout, residual: Array, influence: Array, paths: Array) -> Array:
    """See `feature_weights`; residual ``[n_samples, n_targets, Q]``, influence ``[n_samples, Q, n_tested]``."""
    t, m = layout.n_years, layout.n_columns
    b = _fold(residual, t, m, paths)[:, None]  # [samples, 1, targets, types, T + m]
    g = _fold(np.swapaxes(influence, 1, 2), t, m, paths)[:, :, None]
    return _products(layout, b, g)


def split_weights(layout: Layout, fit: BatchFit, paths: Array) -> tuple[Array, Array]:
    """As `feature_weights`, in two parts: one of all types, one of the treatment path.

    psi = statistics @ first + own @ second, with own what the type's path d makes of the statistics: [pairs, d'EV]
    in balanced layouts, else `path_statistics`. These are far fewer than the statistics where there are few terms,
    and all that differs between types.

    Returns
    -------
    float64 ``[n_samples, n_tested, n_targets, size]``
    float64 ``[n_samples, n_tested, n_targets, n_types, n_own]``
    """
    t, m, r = layout.n_years, layout.n_columns, paths.shape[-1]
    no_paths = np.zeros((1, t, r))
    b = _fold(fit.residual, t, m, no_paths)[:, None, :, 0]
    g = _fold(np.swapaxes(fit.influence, 1, 2), t, m, no_paths)[:, :, None, 0]
    first = _products(layout, b[..., None, :], g[..., None, :])[..., 0, :]
    terms = slice(t + m - 1, t + m - 1 + r)
    rho = fit.residual[:, None, :, terms]
    kappa = np.swapaxes(fit.influence, 1, 2)[:, :, None, terms]
    # (b + rho d)' Z'Z (g + kappa d) less b' Z'Z g: d' Z'Z meets this, and d' Z'Z d what follows.
    columns = rho[..., :, None] * g[..., None, :] + kappa[..., :, None] * b[..., None, :]
    path_products = rho[..., :, None] * kappa[..., None, :]
    lead = columns.shape[:-2]
    if layout.balanced:
        moved = paths - paths.mean(axis=1, keepdims=True)  # EE d = pairs (d - mean d)
        within = np.einsum("ztr,zts->zrs", moved, moved)
        pairs = np.einsum("...rt,ztr->...z", columns[..., :t], moved)
        pairs = pairs + np.einsum("...rs,zrs->...z", path_products, within)
        wide = np.broadcast_to(columns[..., None, :, t:].reshape(*lead, 1, r * m), (*pairs.shape, r * m))
        return first, np.concatenate([pairs[..., None], wide], axis=-1)
    of_path = np.concatenate([columns.reshape(*lead, -1), path_products.reshape(*lead, -1)], axis=-1)
    return first, np.broadcast_to(of_path[..., None, :], (*lead, len(paths), of_path.shape[-1]))


def path_statistics(layout: Layout, paths: Array) -> Array:
    """Matrices that turn a pair's statistics into those that its path d adds, float64 ``[n_types, size, n_own]``.

    [d'EE, d'EV by term, d'EE d by two terms], for layouts that are not balanced.
    """
    n_types, t, r = paths.shape
    m, ev = layout.n_columns, 4 + layout.n_ee
    columns, path_products = (
        np.zeros((n_types, layout.size, r, t + m)),
        np.zeros((n_types, layout.size, r, r)),
    )
    for number, (k, n) in enumerate(zip(*layout.year_pairs, strict=True), start=4):
        for first, second in {(k, n), (n, k)}:
            columns[:, number, :, second] += paths[:, first]
            path_products[:, number] += paths[:, first, :, None] * paths[:, second, None, :]
    for k in range(m):
        columns[:, ev + k : ev + layout.n_ev : m, :, t + k] = paths
    flat = [part.reshape(n_types, layout.size, -1) for part in (columns, path_products)]
    return np.concatenate(flat, axis=-1)


def _products(layout: Layout, b: Array, g: Array) -> Array:
    """Weights of the statistics in b' Z'Z g, for coefficients ``[..., T + m]`` on a pair's own columns."""
    t = layout.n_years
    out = np.zeros((*np.broadcast_shapes(b.shape[:-1], g.shape[:-1]), layout.size))
    be, bv, ge, gv = b[..., :t], b[..., t:], g[..., :t], g[..., t:]
    if layout.balanced:
        out[..., 0] = ((be - be.mean(axis=-1, keepdims=True)) * ge).sum(axis=-1)
    else:
        k, n = layout.year_pairs
        out[..., 4 : 4 + layout.n_ee] = be[..., k] * ge[..., n] + np.where(
            k != n, be[..., n] * ge[..., k], 0.0
        )
    start = 4 + layout.n_ee
    cross = be[..., :, None] * gv[..., None, :] + ge[..., :, None] * bv[..., None, :]
    out[..., start : start + layout.n_ev] = cross.reshape(*cross.shape[:-2], -1)
    k, n = layout.column_pairs
    out[..., start + layout.n_ev :] = bv[..., k] * gv[..., n] + np.where(k != n, bv[..., n] * gv[..., k], 0.0)
    return out


def _fold(coefficients: Array, t: int, m: int, paths: Array) -> Array:
    """``[samples, L, Q]`` on [years | columns | terms | outcome] to ``[samples, L, types, T + m]`` on a pair's own."""
    terms = coefficients[..., t + m - 1 : t + m - 1 + paths.shape[-1]]
    years = coefficients[..., None, :t] + np.einsum("slr,ztr->slzt", terms, paths)
    pair_columns = np.concatenate([coefficients[..., t : t + m - 1], coefficients[..., -1:]], axis=-1)
    wide = np.broadcast_to(pair_columns[..., None, :], (*years.shape[:3], m))
    return np.concatenate([years, wide], axis=-1)
