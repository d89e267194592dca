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
from engine.estimate.fit import Fit
from engine.infer.guard import guarded_covariances
from engine.infer.summary import t_ratio
from engine.notes import Note


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
    notes : tuple of Note
        For a reader of these errors.
    """

    kind: str
    matrix: Array
    dof: int
    notes: tuple[Note, ...] = ()

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


def covariances(fit: Fit, own: Array, reverse: Array, kinds: tuple[str, ...]) -> tuple[Covariance, ...]:
    """Covariances of a fit under each kind of dependence.

    Parameters
    ----------
    fit : Fit
    own, reverse : float64 ``[K, K]``
        Sum over pairs of psi psi', and over opposite directions of one dyad (zero if undirected).
    kinds : tuple of str
    """
    if fit.exact:  # residuals are rounding, and so is every sum of them
        dof = {"pair": fit.n_pairs - 1, "city": min(fit.n_first, fit.n_second) - 1}
        return tuple(Covariance(kind, np.zeros_like(own), dof.get(kind, fit.n_units - 1)) for kind in kinds)
    makers = {"pair": _pair, "city": _two_way, "dyadic": _dyadic, "jackknife": _jackknife}
    return tuple(makers[kind](fit, own, reverse) for kind in kinds)


def intervals(fit: Fit, covariance: Covariance, confidence: float) -> Interval:
    """Student t inference with the covariance's degrees of freedom."""
    return student(fit.estimate, covariance.std_error, covariance.dof, confidence)


def student(estimate: Array, std_error: Array, dof: Any, confidence: Any) -> Interval:
    """Student t inference of coefficients of any number of fits; arrays of one shape, or numbers for all."""
    statistic = t_ratio(estimate, std_error)
    p_value = 2.0 * stdtr(dof, -np.abs(statistic))
    margin = stdtrit(dof, 0.5 + np.asarray(confidence) / 2.0) * std_error
    return Interval(statistic, p_value, estimate - margin, estimate + margin)


def _parameters(fit: Fit, n_parameters: int) -> float:
    """(n - 1) / (n - K), with K the coefficients and the effects that are not nested in the clusters."""
    return (fit.n_obs - 1) / (fit.n_obs - n_parameters)


def _clusters(n: int) -> float:
    return n / (n - 1)


def dyadic_factor(fit: Fit) -> float:
    """Small-sample factor of the dyadic variance: cities as clusters, and parameters."""
    return _clusters(fit.n_units) * _parameters(fit, fit.n_parameters_city)


def _pair(fit: Fit, own: Array, reverse: Array) -> Covariance:
    return Covariance(
        "pair", own * _clusters(fit.n_pairs) * _parameters(fit, fit.n_parameters), fit.n_pairs - 1
    )


def _two_way(fit: Fit, own: Array, reverse: Array) -> Covariance:
    """V_first + V_second - V_pair, all with the smaller number of clusters (fixest's cluster.df = "min").

    As in fixest, negative eigenvalues are set to zero where a variance is negative. Unlike there, the terms whose
    variance is positive keep it: the matrix is rescaled.
    """
    smallest = min(fit.n_first, fit.n_second)
    if smallest < 2:
        return Covariance("city", np.full_like(own, np.nan), 0, (Note("one_city_in_every_pair"),))
    meat = fit.city_first.T @ fit.city_first + fit.city_second.T @ fit.city_second - own
    matrix = meat * _clusters(smallest) * _parameters(fit, fit.n_parameters_city)
    negative = np.diag(matrix) < 0
    notes: tuple[Note, ...] = ()
    if negative.any():
        values, vectors = np.linalg.eigh(matrix)
        clipped = (vectors * np.maximum(values, 0.0)) @ vectors.T
        before, after = np.diag(matrix), np.diag(clipped)
        back = np.sqrt(np.where(negative | (after <= 0), 1.0, before / np.where(after > 0, after, 1.0)))
        matrix = clipped * np.outer(back, back)
        notes = (Note.of("variance_negative", terms=_terms(fit, negative)),)
    return Covariance("city", matrix, smallest - 1, notes)


def _dyadic(fit: Fit, own: Array, reverse: Array) -> Covariance:
    """City sums minus what they count twice: a pair with itself, and with its reverse.

    A term that this leaves without a positive variance has the city sums alone, see `engine.infer.guard`.
    """
    city = fit.city_first + fit.city_second
    factor = dyadic_factor(fit)
    matrix, replaced = guarded_covariances(city.T @ city, own + reverse)
    notes = (Note.of("variance_not_positive", terms=_terms(fit, replaced)),) if replaced.any() else ()
    return Covariance("dyadic", matrix * factor, fit.n_units - 1, notes)


def _terms(fit: Fit, chosen: Any) -> list[str]:
    return [str(name) for name in np.array(fit.names)[chosen]]


def _jackknife(fit: Fit, own: Array, reverse: Array) -> Covariance:
    used = fit.n_units
    step = fit.without_city - fit.estimate
    unidentified = np.isnan(step).any(axis=1)
    matrix = (used - 1) / used * (step.T @ step)
    notes: tuple[Note, ...] = ()
    if unidentified.any():
        terms = _terms(fit, np.isnan(step).any(axis=0))
        notes = (Note.of("leave_out_unidentified", count=int(unidentified.sum()), terms=terms),)
    return Covariance("jackknife", matrix, used - 1, notes)
