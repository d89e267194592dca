"""Errors in the language of the job that they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from engine.errors import InputError, RunError
from engine.spec.load import stated_lang

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
Origin = str | Path | Mapping[str, object]


@contextmanager
def worded_errors(job: Origin, overrides: Sequence[str] = (), lang: str | None = None) -> Iterator[None]:
    """A boundary around work on a job: its errors come out in ``lang``, or else in the job's language.

    Parameters
    ----------
    job : path of a job file, or the mapping that one would hold
    overrides : sequence of str
        ``dotted.key=value``, which may set the language.
    lang : str, optional
    """
    try:
        yield
    except (InputError, RunError) as error:
        from engine.report.language.error_words import worded_error

        worded = worded_error(error, lang or stated_lang(job, overrides))
        if worded is error:
            raise
        raise worded.with_traceback(error.__traceback__) from error.__cause__


def worded_for_job(function: Callable[Arguments, Answer]) -> Callable[Arguments, Answer]:
    """Decorates a function whose first argument is ``job`` with `worded_errors`.

    It may have the keywords ``overrides`` and ``lang``.
    """

    @wraps(function)
    def worded(*args: Arguments.args, **keywords: Arguments.kwargs) -> Answer:
        job = cast("Origin", args[0] if args else keywords.get("job", {}))
        overrides = cast("Sequence[str]", keywords.get("overrides", ()))
        with worded_errors(job, overrides, cast("str | None", keywords.get("lang"))):
            return function(*args, **keywords)

    return worded
