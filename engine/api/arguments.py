"""Arguments of the library, checked where they enter: a wrong one ends in an `InputError` that names it.

What becomes a key of a job is left to the job's own validation, which speaks in the words of the command line.
"""

from __future__ import annotations

import difflib
import inspect
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache, wraps
from numbers import Integral
from pathlib import Path
from types import NoneType, UnionType
from typing import (
    Literal,
    ParamSpec,
    TypeVar,
    Union,
    Unpack,
    get_args,
    get_origin,
    get_type_hints,
)

import numpy as np

from engine.errors import InputError
from engine.runtime.files import check_file_place
from engine.spec import paths
from engine.spec.load import stated_lang
from engine.spec.plain import shown
from engine.stages.error_language import errors_in

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
Hints = Mapping[str, object]

_WORDS: Mapping[object, tuple[str, str]] = {
    str: ("text", 'text in quotes, like "name"'),
    bool: ("True or False", "True or False"),
    int: ("a whole number", "a number like 3"),
    Path: ("a path", 'a path, like "folder/file"'),
    Mapping: ("a mapping", 'a dict, like {"key": "value"}'),
    Sequence: ("a list", 'a list, like ["a", "b"]'),
    tuple: ("a tuple", 'a tuple, like ("a", "b")'),
    Callable: ("a function", "a function, or None for none"),
}
"""By type of an argument: the words for it, and how it is written."""
_PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def checked_arguments(
    *job_keys: str, of_step: bool = False
) -> Callable[[Callable[Arguments, Answer]], Callable[Arguments, Answer]]:
    """A public function that refuses unknown, missing and ill-typed arguments, by its annotations, before it runs.

    Parameters
    ----------
    job_keys : str
        Arguments of any type, as the validation of a job refuses the wrong ones.
    of_step : bool
        The method is called by names of its own, as `twfe` is `estimate`: its first argument is that name.

    Raises
    ------
    InputError
        From the decorated function; it names the argument, its value, and what is possible, in the language of the
        call (``lang``), or else of the job or result.
    """

    def decorated(function: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
        signature = inspect.signature(function)
        name = function.__name__.lstrip("_")
        parameters = [*signature.parameters.values()]
        of_options = signature.replace(
            parameters=parameters[:1] + parameters[2:]
        )  # self, and all but the step

        @cache
        def hints() -> Hints:
            return _hints(function, signature)

        def refuse(args: Sequence[object], keywords: Mapping[str, object]) -> None:
            if of_step and len(args) > 1:
                _refuse_unbound(of_options, [args[0], *args[2:]], keywords, where=str(args[1]))
            else:
                _refuse_unbound(signature, args, keywords, where=name)
            try:
                values = signature.bind(*args, **keywords).arguments
            except TypeError as problem:  # a name that the call has already, such as self
                raise InputError(str(problem), where=name, remedy="take it out") from None
            for argument, value in values.items():
                if argument in hints() and argument not in job_keys:
                    _check_argument(signature.parameters[argument], value, hints()[argument], where=name)

        @wraps(function)
        def checked(*args: Arguments.args, **keywords: Arguments.kwargs) -> Answer:
            with errors_in(lambda: _language(signature, args, keywords)):
                refuse(args, keywords)
                return function(*args, **keywords)

        return checked

    return decorated


def _language(signature: inspect.Signature, args: Sequence[object], keywords: Mapping[str, object]) -> str:
    """The language of a call: its ``lang``, else that of the job, result or table, or of all results, that it is on."""
    lang = keywords.get("lang")
    if isinstance(lang, str) and "lang" in signature.parameters:
        return lang
    first = args[0] if args else keywords.get("origin", keywords.get("fits"))
    if "origin" in signature.parameters and isinstance(first, str | Path | Mapping):
        return stated_lang(first)
    langs = {
        getattr(entry, "lang", None) for entry in (first if isinstance(first, list | tuple) else [first])
    }
    only = langs.pop() if len(langs) == 1 else None
    return only if isinstance(only, str) else "en"


def checked_type(value: object, hint: object, *, where: str) -> None:
    """Raises InputError for a value that is not of the annotated type."""
    if not _fits(value, hint):
        words, examples = zip(*_phrases(hint), strict=True)
        received = repr(value) if isinstance(value, str | int | float | None) else _kind_of(value)
        raise InputError(
            f"must be {' or '.join(words)} (got {shown(received)})",
            where=where,
            remedy=f"write {' or '.join(dict.fromkeys(examples))}",
        )


def checked_choice(name: str, choices: Iterable[str], *, problem: str, where: str) -> None:
    """Raises InputError, with the nearest choice, for a name that is none of the choices."""
    listed = list(choices)
    if name not in listed:
        near = difflib.get_close_matches(name, listed, n=1)
        remedy = f"take one of {', '.join(listed)}" if listed else "leave it out"
        raise InputError(problem, where=where, remedy=f"did you mean '{near[0]}'?" if near else remedy)


def checked_path(path: str | Path, *, where: str) -> Path:
    """The path of a folder or file; raises InputError where nothing could be called so."""
    try:
        return Path(paths.checked_path(os.fspath(path)))
    except InputError as error:
        raise error.at(where) from None


def checked_file(path: str | Path, *, where: str, example: str) -> Path:
    """The path of a file that can be written; raises InputError where it is a folder, or lies in none."""
    file = checked_path(path, where=where)
    check_file_place(file, example=example, argument="the argument path")
    return file


def _hints(function: Callable[..., object], signature: inspect.Signature) -> Hints:
    """Types of the arguments by name; they are read at the first call, as `engine.pipeline` is slow to import."""
    from engine.pipeline import RunKeywords

    annotations = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if parameter.annotation is not inspect.Parameter.empty
    }
    holder = type(function.__name__, (), {"__annotations__": annotations})
    return get_type_hints(holder, inspect.unwrap(function).__globals__, {"RunKeywords": RunKeywords})


def _refuse_unbound(
    signature: inspect.Signature, args: Sequence[object], keywords: Collection[str], *, where: str
) -> None:
    """Raises InputError for arguments that are unknown, missing, given twice or one too many."""
    parameters = {name: entry for name, entry in signature.parameters.items() if name != "self"}
    kinds = [entry.kind for entry in parameters.values()]
    named = {
        name: entry
        for name, entry in parameters.items()
        if entry.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    }
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for name in keywords:
            checked_choice(name, named, problem=f"there is no argument '{name}'", where=where)
    by_place = [name for name, entry in named.items() if entry.kind in _PLACES]
    n_given = len(args) - ("self" in signature.parameters)
    if n_given > len(by_place) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        by_name = [f"{name}=" for name in named if name not in by_place]
        raise InputError(
            f"takes {len(by_place) or 'no'} {'argument' if len(by_place) == 1 else 'arguments'} without a name "
            f"(got {n_given})",
            where=where,
            remedy=f"name them: {', '.join(by_name)}" if by_name else "leave them out",
        )
    for place, name in enumerate(by_place[:n_given]):
        if name in keywords:
            raise InputError(
                f"the argument '{name}' is given twice",
                where=where,
                remedy=f"take {name}= out, or number {place + 1}",
            )
    names_with_value = {*by_place[:n_given], *keywords}
    absent = [
        name
        for name, entry in named.items()
        if entry.default is inspect.Parameter.empty and name not in names_with_value
    ]
    if absent:
        raise InputError(f"the argument '{absent[0]}' is missing", where=where, remedy=f"add {absent[0]}=...")


def _check_argument(parameter: inspect.Parameter, value: object, hint: object, *, where: str) -> None:
    """Check one argument, or every value of ``*names`` and ``**options``."""
    if get_origin(hint) is Unpack and isinstance(value, Mapping):
        (options,) = get_args(hint)
        kinds = get_type_hints(options)
        for name, option in value.items():
            checked_choice(name, kinds, problem=f"there is no argument '{name}'", where=where)
            checked_type(option, kinds[name], where=f"{where}: {name}")
    elif parameter.kind is inspect.Parameter.VAR_KEYWORD and isinstance(value, Mapping):
        for name, option in value.items():
            checked_type(option, hint, where=f"{where}: {name}")
    elif parameter.kind is inspect.Parameter.VAR_POSITIONAL and isinstance(value, tuple):
        for entry in value:
            checked_type(entry, hint, where=f"{where}: {parameter.name}")
    else:
        checked_type(value, hint, where=f"{where}: {parameter.name}")


def _fits(value: object, hint: object) -> bool:
    """Whether a value is of an annotated type; numbers of numpy are numbers, and any iterable but text is a list."""
    kind, arms = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return any(_fits(value, arm) for arm in arms)
    if kind is Literal:
        return isinstance(value, str) and value in arms
    if kind is tuple:
        return (
            isinstance(value, Collection)
            and _is_list(value)
            and len(value) == len(arms)
            and all(map(_fits, value, arms))
        )
    if kind is Mapping:
        return isinstance(value, Mapping) and all(
            _fits(key, arms[0]) and _fits(entry, arms[1]) for key, entry in value.items()
        )
    if kind in (Sequence, Iterable):
        if not isinstance(value, Iterable) or not _is_list(value):
            return False
        return not isinstance(value, Collection) or all(_fits(entry, arms[0]) for entry in value)
    if kind is Callable:
        return callable(value)
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    if hint is int:
        return isinstance(value, Integral) and not isinstance(value, bool)
    if hint is Path:
        return isinstance(value, os.PathLike)
    return isinstance(value, hint) if isinstance(hint, type) else True


def _is_list(value: object) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)


def _phrases(hint: object) -> list[tuple[str, str]]:
    """Words for an annotated type, and how it is written, for each arm of a union but None."""
    kind, arms = get_origin(hint), get_args(hint)
    if kind in (Union, UnionType):
        return [phrase for arm in arms if arm is not NoneType for phrase in _phrases(arm)]
    if kind is Literal:
        choices = " or ".join(f"'{arm}'" for arm in arms)
        return [(choices, choices)]
    words, example = _WORDS.get(kind or hint, (f"a {_title(hint)}", f"a {_title(hint)}"))
    if str in arms[:1]:
        of_text: Mapping[object, str] = {
            Sequence: " of text",
            tuple: f" of {len(arms)} texts",
            Mapping: " whose keys are text",
        }
        words += of_text.get(kind, "")
    return [(words, example)]


def _title(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def _kind_of(value: object) -> str:
    length = f" and length {len(value)}" if isinstance(value, tuple) else ""
    return f"a value of type {type(value).__name__}{length}"
