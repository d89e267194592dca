"""Errors that allow for dependence between any two pairs whose cities coincide or are near, however nearness is told.

    V = max(sum_c psi_c J_B(c) - I_k, I / 4),   I_k = n / (n - rank) sum_p (1 + 2 k_ij) phi_p^2

with psi_c the influence of city c's pairs, and J_B(c) = b - b_(-B(c)) the step of the sample without c and all cities
near it: averaged over radii, it weighs two cities by a kernel k of how far apart they are. Shocks of two cities that
correlate are in the products of their influences once, as they should be; the interaction of a pair's own cities is in
them 2 + 2 k_ij times, which I_k takes back but for one. Degrees of freedom are min(G_k, H) - 1/2, at least one, G_k the
effective adopting cities where near ones count as fewer (`Nearby.effective_cities`), H as in `dyadic_cr2`.
Neighbourhoods must be small beside the map: a coefficient that the samples without them do not identify for more than a
quarter of what counts has no such error.

`spatial` measures how far apart two cities are in km, `network` in links. Source of dependence by distance: Conley
(1999); of pairs: Canen and Sugiura (2024). The leave-neighbourhood-out form and its degrees of freedom are this
project's, checked by simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from engine.arrays import Array
from engine.estimate.estimate import Estimate, Interaction, Nearby
from engine.infer.errors.dyadic_cr2 import FEW, LEAST, bounded, fewest_less_half, floor_notes
from engine.infer.errors.error_type import ErrorFamily, ErrorType, marked_names
from engine.notes import Note

KERNELS = ("bartlett", "uniform")
_MOST_UNIDENTIFIED = 0.25


def kernel_matrix(radii: Mapping[float, float], distances: Array) -> Array:
    """``[n_units, n_units]`` from the weights of uniform kernels by radius; radius 0 is each city by itself."""
    alone = np.eye(len(distances), distances.shape[1], dtype=bool)
    kernel = np.zeros(distances.shape)
    for radius, weight in radii.items():
        np.add(kernel, weight, out=kernel, where=distances <= radius if radius else alone)
    return kernel


def checked_kernel(name: str, options: Mapping[object, object], reach: str, form: str) -> object:
    """The reach of some options, which have it and perhaps a kernel; raises ValueError for anything else."""
    unknown = sorted(set(options) - {reach, "kernel"}, key=str)
    if unknown or options.get(reach) is None:
        problem = f"unknown key '{unknown[0]}'" if unknown else f"{reach} is missing"
        raise ValueError(f"{name}: {problem}; it is {form}")
    kernel = options.get("kernel")
    if kernel is not None and kernel not in KERNELS:
        raise ValueError(f"{name}.kernel must be {' or '.join(KERNELS)} (got {kernel!r})")
    return options[reach]


def neighbourhood_family(
    name: str,
    form: str,
    reach: Mapping[str, Mapping[str, object]],
    *,
    code_of: Callable[[Mapping[object, object]], str],
    options_of: Callable[[str], Mapping[object, object] | None],
    radii_of: Callable[[str], Mapping[float, float]],
) -> ErrorFamily:
    """A family of types by how far neighbourhoods reach; ``reach`` is the JSON schema of that key, by its name."""
    return ErrorFamily(
        name,
        form,
        schema={
            "type": "object",
            "properties": {**reach, "kernel": {"enum": list(KERNELS), "type": "string"}},
            "required": list(reach),
            "additionalProperties": False,
        },
        code_of=code_of,
        options_of=options_of,
        error_of=_error_of,
        radii_of=radii_of,
    )


def _error_of(code: str) -> ErrorType:
    """The type of a code whose `Nearby` estimates hold."""
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
