"""Dyadic-robust errors: any two pairs that share a city may correlate.

    V = c (sum_c psi_c psi_c' - sum_p psi_p psi_p' - reciprocal pairs),   c = N/(N-1) (n-1)/(n-K)

with psi_c the influence of the pairs of city c (of averages over cohorts, through their shares too), and N the cities
in a pair; N - 1 degrees of freedom. City sums count a pair with itself, and with its reciprocal of a directed table,
twice. A term that the subtraction leaves without a
positive variance has the city sums alone (`engine.infer.guard`). Sources: Fafchamps and Gubert (2007), Aronow, Samii
and Assenova (2015), Cameron and Miller (2014).

The sample and every draw have their variances from here.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags
from engine.estimate.estimate import Estimate
from engine.infer.errors.error_type import ErrorType, marked_names
from engine.infer.errors.small_sample import city_factor
from engine.infer.guard import guarded_covariances, guarded_variances
from engine.notes import Note


def covariance(estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    """City sums minus what they count twice, guarded term by term."""
    city = estimate.city_influence
    matrix, replaced = guarded_covariances(city.T @ city, estimate.pair_meat + estimate.reciprocal_meat)
    notes: tuple[Note, ...] = ()
    if replaced.any():
        notes = (Note.of("variance_not_positive", terms=marked_names(estimate, replaced)),)
    return matrix * city_factor(estimate), notes


def forms(estimate: Estimate) -> tuple[Array, ...]:
    """City sums less what they count twice, and city sums alone."""
    city, pair = moments(estimate)
    return city - pair, city


def moments(estimate: Estimate) -> tuple[Array, Array]:
    """City sums ``[K, K]``, and what they count twice, times the small-sample factor."""
    city, factor = estimate.city_influence, city_factor(estimate)
    return city.T @ city * factor, (estimate.pair_meat + estimate.reciprocal_meat) * factor


def degrees_of_freedom(estimate: Estimate) -> int:
    """Cities less one."""
    return estimate.n_units - 1


def drawn_variances(city_squares: Array, pair_squares: Array, small_sample: Array | float = 1.0) -> Array:
    """Variances of one coefficient in many samples.

    Parameters
    ----------
    city_squares, pair_squares, small_sample : float64 ``[n_draws]``
        Sums of squared city and pair influences, and each sample's factor.
    """
    with np.errstate(invalid="ignore"):  # as in `drawn_moments`
        return guarded_variances(city_squares, pair_squares)[0] * small_sample


def stand_ins(city_squares: Array, pair_squares: Array) -> Flags:
    """Samples, of those of `drawn_variances`, whose city sums stand in for a difference that is not positive."""
    return guarded_variances(city_squares, pair_squares)[1]


def drawn_moments(city_moments: Array, pair_moments: Array, small_sample: Array) -> tuple[Array, Flags]:
    """City and pair sums of one coefficient's regressions on several targets in many samples, times the factors.

    Parameters
    ----------
    city_moments, pair_moments : float64 ``[n_draws, n_targets, n_targets]``
        Sums of products of the targets' city and pair influences; the outcome is the first target.
    small_sample : float64 ``[n_draws]``

    Returns
    -------
    float64 ``[2, n_draws, n_targets, n_targets]``
        City sums, and pair sums; the difference is guarded where it is a variance (`drawn_variances`).
    bool ``[n_draws]``
        Draws whose outcome has no positive variance, so that city sums stand in.
    """
    replaced = stand_ins(city_moments[:, 0, 0], pair_moments[:, 0, 0])
    with np.errstate(
        invalid="ignore"
    ):  # a draw with one city, or no degree of freedom, has none: 0 times infinity
        return np.stack([city_moments, pair_moments]) * small_sample[:, None, None], replaced


ERROR = ErrorType(covariance, degrees_of_freedom, robust=True, forms=forms)
