"""The parts of a standard-error type, and what one may read of an estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from engine.arrays import AnyArray, Array, Flags
from engine.notes import Note

Degrees = int | Array
"""Degrees of freedom of the t distribution: one number for all coefficients, or ``[K]``."""


class ClusteredEstimate(Protocol):
    """An estimate with the influence of every city: what errors are functions of.

    Attributes
    ----------
    names : tuple of str
        Coefficients, K of them.
    values : float64 ``[K]``
    city_first, city_second : float64 ``[n_units, K]``
        Influence of the pairs in which a city stands first (second).
    without_city : float64 ``[n_units, K]``
        Leave-one-city-out coefficients; NaN where one is not identified.
    n_obs, n_pairs, n_units, n_first, n_second : int
        Observations, pairs, cities in them, cities that stand first, second.
    n_parameters, n_parameters_city : int
        Coefficients and effects that are not nested in pairs, or in cities.
    exact : str
        Not empty where the residuals are rounding.
    """

    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def values(self) -> Array: ...
    @property
    def city_first(self) -> Array: ...
    @property
    def city_second(self) -> Array: ...
    @property
    def without_city(self) -> Array: ...
    @property
    def n_obs(self) -> int: ...
    @property
    def n_pairs(self) -> int: ...
    @property
    def n_units(self) -> int: ...
    @property
    def n_first(self) -> int: ...
    @property
    def n_second(self) -> int: ...
    @property
    def n_parameters(self) -> int: ...
    @property
    def n_parameters_city(self) -> int: ...
    @property
    def exact(self) -> str: ...


@dataclass(frozen=True)
class Covariance:
    """Covariance of the coefficients under one standard-error type.

    Attributes
    ----------
    kind : str
        Code of the type, as in ``model.errors``.
    matrix : float64 ``[K, K]``
        NaN in rows of coefficients that have no error.
    dof : int, or float64 ``[K]``
    notes : tuple of Note
        Warnings for readers.
    """

    kind: str
    matrix: Array
    dof: Degrees
    notes: tuple[Note, ...] = ()

    @property
    def std_error(self) -> Array:
        """``[K]`` standard errors."""
        return np.sqrt(np.diag(self.matrix))

    @property
    def dof_of_coefficients(self) -> AnyArray:
        """``[K]`` degrees of freedom."""
        return np.broadcast_to(self.dof, len(self.matrix))

    @property
    def smallest_dof(self) -> float:
        """Degrees of freedom of a test of several coefficients."""
        return float(np.min(self.dof))


@dataclass(frozen=True)
class ErrorType:
    """A standard-error type: a file of this package, and its line in the registry.

    Attributes
    ----------
    covariance : callable
        From an estimate, its pair meat and its reciprocal-pair meat ``[K, K]`` to the covariance ``[K, K]``, its
        small-sample factor included, and notes.
    degrees_of_freedom : callable
        Of an estimate.
    robust : bool
        Allows for dependence between any two pairs that share a city; else the type is conventional, and
        anti-conservative where such pairs depend on each other.
    """

    covariance: Callable[[ClusteredEstimate, Array, Array], tuple[Array, tuple[Note, ...]]]
    degrees_of_freedom: Callable[[ClusteredEstimate], Degrees]
    robust: bool


def marked_names(estimate: ClusteredEstimate, marked: Flags) -> list[str]:
    """Names of the coefficients marked in ``[K]``, for a note."""
    return [name for name, is_marked in zip(estimate.names, marked, strict=True) if is_marked]
