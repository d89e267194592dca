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


def error_code(value: object) -> Any:
    """The code of `engine.infer.errors.error_type`, of a mapping or of a code as frames have it; words as they are.

    Raises
    ------
    ValueError
        For a mapping that names no type.
    """
    if (
        isinstance(value, str)
        and (family := family_of(value))
        and (options := family.options_of(value)) is not None
    ):
        return family.code_of(options)
    if not isinstance(value, Mapping):
        return value
    (name, of_name), *others = [*value.items()] or [("", None)]
    if others or name not in ERROR_FAMILIES or not isinstance(of_name, Mapping):
        raise ValueError(f"must be a word, or {_FORMS}")
    return ERROR_FAMILIES[name].code_of(of_name)


def _code(value: Any, of_word: ValidatorFunctionWrapHandler) -> str:
    code = error_code(value)
    family = family_of(code) if isinstance(code, str) else None
    return str(code if family and family.options_of(code) is not None else of_word(code))


if TYPE_CHECKING:
    ErrorKind = str
else:  # pydantic reads the names, a type checker cannot
    ErrorKind = Annotated[Literal[tuple(ERROR_TYPES)], WrapValidator(_code), WithJsonSchema(_SCHEMA)]
