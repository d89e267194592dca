"""Errors in the language of the job that they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

from engine.errors import InputError, RunError
from engine.report.language.wording import Words, known_words
from engine.spec.load import find_jobs, stated_lang

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")
AnyError = TypeVar("AnyError", bound=Exception)
Origin = str | Path | Mapping[str, object]

_ENGLISH = ("error: ", "failed: ")  # labels of errors that no boundary has worded


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
    with errors_in(lambda: lang or stated_lang(job, overrides)):
        yield


@contextmanager
def errors_in(lang: Callable[[], str]) -> Iterator[None]:
    """A boundary around any work: its errors come out in the language that a function gives, once there is one.

    What a boundary within has worded stays as it is.
    """
    try:
        yield
    except (InputError, RunError) as error:
        worded = in_language(error, lang())
        if worded is error:
            raise
        raise worded.with_traceback(error.__traceback__) from error.__cause__


def in_language(error: AnyError, lang: str) -> AnyError | InputError | RunError:
    """The error in a language; as it is where it was worded before, or is none of this package."""
    if not isinstance(error, InputError | RunError) or not error.labelled.startswith(_ENGLISH):
        return error
    from engine.report.language.error_words import worded_error

    return worded_error(error, lang)


def lang_of_jobs(paths: Sequence[Path], overrides: Sequence[str] = ()) -> str:
    """The language that all of some job files ask for, those of folders among them; ``en`` where they differ."""
    files = [*paths]
    with suppress(InputError):
        files = find_jobs(paths)
    langs = {stated_lang(path, overrides) for path in files}
    return langs.pop() if len(langs) == 1 else "en"


def words_of_job(job: Origin, overrides: Sequence[str] = (), lang: str | None = None) -> Words:
    """The words of ``lang``, or else of the job's language; English for a language that is not there."""
    return known_words(lang or stated_lang(job, overrides))


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
