"""Standard-error types as job files name them: a word, or a mapping for a type that has values of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ValidatorFunctionWrapHandler, WithJsonSchema, WrapValidator

from engine.infer.errors import ERROR_FAMILIES, ERROR_TYPES, family_of

_FORMS = " or ".join(family.form for family in ERROR_FAMILIES.values())
_SCHEMA = {
    "anyOf": [
        {"enum": list(ERROR_TYPES), "type": "string"},
        *(
            {
                "type": "object",
                "properties": {name: dict(family.schema)},
                "required": [name],
                "additionalProperties": False,
            }
            for name, family in ERROR_FAMILIES.items()
        ),
    ]
}


def _code(value: Any, of_word: ValidatorFunctionWrapHandler) -> str:
    """The code of `engine.infer.errors.error_type`."""
    family = family_of(value) if isinstance(value, str) else None
    options = family.options_of(value) if family else None
    if family and options is not None:  # a code, as frames have it
        value = {family.name: options}
    if not isinstance(value, Mapping):
        return str(of_word(value))
    (name, options), *others = [*value.items()] or [("", None)]
    if others or name not in ERROR_FAMILIES or not isinstance(options, Mapping):
        raise ValueError(f"must be a word, or {_FORMS}")
    return ERROR_FAMILIES[name].code_of(options)


if TYPE_CHECKING:
    ErrorKind = str
else:  # pydantic reads the names, a type checker cannot
    ErrorKind = Annotated[Literal[tuple(ERROR_TYPES)], WrapValidator(_code), WithJsonSchema(_SCHEMA)]
