"""Effects that the Anderson-Rubin test does not reject, exactly, under any standard-error type.

With pi_D and pi_y the instrument's coefficients in first stage and reduced form, the effect b is rejected where

    (pi_y - b pi_D)^2 > t^2 V(b),

V(b) the variance of the instrument's coefficient in the regression of y - b D, by the type's own rule at b: where a
dyadic variance falls back on its city sums, it does so for the effects for which it must and for no others. V is
quadratic in b between the effects at which a rule takes another form, so that all ends of the set are roots of
quadratics; between them, V itself decides. Source: Anderson and Rubin (1949).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.special import stdtrit

from engine.arrays import Array
from engine.estimate.estimate import Estimate
from engine.estimate.terms import column_terms
from engine.infer.errors import covariances, error_type
from engine.infer.errors.error_type import Covariance
from engine.infer.inversion import ConfidenceSet

_UNKNOWN = ConfidenceSet(((np.nan, np.nan),))
_ROUNDING = 1e-20  # of the variances whose difference V(b) is, where y - b D is explained


def variance_at(joint: Estimate, weights: tuple[float, float], code: str) -> Covariance:
    """The covariance ``[1, 1]`` of a combination of the instrument's coefficients, by the rule of a type.

    Parameters
    ----------
    joint : Estimate
        The instrument's coefficients in reduced form and first stage, see `engine.estimate.instrument.joint_estimate`.
    weights : (float, float)
        (1, -b) for the regression of y - b D on the instrument.
    code : str
        As `error_type` takes it.
    """
    row = np.array([weights])
    combined = joint.combined(column_terms(("the instrument",)), row)
    interaction = joint.interaction
    if interaction is not None:  # G and H are of the instrument, whatever it explains
        interaction = replace(
            interaction,
            matrix=row @ interaction.matrix @ row.T,
            adopting_cities=interaction.adopting_cities[:1],
            weighted_cities=interaction.weighted_cities[:1],
        )
    (covariance,) = covariances(replace(combined, interaction=interaction), [code])
    return covariance


def anderson_rubin_set(joint: Estimate, code: str, *, confidence: float) -> ConfidenceSet | None:
    """The effects that are not rejected; None where all are rejected, NaN where the type has no variance.

    An effect at which a variance is not positive (a two-way one may be) has no test, and is not rejected.

    Parameters
    ----------
    joint, code
        As in `variance_at`.
    confidence : float
    """
    y, d = (float(value) for value in joint.values)
    if joint.exact:
        return ConfidenceSet(((y / d, y / d),)) if d else None
    forms = [form for form in _forms(joint, code) if np.isfinite(form).all()]
    critical = float(stdtrit(variance_at(joint, (1.0, 0.0), code).smallest_dof, 0.5 + confidence / 2)) ** 2
    if not forms or not np.isfinite(critical):
        return _UNKNOWN
    square = np.outer(joint.values, joint.values)
    quadratics = [*(square - critical * form for form in forms), *forms, square]
    ends = np.unique(np.concatenate([_roots(quadratic) for quadratic in quadratics]))
    pieces: list[tuple[float, float]] = []
    for (low, high), effect in zip(pairwise([-np.inf, *ends, np.inf]), _between(ends), strict=True):
        variance = variance_at(joint, (1.0, -effect), code).matrix[0, 0]
        if variance > 0 and (y - effect * d) ** 2 > critical * variance:
            continue
        if pieces and pieces[-1][1] == low:
            pieces[-1] = (pieces[-1][0], float(high))
        else:
            pieces.append((float(low), float(high)))
    if d and _explains(joint, y / d, code) and not any(low <= y / d <= high for low, high in pieces):
        pieces = sorted([*pieces, (y / d, y / d)])
    return ConfidenceSet(tuple(pieces)) if pieces else None


def _explains(joint: Estimate, effect: float, code: str) -> bool:
    """Whether D times this effect is y but for rounding, so that the effect is a point of the set by itself."""
    parts = sum(variance_at(joint, weights, code).matrix[0, 0] for weights in ((1.0, 0.0), (0.0, effect)))
    return bool(variance_at(joint, (1.0, -effect), code).matrix[0, 0] <= _ROUNDING * parts)


def _forms(joint: Estimate, code: str) -> tuple[Array, ...]:
    """Quadratic forms ``[2, 2]`` of (1, -b), one of which V(b) is at every b."""
    error = error_type(code)
    if error.forms is None:
        return (covariances(joint, [code])[0].matrix,)
    return error.forms(joint)


def _roots(form: Array) -> Array:
    """Effects b where (1, -b) form (1, -b)' is zero."""
    a, half, c = form[1, 1], -(form[0, 1] + form[1, 0]) / 2, form[0, 0]
    inner = half * half - a * c
    if inner < 0 or (a == 0 and half == 0):
        return np.empty(0)
    if a == 0:
        return np.array([-c / (2 * half)])
    # The root of larger size first: the other follows from their product without cancellation.
    far = -(half + np.copysign(np.sqrt(inner), half))
    return np.array([far / a, c / far if far else 0.0])


def _between(ends: Array) -> Array:
    """A point before the first end, between every two, and after the last; 0 without ends."""
    if not len(ends):
        return np.zeros(1)
    return np.concatenate(
        [[ends[0] - 1 - abs(ends[0])], (ends[1:] + ends[:-1]) / 2, [ends[-1] + 1 + abs(ends[-1])]]
    )
