"""Errors that allow for dependence between any two pairs whose cities coincide or are a few links apart.

A code is ``network:LINKS:KERNEL``, LINKS the links of the shortest way between two cities that are near, over the table
``panel.links``: ``uniform``, the default, counts all near cities alike; ``bartlett`` weighs a city d links away by
1 - d/(LINKS + 1), the average of the uniform kernels of 0 to LINKS. The covariance is that of
`engine.infer.errors.neighbourhoods`.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.infer.errors.neighbourhoods import checked_kernel, neighbourhood_family

NAME = "network"
MOST_LINKS = 10
_DEFAULT_KERNEL = "uniform"
_FORM = "{network: {links: 2, kernel: uniform}}"


def is_network(code: str) -> bool:
    """Whether a code is one of this type."""
    return code.partition(":")[0] == NAME


def links_and_kernel(code: str) -> tuple[int, str]:
    """Links of the longest way that counts, and the kernel, of a code."""
    _, links, kernel = code.split(":")
    return int(links), kernel


def radii_of(code: str) -> dict[float, float]:
    """Weights of uniform kernels by their radius in links, which add up to one; radius 0 is each city by itself."""
    links, kernel = links_and_kernel(code)
    if kernel == "uniform":
        return {float(links): 1.0}
    return {float(radius): 1 / (links + 1) for radius in range(links + 1)}


def _checked_code(options: Mapping[object, object]) -> str:
    links = checked_kernel(NAME, options, "links", _FORM)
    if isinstance(links, bool) or not isinstance(links, int) or not 1 <= links <= MOST_LINKS:
        raise ValueError(f"{NAME}.links must be a whole number from 1 to {MOST_LINKS} (got {links!r})")
    return f"{NAME}:{links}:{options.get('kernel') or _DEFAULT_KERNEL}"


def _options_of(code: str) -> Mapping[object, object] | None:
    parts = code.split(":")
    if len(parts) != 3:
        return None
    links = int(parts[1]) if parts[1].isascii() and parts[1].isdigit() else parts[1]
    return {"links": links, "kernel": parts[2]}


FAMILY = neighbourhood_family(
    NAME,
    _FORM,
    {"links": {"type": "integer", "minimum": 1, "maximum": MOST_LINKS}},
    code_of=_checked_code,
    options_of=_options_of,
    radii_of=radii_of,
)
