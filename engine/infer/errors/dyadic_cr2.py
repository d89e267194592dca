"""Leave-one-city-out errors less the interaction of cities that city sums count twice.

    V = max(sum_c psi_c J_c - I, I / 4),   I = n / (n - rank) sum_p phi_p^2

with psi_c the influence of city c's pairs, J_c = b - b_(-c) its exact leave-one-out step, and phi_p the influence of a
pair with what city-year effects leave of its residuals (`engine.estimate.city_years`), n rows and the rank of those
effects. Degrees of freedom are min(G, H) - 1/2, at least one, for each coefficient: G counts the cities whose pairs'
weights move together, H the cities by the weights of their pairs (`Interaction`). A matrix is clipped to be positive
semidefinite and then rescaled, so that every term keeps its own variance. psi_c stands for J_c where a leave-one-out
sample does not identify a coefficient, and throughout for two-stage least squares, whose refits may have any size.
Where effects are absorbed J_c is a refit, or, where a job asks for it, holds them as the whole sample has them (one
step): then V is too small where a city has much of a level.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate, Interaction
from engine.infer.errors.error_type import ErrorType, marked_names
from engine.infer.guard import ROUNDING, semidefinite
from engine.notes import Note

LEAST = 0.25  # of the interaction is the least that a variance may be
FEW = 2.0


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
    products = influence.T @ step
    interaction = _of(estimate).matrix
    return (products + products.T) / 2 - interaction, LEAST * interaction


def degrees_of_freedom(estimate: Estimate) -> Array:
    """``[K]``"""
    interaction = _of(estimate)
    return fewest_less_half(interaction.adopting_cities, interaction.weighted_cities)


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
