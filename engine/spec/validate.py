"""From plain data to a job or a profile; everything that is wrong is told at once, by file and dotted key."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engine.errors import InputError
from engine.spec.block import FORMS, PATTERNS, Block
from engine.spec.keys import Keys, described_key, keys_at, unknown_key
from engine.spec.plain import half_width, plain_problems, shown
from engine.tables.problems import SeveralProblems

Problems = dict[Keys, tuple[str, str | None]]
Model = TypeVar("Model", bound=Block)

_WORDS = {
    "missing": "is missing",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "list_type": "must be a list, like [a, b]",
    "tuple_type": "must be a list, like [a, b]",
    "dict_type": "must be a mapping, like {key: value}",
    "model_type": "must be a mapping, like {key: value}",
    "model_attributes_type": "must be a mapping, like {key: value}",
}
_WIDE_BRACKETS = ("\uff3b", "\uff5b")
_COMPLETE = ("missing", "extra_forbidden", "value_error")
_OF_CONTENT = ("value_error", "too_short", "too_long")  # the value was of the type


def validate(
    model: type[Model],
    document: Mapping[str, object],
    *,
    file: str,
    written_in: Mapping[Keys, str] | None = None,
    cell: str | None = None,
) -> Model:
    """The job, or profile, that plain data (what YAML gives) describe.

    Parameters
    ----------
    model : class of it
    document : mapping
        ``extends`` already merged.
    file : str
        Named in errors.
    written_in : mapping of keys to str, optional
        The file that wrote a key, where ``extends`` brought several together.
    cell : str, optional
        Label of the cell, named in errors; the job that it is a cell of was validated before, its values too.

    Raises
    ------
    InputError
        One for all problems, each as ``file: dotted.key: what is wrong (got ...)``.
    """
    problems: Problems = {}
    if cell is None:
        problems = {keys: (problem, None) for keys, problem in plain_problems(document)}
    if not problems and (contradiction := model.contradiction(document)):
        problems = {(): (contradiction, None)}
    if problems:
        problems = _with_remedy(problems, model)
        raise all_problems(problems, file=file, written_in=written_in, cell=cell)
    try:
        # Through JSON, whose arrays strict models accept as tuples.
        return model.model_validate_json(json.dumps(document))
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    problems = _with_remedy(_by_key(details, document, model), model)
    raise all_problems(problems, file=file, written_in=written_in, cell=cell)


def _with_remedy(problems: Problems, model: type[Block]) -> Problems:
    """The problems, with the description of the key as a remedy where nothing better is known."""
    if any(remedy for _, remedy in problems.values()):
        return problems
    (keys, (problem, _)), *further = problems.items()
    remedy = None if further else described_key(keys, model)
    return {keys: (problem, remedy or model.keys_listed), **dict(further)}


def all_problems(
    problems: Problems,
    *,
    file: str,
    written_in: Mapping[Keys, str] | None = None,
    cell: str | None = None,
) -> InputError:
    """One error of all problems, each a text and a remedy by key; the first of very many."""
    located = [(_origin(keys, file, written_in or {}), cell, _dotted(keys)) for keys in problems]
    places = [": ".join(part for part in parts if part) for parts in located]
    errors = [
        InputError(problem, where=place, remedy=remedy)
        for place, (problem, remedy) in zip(places, problems.values(), strict=True)
    ]
    return errors[0] if len(errors) == 1 else SeveralProblems(errors, source="", where=file)


def _by_key(errors: list[ErrorDetails], document: Mapping[str, object], model: type[Block]) -> Problems:
    """Problem and remedy by key; the arms of a union, which fail one by one, become one problem.

    Where the value is of the type of some arms, these alone are told.
    """
    grouped: dict[Keys, list[ErrorDetails]] = {}
    for error in errors:
        keys, _ = _lookup(error["loc"], document)
        if error["type"] == "missing":
            keys = tuple(part for part in error["loc"] if part not in FORMS)
        grouped.setdefault(keys, []).append(error)
    problems: Problems = {}
    for keys, arms in grouped.items():
        group = [error for error in arms if error["type"] in _OF_CONTENT] or arms
        messages = list(dict.fromkeys(_problem(error, keys, model) for error in group))
        speaks = any(error["type"] in _COMPLETE or error["loc"][-1:] == ("[key]",) for error in group)
        received = "" if speaks else f" (got {_short(_lookup(keys, document)[1])})"
        causes = (error.get("ctx", {}).get("error") for error in group)
        remedy = next((cause.remedy for cause in causes if isinstance(cause, InputError)), None)
        value = _lookup(keys, document)[1]
        if remedy is None and isinstance(value, str) and value[:1] in _WIDE_BRACKETS:
            remedy = half_width(value)
        choices = [messages[0], *(text.removeprefix("must be ") for text in messages[1:])]
        problems[keys] = " or ".join(choices) + received, remedy
    return problems


def _lookup(location: Keys, document: Any) -> tuple[Keys, object]:
    """The part of a pydantic location that exists in the data (the rest names types), and its value."""
    keys: list[str | int] = []
    for part in location:
        if part in FORMS:
            continue
        in_list = isinstance(document, list) and isinstance(part, int) and part < len(document)
        if not in_list and not (isinstance(document, dict) and part in document):
            break
        document = document[part]
        keys.append(part)
    return tuple(keys), document


def _problem(error: ErrorDetails, keys: Keys, model: type[Block]) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return unknown_key(str(keys[-1]), keys_at(keys[:-1], model) or [])
    if kind == "value_error":
        cause = context["error"]
        return cause.problem if isinstance(cause, InputError) else str(cause)
    if kind == "string_pattern_mismatch":
        requirement = f"must be {PATTERNS.get(context['pattern'], 'like ' + context['pattern'])}"
        return f"the name '{keys[-1]}' {requirement}" if error["loc"][-1] == "[key]" else requirement
    if kind == "too_short":
        least = context["min_length"]
        return f"must have at least {least} {'entry' if least == 1 else 'entries'}"
    if kind == "too_long":
        size = context["actual_length"] or "more"
        return f"has {size} entries, the limit is {context['max_length']:,}"
    text = re.sub(r"^Input should", "must", error["msg"]).replace(" after validation", "")
    return _WORDS.get(kind, text.replace("Tuple", "List"))


def _dotted(keys: Keys) -> str:
    """``pairs.gravity.mass[0]``."""
    return "".join(
        f"[{key}]" if isinstance(key, int) else f".{shown(key, 200)}" for key in keys
    ).removeprefix(".")


def _origin(keys: Keys, file: str, written_in: Mapping[Keys, str]) -> str:
    """The file that wrote the key, or the nearest key above it."""
    nearest = (keys[:length] for length in range(len(keys), 0, -1))
    return next((written_in[prefix] for prefix in nearest if prefix in written_in), file)


def _short(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    return shown(repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
