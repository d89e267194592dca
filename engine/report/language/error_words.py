"""Messages of errors in another language than English, found by their English text.

An error is raised in English where it is noticed, deep below whatever knows the language of a job. The languages have
the form of every message by its English one (`engine.report.language.error_forms`). Problem, place, remedy and the
lines to paste into a job file are worded one by one, by what they are: a file or a line is never taken for a message.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from engine.errors import InputError, RunError
from engine.report.language.error_forms import worded_job_line, worded_message, worded_place
from engine.report.language.wording import ENGLISH, LANGUAGES, words_of
from engine.tables.problems import IN_JOB, IN_JOB_FILE, TOGETHER, SeveralProblems, TableProblem

_LINE = re.compile(rf"(\s*)(hint: |{IN_JOB_FILE}|{TOGETHER})?(.*)")


def worded_error(error: InputError | RunError, lang: str) -> InputError | RunError:
    """The error with its message in a language; what the language has no words for stays English.

    Parameters
    ----------
    error : InputError or RunError
    lang : str
        ``en`` or ``zh``; the error is as it was for any other.
    """
    if lang == ENGLISH.lang or lang not in LANGUAGES:
        return error
    words = words_of(lang)
    if isinstance(error, InputError):
        return _worded_input(error, lang, (words("error: "), words("hint: ")))
    return RunError(worded_text(str(error), lang), words("failed: "))


def worded_text(text: str, lang: str) -> str:
    """A message of one or more lines in a language; as it is where no form of the language matches."""
    if worded := worded_message(text, lang):
        return worded
    return "\n".join(_worded_line(line, lang) for line in text.split("\n")) if "\n" in text else text


def _worded_input(error: InputError, lang: str, labels: tuple[str, str]) -> InputError:
    where = worded_place(error.where, lang) if error.where else error.where
    if isinstance(error, SeveralProblems):
        return SeveralProblems(
            [_worded_input(part, lang, labels) for part in error.parts],
            source=worded_place(error.source, lang),
            where=where,
            labels=labels,
            phrase=_phrases(lang),
        )
    problem = worded_text(error.problem, lang)
    if isinstance(error, TableProblem):
        remedy = worded_message(error.table_remedy, lang)
        return TableProblem(
            problem,
            where=where or "",
            remedy=remedy or error.table_remedy,
            job_line=worded_job_line(error.job_line, lang),
            labels=labels,
            phrase=_phrases(lang) if remedy else str,
        )
    remedy = _worded_remedy(error.remedy, lang) if error.remedy else error.remedy
    return InputError(problem, where=where, remedy=remedy, labels=labels)


def _phrases(lang: str) -> Callable[[str], str]:
    return lambda text: words_of(lang).known(worded_text(text, lang))


def _worded_remedy(text: str, lang: str) -> str:
    """A remedy, perhaps with the line of the job file that does the same behind it."""
    remedy, joint, line = text.partition(IN_JOB)
    worded = worded_message(remedy, lang)
    if not joint or not worded:
        return worded if worded and not joint else worded_text(text, lang)
    return f"{worded}{worded_text(joint, lang)}{worded_job_line(line, lang)}"


def _worded_line(line: str, lang: str) -> str:
    """A line of several: a remedy, a line of a job file, or a problem, perhaps behind its place."""
    indentation, label, text = _LINE.fullmatch(line).groups()  # type: ignore[union-attr]
    if label and label != "hint: ":
        return f"{indentation}{worded_text(label, lang)}{worded_job_line(text, lang)}"
    if label:
        return f"{indentation}{words_of(lang)(label)}{_worded_remedy(text, lang)}"
    return indentation + (_behind_place(text, lang) or worded_message(text, lang) or text)


def _behind_place(text: str, lang: str) -> str | None:
    """A problem behind its place, before all one that has a form."""
    starts = [(text[: colon.start()], text[colon.end() :]) for colon in re.finditer(": ", text)]
    places = [(worded_place(place, lang), problem) for place, problem in starts]
    known = [worded != place for (worded, _), (place, _) in zip(places, starts, strict=True)]
    for is_known in (True, False):
        for (place, problem), has_form in zip(places, known, strict=True):
            worded = worded_message(problem, lang) if has_form is is_known else None
            if worded:
                return f"{place}: {worded}"
    return None
