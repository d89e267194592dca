"""Errors that allow for dependence between any two pairs whose cities coincide or are near each other.

    V = max(sum_c psi_c J_B(c) - I_k, I / 4),   I_k = n / (n - rank) sum_p (1 + 2 k_ij) phi_p^2

with psi_c the influence of city c's pairs, and J_B(c) = b - b_(-B(c)) the step of the sample without c and all cities
within the distance: averaged over radii, it weighs two cities by a kernel k of their distance. Shocks of two cities
that correlate are in the products of their influences once, as they should be; the interaction of a pair's own cities
is in them 2 + 2 k_ij times, which I_k takes back but for one. Degrees of freedom are min(G_k, H) - 1/2, at least one,
G_k the effective adopting cities where near ones count as fewer (`Nearby.effective_cities`), H as in `dyadic_cr2`. The
distance must be small beside the map: a coefficient that the samples without neighbourhoods do not identify for more
than a quarter of what counts has no such error.

A code is ``spatial:KILOMETRES:KERNEL``: ``uniform`` counts all cities within the distance alike; ``bartlett`` is the
average of uniform kernels of five radii up to it. Source of dependence by distance: Conley (1999); of pairs: Canen and
Sugiura (2024). The leave-neighbourhood-out form and its degrees of freedom are this project's, checked by simulation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate, Interaction, Nearby
from engine.infer.errors.dyadic_cr2 import FEW, LEAST, bounded, fewest_less_half, floor_notes
from engine.infer.errors.error_type import ErrorFamily, ErrorType, marked_names
from engine.notes import Note

NAME = "spatial"
KERNELS = ("bartlett", "uniform")
FARTHEST_KM = 20_040  # half of the equator
_FORM = "{spatial: {distance: km, kernel: bartlett}}"
_RADII = 5
_MOST_UNIDENTIFIED = 0.25


def code_of(distance: float, kernel: str) -> str:
    """The code of this type with a distance in km."""
    return f"{NAME}:{distance:.12g}:{kernel}"


def is_spatial(code: str) -> bool:
    """Whether a code is one of this type."""
    return code.partition(":")[0] == NAME


def distance_and_kernel(code: str) -> tuple[float, str]:
    """Arguments of `code_of`, from its code."""
    _, distance, kernel = code.split(":")
    return float(distance), kernel


def radii_of(code: str) -> dict[float, float]:
    """Weights of uniform kernels by their radius in km, which add up to one; radius 0 is each city by itself."""
    distance, kernel = distance_and_kernel(code)
    if kernel == "uniform":
        return {distance: 1.0}
    inner = {distance * k / _RADII: 1 / _RADII for k in range(1, _RADII)}
    return {0.0: 0.5 / _RADII, **inner, distance: 0.5 / _RADII}


def kernel_matrix(code: str, distances: Array) -> Array:
    """``[n_units, n_units]`` from distances in km."""
    alone = np.eye(len(distances), distances.shape[1], dtype=bool)
    parts = [weight * (distances <= radius if radius else alone) for radius, weight in radii_of(code).items()]
    return np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def _checked_code(options: Mapping[object, object]) -> str:
    options = {"kernel": "bartlett", **{key: value for key, value in options.items() if value is not None}}
    unknown = sorted(set(options) - {"distance", "kernel"}, key=str)
    if unknown or "distance" not in options:
        problem = f"unknown key '{unknown[0]}'" if unknown else "distance is missing"
        raise ValueError(f"{NAME}: {problem}; it is {_FORM}")
    distance, kernel = options["distance"], options["kernel"]
    if isinstance(distance, bool) or not isinstance(distance, int | float) or not 0 < distance <= FARTHEST_KM:
        raise ValueError(f"{NAME}.distance must be km above 0, up to {FARTHEST_KM:,} (got {distance!r})")
    if kernel not in KERNELS:
        raise ValueError(f"{NAME}.kernel must be {' or '.join(KERNELS)} (got {kernel!r})")
    return code_of(float(distance), str(kernel))


def _options_of(code: str) -> Mapping[object, object] | None:
    parts = code.split(":")
    return {"distance": _number(parts[1]), "kernel": parts[2]} if len(parts) == 3 else None


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


def _error_of(code: str) -> ErrorType:
    return ErrorType(
        partial(_covariance, code),
        partial(_degrees_of_freedom, code),
        robust=True,
        of_interaction=True,
        effective_adopters=partial(_effective_adopters, code),
    )


def _covariance(code: str, estimate: Estimate) -> tuple[Array, tuple[Note, ...]]:
    nearby, interaction = _parts(code, estimate)
    notes: tuple[Note, ...] = ()
    too_wide, few = nearby.unidentified > _MOST_UNIDENTIFIED, nearby.effective_cities < FEW
    if too_wide.any():
        notes += (Note.of("neighbourhoods_too_wide", terms=marked_names(estimate, too_wide)),)
    if (few & ~too_wide).any():
        notes += (Note.of("few_effective_cities", terms=marked_names(estimate, few & ~too_wide)),)
    products = estimate.city_influence.T @ nearby.step
    difference, least = (products + products.T) / 2 - nearby.interaction, LEAST * interaction.matrix
    if not too_wide.any():
        notes += floor_notes(estimate, difference, least)
    matrix = bounded(difference, least)
    matrix[too_wide] = matrix[:, too_wide] = np.nan
    return matrix, notes


def _degrees_of_freedom(code: str, estimate: Estimate) -> Array:
    nearby, interaction = _parts(code, estimate)
    return fewest_less_half(nearby.effective_cities, interaction.weighted_cities)


def _effective_adopters(code: str, estimate: Estimate) -> Array:
    return _parts(code, estimate)[0].effective_cities


def _parts(code: str, estimate: Estimate) -> tuple[Nearby, Interaction]:
    assert estimate.interaction is not None
    return estimate.nearby[code], estimate.interaction


FAMILY = ErrorFamily(
    NAME,
    _FORM,
    schema={
        "type": "object",
        "properties": {
            "distance": {"type": "number", "exclusiveMinimum": 0, "maximum": FARTHEST_KM},
            "kernel": {"enum": list(KERNELS), "type": "string"},
        },
        "required": ["distance"],
        "additionalProperties": False,
    },
    code_of=_checked_code,
    options_of=_options_of,
    error_of=_error_of,
)
