"""The parts of a standard-error type, and the covariance that it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.arrays import AnyArray, Array, Flags
from engine.estimate.estimate import Estimate
from engine.notes import Note

REPLACEMENT_CODES = ("variance_not_positive", "variance_negative", "variance_at_floor")
"""Codes of notes on variances that something stands in for: city sums, repaired eigenvalues, a floor."""
Degrees = int | Array
"""Degrees of freedom of the t distribution: one number for all coefficients, or ``[K]``."""


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
    effective_adopters : float64 ``[K]`` or None
        Adopting cities of equal weight that would leave as much to go by, where the type counts them.
    """

    kind: str
    matrix: Array
    dof: Degrees
    notes: tuple[Note, ...] = ()
    effective_adopters: Array | None = None

    @property
    def replaced_terms(self) -> frozenset[str]:
        """Terms whose variance something else stands in for, see `REPLACEMENT_CODES`."""
        notes = (note.values["terms"] for note in self.notes if note.code in REPLACEMENT_CODES)
        return frozenset(str(name) for names in notes if isinstance(names, Sequence) for name in names)

    @property
    def std_error(self) -> Array:
        """``[K]`` standard errors."""
        return np.sqrt(self.matrix.diagonal())

    @property
    def dof_of_coefficients(self) -> AnyArray:
        """``[K]`` degrees of freedom."""
        return np.full(len(self.matrix), self.dof)

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
        From an estimate with its pair meat to the covariance ``[K, K]``, its small-sample factor included, and notes.
    degrees_of_freedom : callable
        Of an estimate.
    robust : bool
        Allows for dependence between any two pairs that share a city; else the type is conventional, and
        anti-conservative where such pairs depend on each other.
    leave_outs : str
        ``refits`` where it reads the leave-one-city-out values as they are, which takes refits where effects are
        absorbed; ``one_step`` where it takes, if a job asks for it, those of the effects as they are.
    of_interaction : bool
        Reads `Estimate.interaction`, for which city-year effects are found before the second pass over the pairs.
    effective_adopters : callable or None
        Of an estimate, see `Covariance`.
    forms : callable or None
        From an estimate to matrices ``[K, K]`` of which the variance of any combination of its coefficients is one's
        quadratic form; None where it is that of the covariance.
    """

    covariance: Callable[[Estimate], tuple[Array, tuple[Note, ...]]]
    degrees_of_freedom: Callable[[Estimate], Degrees]
    robust: bool
    leave_outs: Literal["", "one_step", "refits"] = ""
    of_interaction: bool = False
    effective_adopters: Callable[[Estimate], Array] | None = None
    forms: Callable[[Estimate], tuple[Array, ...]] | None = None


@dataclass(frozen=True)
class ErrorFamily:
    """Standard-error types that differ by values of their own, which their codes hold: ``NAME:VALUES``.

    Attributes
    ----------
    name : str
    form : str
        As a job file writes a member, for messages.
    schema : mapping
        JSON schema of the values.
    code_of : callable
        From the values to the code; raises ValueError for values that it cannot use.
    options_of : callable
        From a code to the values, unchecked; None where the code lacks some.
    error_of : callable
        The standard-error type of a code.
    radii_of : callable or None
        Of a family that reads neighbourhoods of cities: from a code to the weights of uniform kernels by their radius;
        radius 0 is each city by itself.
    """

    name: str
    form: str
    schema: Mapping[str, object]
    code_of: Callable[[Mapping[object, object]], str]
    options_of: Callable[[str], Mapping[object, object] | None]
    error_of: Callable[[str], ErrorType]
    radii_of: Callable[[str], Mapping[float, float]] | None = None


def marked_names(estimate: Estimate, marked: Flags) -> list[str]:
    """Names of the coefficients marked in ``[K]``, for a note."""
    return [name for name, is_marked in zip(estimate.names, marked, strict=True) if is_marked]
