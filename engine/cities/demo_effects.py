"""The effect that `china_demo` is made with: its size by cohort and year, and the filters that give it.

With ``heterogeneous`` a cohort g has, k years after it adopted,

    effect (1.5 - 0.1 (g - 2015)) (1 + 0.3 min(k, 4)),

half as much again in 2015 as in 2020, and growing for four years: no single number is the effect, and a regression that
compares later with earlier adopters is wrong about its average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.arrays import Array, LongIntegers

MOST_HETEROGENEOUS = 0.075
"""Largest ``effect`` with ``heterogeneous``: the first cohort's last effects are 3.3 times as large."""

_PERSISTENCE = 0.6
_FIRST, _LEAD, _FALL = 2015, 1.5, 0.1  # effect of the first cohort, and what each later year takes off
_GROWTH, _GROWING = 0.3, 4  # a year, for so many years


def true_effects(
    effect: float, years: LongIntegers, cohorts: Sequence[int], *, heterogeneous: bool = False
) -> Array:
    """Rise of the expected rho' of pairs with one pilot ``[n_cohorts, n_years]``, zero before adoption."""
    elapsed = years - np.array(cohorts)[:, None]
    sizes = np.full(elapsed.shape, effect)
    if heterogeneous:
        of_cohort = _LEAD - _FALL * (np.array(cohorts)[:, None] - _FIRST)
        sizes = effect * of_cohort * (1 + _GROWTH * np.minimum(elapsed, _GROWING))
    return np.where(elapsed >= 0, sizes, 0.0)


def deviation_filters(years: LongIntegers, effects: Array) -> Array:
    """Maps from white noise to deviations: ``[1 + n_cohorts, n_years, n_years]``, never-adopters first.

    F_g = M D_g M R, with R a root of the AR(0.6) covariance, M the annihilator of [1, C_t] and D_g diagonal
    such that (F_g F_g')_tt is k^2 = 2 exp(-2 effect) - 1 times that of never-adopters (F = M R). D_g is found by
    scaling rows until the variances fit.

    Parameters
    ----------
    years : int array ``[n_years]``
    effects : float64 ``[n_cohorts, n_years]``
        Rise of the expected rho' of pairs with one pilot, from -0.2 to 0.25; see `true_effects`.

    Raises
    ------
    RuntimeError
        Where the scaling has not converged after 500 steps, as it does for every effect in the range.
    """
    without_path = annihilator(years)
    never = without_path @ cycle_root(len(years))
    variance_share = 2 * np.exp(-2 * np.concatenate([np.zeros((1, len(years))), effects])) - 1
    target = (never**2).sum(1) * variance_share
    scale = np.ones_like(target)
    for _ in range(500):
        filters = without_path @ (scale[:, :, None] * never)
        miss = target / (filters**2).sum(2)
        if np.abs(miss - 1).max() < 1e-10:
            return np.asarray(filters)
        scale *= np.sqrt(miss)
    raise RuntimeError(
        f"the filters for effects up to {np.abs(effects).max()} and {len(years)} years have not converged"
    )


def national_path(years: LongIntegers) -> Array:
    """C_t ``[n_years]``: linear, mean 0, variance 1."""
    centred = years - years.mean()
    return np.asarray(centred / centred.std())


def annihilator(years: LongIntegers) -> Array:
    """Symmetric ``[n_years, n_years]``: takes mean and national path out of a series."""
    design = np.column_stack([np.ones(len(years)), national_path(years)])
    return np.asarray(np.eye(len(years)) - design @ np.linalg.pinv(design))


def cycle_root(n_years: int) -> Array:
    """Lower root of the covariance of a stationary AR(0.6) of variance 1."""
    step = np.arange(n_years)
    return np.linalg.cholesky(_PERSISTENCE ** np.abs(step[:, None] - step))
