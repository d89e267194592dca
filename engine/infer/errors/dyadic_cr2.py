"""Leave-one-city-out errors less the interaction of cities that city sums count twice.

    V = max(sum_c psi_c J_c - I, I / 4),   I = n / (n - rank) sum_p phi_p^2

with psi_c the influence of city c's pairs (of averages over cohorts, through their shares too), J_c = b - b_(-c) its
exact leave-one-out step, and phi_p the influence of a pair with what city-year effects leave of its residuals
(`engine.estimate.city_years`), n rows and the rank of those effects. Degrees of freedom are min(G, H) - 1/2, at least
one, for each coefficient: G counts the cities whose pairs' weights move together, H the cities by the weights of their
pairs (`Interaction`). A matrix is clipped to be positive semidefinite and then rescaled, so that every term keeps its
own variance. psi_c stands for J_c where a leave-one-out sample does not identify a coefficient, and throughout for
two-stage least squares, whose refits may have any size. Where effects are absorbed J_c is a refit, or, where a job asks
for it, holds them as the whole sample has them (one step): then V is too small where a city has much of a level.

Where the treatment takes both cities of a pair, few pairs bear a coefficient, and each moves with two of few cities:
psi_c then is mostly the pairs' own, which J_c counts many times, and H is near one. There (`CityParts`)

    V = max(sum_c s_c J_c + (1 - m) I', I' / 4),   s_c = sum_t a_ct alpha_ct,   I' = I / (1 - sum_p q_p^2)
with alpha_ct the city-year effects of the residuals, a_ct the sum of the weights of c's pairs, q_p the share of a pair
in the squares of the weights, and m = sum_ct a_ct^2 / n_ct over those squares, n_ct the pairs of c in the year: the
noise of pairs that is in s_c already. H is 1 / [(m/2)^2 (1/H_0 - sum_p q_p^2) + (1-m)^2 sum_p q_p^2], H_0 the H above.
To s_c averages over cohorts add the influence of c through their shares.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import CityParts, Estimate, Interaction
from engine.infer.errors.error_type import ErrorType, marked_names
from engine.infer.guard import ROUNDING, semidefinite
from engine.notes import Note

LEAST = 0.25  # of the interaction is the least that a variance may be
FEW = 2.0
MOST = 1 - 1e-12  # that one pair may bear of a coefficient


def covariance(estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    """Products of influences and steps less the interaction, bounded term by term from below."""
    products, least = forms(estimate)
    notes: tuple[Note, ...] = () if estimate.one_step is None else (Note("one_step_leave_outs"),)
    notes += floor_notes(estimate, products, least)
    matrix = bounded(products, least)
    few = _of(estimate).adopting_cities < FEW
    if few.any():
        notes += (Note.of("few_effective_cities", terms=marked_names(estimate, few)),)
    return matrix, notes


def floor_notes(estimate: Estimate, matrix: Array, least: Array) -> tuple[Note, ...]:
    """A note that names the terms whose variances `bounded` would raise; nothing is said of exact fits."""
    at_floor = np.diag(matrix) < np.diag(least) * (1 - ROUNDING)
    return (Note.of("variance_at_floor", terms=marked_names(estimate, at_floor)),) if at_floor.any() else ()


def bounded(matrix: Array, least: Array) -> Array:
    """A covariance whose variances are at least those of another matrix, positive semidefinite."""
    matrix[np.diag_indices(len(matrix))] = np.maximum(np.diag(matrix), np.diag(least))
    return semidefinite(matrix)


def forms(estimate: Estimate) -> tuple[Array, Array]:
    """Products of influences and steps less the interaction, and the least that a variance may be."""
    influence, one_step = estimate.city_influence, estimate.one_step
    step = estimate.values - (estimate.without_city if one_step is None else one_step)
    step = np.where(np.isnan(step) | estimate.is_instrumented, influence, step)
    interaction = _of(estimate)
    if interaction.city_parts is not None:
        products, least = _forms_of_parts(step, interaction.matrix, interaction.city_parts)
        shares = estimate.share_influence
        return (products if shares is None else products + _symmetric(shares.T @ step)), least
    return _symmetric(influence.T @ step) - interaction.matrix, LEAST * interaction.matrix


def _forms_of_parts(step: Array, matrix: Array, parts: CityParts) -> tuple[Array, Array]:
    """Parts of cities and of pairs; the noise of pairs that is in both is counted once."""
    left = np.sqrt(1 - np.minimum(1 / parts.weighted_pairs, MOST))
    matrix = matrix / np.outer(left, left)
    size = np.sqrt(np.diag(matrix))
    products = _symmetric(parts.values.T @ step)
    return products + matrix - parts.noise * np.outer(size, size), LEAST * matrix


def _symmetric(matrix: Array) -> Array:
    return np.asarray((matrix + matrix.T) / 2)


def degrees_of_freedom(estimate: Estimate) -> Array:
    """``[K]``"""
    interaction = _of(estimate)
    return fewest_less_half(interaction.adopting_cities, _weighted_cities(interaction))


def _weighted_cities(interaction: Interaction) -> Array:
    """H ``[K]``; of parts, by how much of the noise of pairs is in those of the cities."""
    if interaction.city_parts is None:
        return interaction.weighted_cities
    noise, of_pairs = np.diag(interaction.city_parts.noise), 1 / interaction.city_parts.weighted_pairs
    of_cities = 1 / interaction.weighted_cities - of_pairs
    spread = (noise / 2) ** 2 * of_cities + (1 - noise) ** 2 * of_pairs
    return np.asarray(np.divide(1.0, spread, out=np.full_like(spread, np.inf), where=spread > 0))


def fewest_less_half(adopting_cities: Array, weighted_cities: Array) -> Array:
    """Degrees of freedom ``[K]``, at least one."""
    return np.asarray(np.maximum(1.0, np.minimum(adopting_cities, weighted_cities) - 0.5))


def effective_adopters(estimate: Estimate) -> Array:
    """``[K]``, G; infinite where city-year effects leave nothing that a city's pairs have in common."""
    return _of(estimate).adopting_cities


def _of(estimate: Estimate) -> Interaction:
    assert estimate.interaction is not None
    return estimate.interaction


ERROR = ErrorType(
    covariance,
    degrees_of_freedom,
    robust=True,
    leave_outs="one_step",
    of_interaction=True,
    effective_adopters=effective_adopters,
    forms=forms,
)
