"""Standard-error types: one file each, with its covariance, small-sample factor, degrees of freedom and note.

A new type is a file and a line of `ERROR_TYPES`, or of `ERROR_FAMILIES` where it has values of its own. `engine.spec`
reads them for the names that jobs may give and `engine.report` for their order, so nothing here imports JAX.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.estimate.estimate import Estimate
from engine.infer.errors import (
    block_jackknife,
    dyadic,
    dyadic_cr2,
    jackknife,
    network,
    pair,
    spatial,
    two_way,
)
from engine.infer.errors.error_type import Covariance, ErrorFamily, ErrorType, marked_names
from engine.notes import Note

ERROR_TYPES: dict[str, ErrorType] = {
    "pair": pair.ERROR,
    "city": two_way.ERROR,
    "dyadic_cr2": dyadic_cr2.ERROR,
    "dyadic": dyadic.ERROR,
    "jackknife": jackknife.ERROR,
}
"""By the code that ``model.errors`` takes. Among robust types, and among the others, the preferred one is first."""

ERROR_FAMILIES: dict[str, ErrorFamily] = {
    family.name: family for family in (spatial.FAMILY, network.FAMILY, block_jackknife.FAMILY)
}
"""Types with values of their own, robust all of them, by what their codes open with."""

ROBUST = tuple(code for code, error in ERROR_TYPES.items() if error.robust)
CONVENTIONAL = tuple(code for code, error in ERROR_TYPES.items() if not error.robust)
_ROUNDING = 1e-12  # a standard error that is so small a share of its coefficient is no error, but what rounding leaves
STUDENTISING = "dyadic"
"""The type of the t ratios of draws, and of tests of coefficients together, whatever a job prints."""


def error_type(code: str) -> ErrorType:
    """The type of a code: a key of `ERROR_TYPES`, or one of a family."""
    family = family_of(code)
    return family.error_of(code) if family else ERROR_TYPES[code]


def family_of(code: str) -> ErrorFamily | None:
    """The family of a code with values of its own; None for every other text."""
    name, colon, _ = code.partition(":")
    return ERROR_FAMILIES.get(name) if colon else None


def covariances(estimate: Estimate, codes: Sequence[str]) -> tuple[Covariance, ...]:
    """Covariances of an estimate, its pair meat summed, under some standard-error types (see `error_type`)."""
    return tuple(_covariance(estimate, code) for code in codes)


def _covariance(estimate: Estimate, code: str) -> Covariance:
    error = error_type(code)
    dof = error.degrees_of_freedom(estimate)
    effective = error.effective_adopters and error.effective_adopters(estimate)
    if estimate.exact:  # residuals are rounding, and so is every sum of them
        return Covariance(code, np.zeros_like(estimate.pair_meat), dof, (), effective)
    matrix, notes = error.covariance(estimate)
    return _without_cancelled(Covariance(code, matrix, dof, notes, effective), estimate)


def _without_cancelled(covariance: Covariance, estimate: Estimate) -> Covariance:
    """The covariance without terms whose influences add up to rounding in every cluster, as those of two pairs do.

    Where a type has a note on a term's variance, the note stands, and so does the variance.
    """
    cancelled = covariance.matrix.diagonal() <= (_ROUNDING * estimate.values) ** 2
    if cancelled.any():
        replaced = covariance.replaced_terms
        cancelled &= [name not in replaced for name in estimate.names]
    if not cancelled.any():
        return covariance
    note = Note.of("influences_cancel", terms=marked_names(estimate, cancelled), pairs=estimate.n_pairs)
    matrix = np.where(cancelled[:, None] | cancelled[None, :], np.nan, covariance.matrix)
    return replace(covariance, matrix=matrix, notes=(*covariance.notes, note))
