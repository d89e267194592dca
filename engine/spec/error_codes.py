"""Standard-error types as job files name them: a word, or a mapping for a type that has values of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from engine.infer.errors import ERROR_TYPES, spatial

_FARTHEST_KM = 20_040  # half of the equator
_FORM = "{spatial: {distance: km, kernel: bartlett}}"
_SCHEMA = {
    "anyOf": [
        {"enum": list(ERROR_TYPES), "type": "string"},
        {
            "type": "object",
            "properties": {
                spatial.NAME: {
                    "type": "object",
                    "properties": {
                        "distance": {"type": "number", "exclusiveMinimum": 0, "maximum": _FARTHEST_KM},
                        "kernel": {"enum": list(spatial.KERNELS), "type": "string"},
                    },
                    "required": ["distance"],
                    "additionalProperties": False,
                }
            },
            "required": [spatial.NAME],
            "additionalProperties": False,
        },
    ]
}


def _code(value: Any, of_word: ValidatorFunctionWrapHandler) -> str:
    """The code of `engine.infer.errors.error_type`."""
    if isinstance(value, str) and value.count(":") == 2 and spatial.is_spatial(value):  # as frames have it
        parts = value.split(":")
        value = {
            spatial.NAME: dict(zip(("distance", "kernel"), (_number(parts[1]), *parts[2:]), strict=False))
        }
    if not isinstance(value, Mapping):
        return str(of_word(value))
    if set(value) != {spatial.NAME} or not isinstance(value[spatial.NAME], Mapping):
        raise ValueError(f"must be a word, or {_FORM}")
    options = {"kernel": "bartlett", **value[spatial.NAME]}
    unknown = sorted(set(options) - {"distance", "kernel"}, key=str)
    if unknown or "distance" not in options:
        problem = f"unknown key '{unknown[0]}'" if unknown else "distance is missing"
        raise ValueError(f"{spatial.NAME}: {problem}; it is {_FORM}")
    distance, kernel = options["distance"], options["kernel"]
    if (
        isinstance(distance, bool)
        or not isinstance(distance, int | float)
        or not 0 < distance <= _FARTHEST_KM
    ):
        raise ValueError(
            f"{spatial.NAME}.distance must be km above 0, up to {_FARTHEST_KM:,} (got {distance!r})"
        )
    if kernel not in spatial.KERNELS:
        raise ValueError(f"{spatial.NAME}.kernel must be {' or '.join(spatial.KERNELS)} (got {kernel!r})")
    return spatial.code_of(float(distance), kernel)


def _number(text: str) -> object:
    try:
        return float(text)
    except ValueError:
        return text


if TYPE_CHECKING:
    ErrorKind = str
else:  # pydantic reads the names, a type checker cannot
    ErrorKind = Annotated[Literal[tuple(ERROR_TYPES)], WrapValidator(_code), WithJsonSchema(_SCHEMA)]
