"""Residuals and weights of an imputation's pair-years, and their sums by city and year, for `dyadic_cr2`.

The residual of an untreated pair-year is that of the first stage; of a treated one the deviation of its effect from the
mean of its cohort in the year, as a regression with a dummy of each has it. With ~ deviations from a pair's means over
its untreated rows, l_t year effects and d_gt those means,

    e_pt = y~_pt - x~_pt' g - q~_pt ,   q_pt = l_t + d_gt of a treated pair-year
    r_pt = db / dy_pt                   from the Jacobian of the sums that hold the outcome
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.city_years import CityYears, interaction_of_sums
from engine.estimate.estimate import Estimate, Interaction
from engine.estimate.two_stages import TypeParts, WindowArrays, split_sums, symmetric_places
from engine.float64 import double_precision
from engine.pairs.moments import Layout
from engine.pairs.statistic_influences import WindowInteraction, WindowPaths


@dataclass(frozen=True)
class ImputedResiduals:
    """Of one cell.

    Attributes
    ----------
    paths : WindowPaths
        Without effects of cities in years.
    residual_sums : float64 ``[n_units, T]``
        Of e over the pairs of each city.
    weight_sums : float64 ``[n_units, T, K]``
        Of r.
    """

    paths: WindowPaths
    residual_sums: Array
    weight_sums: Array

    def without_cities(self, city_years: CityYears) -> WindowPaths:
        """The paths, with the effects of cities in years that least squares takes off the residuals."""
        return replace(self.paths, city_years=city_years.solve(self.residual_sums[:, :, None])[:, :, 0])

    def interaction(
        self, estimate: Estimate, city_years: CityYears, paths: WindowPaths, sums: WindowInteraction
    ) -> Interaction:
        """The part that the default error subtracts, from sums over the pairs with the paths `without_cities`."""
        of_pairs = interaction_of_sums(
            estimate,
            city_years,
            sums.products,
            self.weight_sums,
            sums.kappa,
            sums.kappa_squares,
            paths.city_years,
        )
        if of_pairs.city_parts is None:
            return of_pairs
        # Of the rows of its cohorts in an average, and of what leads, once fitted, take off the residuals.
        values = of_pairs.city_parts.values + estimate.city_influence - sums.influence
        return replace(of_pairs, city_parts=replace(of_pairs.city_parts, values=values))


def imputed_residuals(
    layout: Layout, arrays: WindowArrays, by_city: Array, jacobian: Array, slopes: Array, years: Array
) -> ImputedResiduals:
    """Residuals of a fit.

    Parameters
    ----------
    layout : Layout
    arrays : WindowArrays
    by_city : float64 ``[2, n_units, n_types, size]``
        Sums of a city's pairs where it stands first, and second.
    jacobian : float64 ``[n_types, size, K]``
    slopes : float64 ``[k]``
    years : float64 ``[T]``
        Effects of the first stage.
    """
    n_years, m, start = layout.n_years, layout.n_columns, 4 + layout.n_ee
    coefficients = np.zeros(m)
    coefficients[arrays.columns] = [*-slopes, 1.0]
    of_outcome = jacobian[:, layout.outcomes]
    products = symmetric_places(m, layout.column_pairs)[-1]  # of every column with the outcome
    of_columns = jacobian[0, start + layout.n_ev + products]
    with double_precision():
        paths, *sums = _sums(
            layout,
            arrays._replace(columns=np.arange(m, dtype=np.int32)),
            jnp.asarray(by_city.sum(axis=0)),
            _cohorts(arrays.untreated),
            tuple(map(jnp.asarray, (coefficients, years, of_outcome, of_columns))),
        )
        residual_sums, weight_sums = map(np.asarray, sums)
    unknown = np.zeros((by_city.shape[1], n_years))
    return ImputedResiduals(
        WindowPaths(of_outcome, of_columns, coefficients, np.asarray(paths), unknown),
        residual_sums,
        weight_sums,
    )


def _cohorts(untreated: Array) -> Integers:
    """Types of pairs by their untreated years, ``[n_types]`` numbers from zero."""
    return np.unique(untreated, axis=0, return_inverse=True)[1].ravel().astype(np.int32)


@partial(jax.jit, static_argnames="layout")
def _sums(
    layout: Layout,
    arrays: WindowArrays,
    by_city: jax.Array,
    cohorts: Integers,
    coefficients: tuple[jax.Array, ...],
) -> tuple[jax.Array, ...]:
    """Paths ``[n_types, T]``, sums of residuals ``[n_units, T]`` and of weights ``[n_units, T, K]``."""
    of_columns, years, of_outcome, of_products = coefficients
    untreated = jnp.asarray(arrays.untreated)
    # Years whose paths make the deviation of a year: its own, and those of the window.
    window_or_own = jnp.maximum(untreated[:, None, :], jnp.eye(layout.n_years)[None])

    def left(parts: TypeParts, paths: jax.Array) -> jax.Array:
        """Sums of residuals ``[n_types, T]``."""
        of_paths = jnp.einsum("zts,zts,zs->zt", parts.ee, window_or_own, paths)
        return parts.ev @ of_columns - of_paths

    def cohort_means(total: TypeParts) -> jax.Array:
        """Of treated pair-years less their imputed outcomes, ``[n_types, T]``; zero where there are none."""
        of_year = jnp.broadcast_to(years, untreated.shape)
        gaps, rows = (1 - untreated) * left(total, of_year), (1 - untreated) * _rows(total)
        gaps, rows = (jax.ops.segment_sum(part, cohorts, len(untreated))[cohorts] for part in (gaps, rows))
        return (1 - untreated) * jnp.where(rows > 0.5, gaps / jnp.where(rows > 0.5, rows, 1.0), 0.0)

    means = cohort_means(split_sums(layout, arrays, by_city.sum(0)))

    def of_city(sums: jax.Array) -> tuple[jax.Array, ...]:
        parts = split_sums(layout, arrays, sums)
        through_window = jnp.einsum("zts,zsk->ztk", parts.ee, of_outcome) + parts.ev @ of_products
        direct = _rows(parts)[:, :, None] * of_outcome
        weights = jnp.where(untreated[:, :, None] > 0, through_window, direct)
        return left(parts, years[None] + means).sum(0), weights.sum(0)

    return years[None] + means, *jax.lax.map(of_city, by_city)


def _rows(parts: TypeParts) -> jax.Array:
    """``[n_types, T]``; of treated years their number."""
    return jnp.diagonal(parts.ee, axis1=1, axis2=2)
