"""Errors that allow for dependence between any two pairs whose cities coincide or are within a distance in km.

A code is ``spatial:KILOMETRES:KERNEL``: ``uniform`` counts all cities within the distance alike; ``bartlett`` is the
average of uniform kernels of five radii up to it. The covariance is that of `engine.infer.errors.neighbourhoods`.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.infer.errors.neighbourhoods import KERNELS, checked_kernel, neighbourhood_family

NAME = "spatial"
FARTHEST_KM = 20_040  # half of the equator
_FORM = "{spatial: {distance: km, kernel: bartlett}}"
_RADII = 5


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


def _checked_code(options: Mapping[object, object]) -> str:
    distance = checked_kernel(NAME, options, "distance", _FORM)
    if isinstance(distance, bool) or not isinstance(distance, int | float) or not 0 < distance <= FARTHEST_KM:
        raise ValueError(f"{NAME}.distance must be km above 0, up to {FARTHEST_KM:,} (got {distance!r})")
    return code_of(float(distance), str(options.get("kernel") or KERNELS[0]))


def _options_of(code: str) -> Mapping[object, object] | None:
    parts = code.split(":")
    return {"distance": _number(parts[1]), "kernel": parts[2]} if len(parts) == 3 else None


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


FAMILY = neighbourhood_family(
    NAME,
    _FORM,
    {"distance": {"type": "number", "exclusiveMinimum": 0, "maximum": FARTHEST_KM}},
    code_of=_checked_code,
    options_of=_options_of,
    radii_of=radii_of,
)
