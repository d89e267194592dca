"""Standard errors of dyadic regressions, side by side.

With pair influences psi_p (bread times score, summed over years) and city sums psi_c over the pairs of c:

    pair       sum_p psi_p psi_p'                                    clusters are pairs
    city       two-way by first and second city                      depends on the order of the cities
    dyadic     sum_c psi_c psi_c' - sum_p psi_p psi_p'               any two pairs that share a city may correlate
    jackknife  (N-1)/N sum_c (b_(-c) - b)(b_(-c) - b)'               leave one city out (CRV3)

Sources: Fafchamps and Gubert (2007), Aronow, Samii and Assenova (2015), Cameron and Miller (2014), Cameron,
Gelbach and Miller (2011), MacKinnon, Nielsen and Webb (2023); corrections as fixest's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtr, stdtrit

from engine.arrays import Array
from engine.estimate.estimate import Estimate
from engine.infer.guard import guarded_covariances
from engine.infer.summary import t_ratio


@dataclass(frozen=True)
class Covariance:
    """Covariance of the coefficients under one kind of dependence.

    Attributes
    ----------
    kind : str
        ``pair | city | dyadic | jackknife``.
    matrix : float64 ``[K, K]``
        NaN in rows whose coefficient a leave-one-out sample does not identify.
    dof : int
        Degrees of freedom of the t distribution.
    note : str
        What a reader should know; empty if nothing.
    """

    kind: str
    matrix: Array
    dof: int
    note: str = ""

    @property
    def std_error(self) -> Array:
        """``[K]`` standard errors."""
        return np.sqrt(np.diag(self.matrix))


@dataclass(frozen=True)
class Interval:
    """t statistic, two-sided p-value and confidence interval; float64 ``[K]`` each."""

    statistic: Array
    p_value: Array
    low: Array
    high: Array


def covariances(fit: Estimate, own: Array, reverse: Array, kinds: tuple[str, ...]) -> tuple[Covariance, ...]:
    """Covariances of a fit under each kind of dependence.

    Parameters
    ----------
    fit : Estimate
    own, reverse : float64 ``[K, K]``
        Sum over pairs of psi psi', and over opposite directions of one dyad (zero if undirected).
    kinds : tuple of str
    """
    if fit.exact:  # residuals are rounding, and so is every sum of them
        dof = {"pair": fit.n_pairs - 1, "city": min(fit.n_first, fit.n_second) - 1}
        return tuple(Covariance(kind, np.zeros_like(own), dof.get(kind, fit.n_units - 1)) for kind in kinds)
    makers = {"pair": _pair, "city": _two_way, "dyadic": _dyadic, "jackknife": _jackknife}
    return tuple(makers[kind](fit, own, reverse) for kind in kinds)


def intervals(fit: Estimate, covariance: Covariance, confidence: float) -> Interval:
    """Student t inference with the covariance's degrees of freedom."""
    return student(fit.values, covariance.std_error, covariance.dof, confidence)


def student(estimate: Array, std_error: Array, dof: Any, confidence: Any) -> Interval:
    """Student t inference of coefficients of any number of fits; arrays of one shape, or numbers for all."""
    statistic = t_ratio(estimate, std_error)
    p_value = 2.0 * stdtr(dof, -np.abs(statistic))
    margin = stdtrit(dof, 0.5 + np.asarray(confidence) / 2.0) * std_error
    return Interval(statistic, p_value, estimate - margin, estimate + margin)


def _parameters(fit: Estimate, n_parameters: int) -> float:
    """(n - 1) / (n - K), with K the coefficients and the effects that are not nested in the clusters."""
    return (fit.n_obs - 1) / (fit.n_obs - n_parameters)


def _clusters(n: int) -> float:
    return n / (n - 1)


def dyadic_factor(fit: Estimate) -> float:
    """Small-sample factor of the dyadic variance: cities as clusters, and parameters."""
    return _clusters(fit.n_units) * _parameters(fit, fit.n_parameters_city)


def _pair(fit: Estimate, own: Array, reverse: Array) -> Covariance:
    return Covariance(
        "pair", own * _clusters(fit.n_pairs) * _parameters(fit, fit.n_parameters), fit.n_pairs - 1
    )


def _two_way(fit: Estimate, own: Array, reverse: Array) -> Covariance:
    """V_first + V_second - V_pair, all with the smaller number of clusters (fixest's cluster.df = "min").

    As in fixest, negative eigenvalues are set to zero where a variance is negative. Unlike there, the terms whose
    variance is positive keep it: the matrix is rescaled.
    """
    smallest = min(fit.n_first, fit.n_second)
    if smallest < 2:
        note = "one city stands first, or second, in every pair: two-way errors need two clusters each way"
        return Covariance("city", np.full_like(own, np.nan), 0, note)
    meat = fit.city_first.T @ fit.city_first + fit.city_second.T @ fit.city_second - own
    matrix, note = meat * _clusters(smallest) * _parameters(fit, fit.n_parameters_city), ""
    negative = np.diag(matrix) < 0
    if negative.any():
        values, vectors = np.linalg.eigh(matrix)
        clipped = (vectors * np.maximum(values, 0.0)) @ vectors.T
        before, after = np.diag(matrix), np.diag(clipped)
        back = np.sqrt(np.where(negative | (after <= 0), 1.0, before / np.where(after > 0, after, 1.0)))
        matrix = clipped * np.outer(back, back)
        note = (
            f"the variance is negative for {_listed(fit, negative)}; negative eigenvalues of the covariance are set "
            "to zero, and the other terms keep their own variances"
        )
    return Covariance("city", matrix, smallest - 1, note)


def _dyadic(fit: Estimate, own: Array, reverse: Array) -> Covariance:
    """City sums minus what they count twice: a pair with itself, and with its reverse.

    A term that this leaves without a positive variance has the city sums alone, see `engine.infer.guard`.
    """
    city = fit.city_first + fit.city_second
    factor = dyadic_factor(fit)
    matrix, replaced = guarded_covariances(city.T @ city, own + reverse)
    note = ""
    if replaced.any():
        note = (
            f"the variance is not positive for {_listed(fit, replaced)}; the city sums without the subtraction are "
            "shown there, and there alone"
        )
    return Covariance("dyadic", matrix * factor, fit.n_units - 1, note)


def _listed(fit: Estimate, chosen: Any) -> str:
    return ", ".join(np.array(fit.names)[chosen])


def _jackknife(fit: Estimate, own: Array, reverse: Array) -> Covariance:
    used = fit.n_units
    step = fit.without_city - fit.values
    unidentified = np.isnan(step).any(axis=1)
    matrix = (used - 1) / used * (step.T @ step)
    note = ""
    if unidentified.any():
        lost = _listed(fit, np.isnan(step).any(axis=0))
        note = f"{int(unidentified.sum())} leave-one-city-out samples do not identify {lost}"
    return Covariance("jackknife", matrix, used - 1, note)
