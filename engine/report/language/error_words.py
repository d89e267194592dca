"""Messages of errors in another language than English, found by their English text.

An error is raised in English where it is noticed, deep below whatever knows the language of a job. The languages
have the form of every message by its English one, places numbered: ``"column '{0}' is missing"``. A message is matched
with these forms, and what fills its places is worded in the same way, unless it stands in quotation marks: that is a
name or a value of the user's.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from engine.errors import InputError, RunError
from engine.report.language.wording import ENGLISH, LANGUAGES, words_of

_PLACE = re.compile(r"\{(\d+)\}")
_JOINTS = ("; ", " or ", " and ", ", ")  # between parts that are worded one by one, the widest first
_LONGEST = 1000  # characters of a message that is matched as a whole; a longer one is matched in parts


@dataclass(frozen=True)
class _Form:
    """A message with places: its English as a pattern, and the translation.

    Attributes
    ----------
    pattern : re.Pattern
        One group a place.
    quoted : frozenset of int
        Places in quotation marks.
    translation : str
    n_letters : int
        Of the English outside its places: of several forms that match, the one with the most says most.
    longest : str
        Of the literals between places: a text without it needs no matching.
    """

    pattern: re.Pattern[str]
    quoted: frozenset[int]
    translation: str
    n_letters: int
    longest: str


@lru_cache
def error_forms(lang: str) -> dict[str, str]:
    """Messages of errors of a language by their English; empty for English."""
    if lang == ENGLISH.lang:
        return {}
    text = (files("engine.report.language") / f"{LANGUAGES[lang]}_errors.toml").read_text(encoding="utf-8")
    return dict(tomllib.loads(text))


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
        problem, where, remedy = (
            worded_text(text, lang) if text else text for text in (error.problem, error.where, error.remedy)
        )
        labels = (words("error: "), words("hint: "))
        return InputError(problem or "", where=where, remedy=remedy, labels=labels)
    return RunError(worded_text(str(error), lang), words("failed: "))


def worded_text(text: str, lang: str) -> str:
    """A message of one or more lines in a language; as it is where no form of the language matches."""
    if "\n" not in text:
        return _worded_part(text, lang)
    if match := _best(text, lang):
        return _filled(*match, lang)
    return "\n".join(_worded_line(line, lang) for line in text.split("\n"))


def _worded_line(line: str, lang: str) -> str:
    """A line of several, behind its indentation and the label of a remedy."""
    indentation, label, message = re.fullmatch(r"(\s*)(hint: )?(.*)", line).groups()  # type: ignore[union-attr]
    return f"{indentation}{words_of(lang)(label) if label else ''}{_worded_part(message, lang)}"


def _worded_part(text: str, lang: str, joints: Sequence[str] = _JOINTS) -> str:
    if not re.search("[A-Za-z]{2}", text):
        return text
    # A key or another place stands before many a message: the text behind a colon may say more than the whole.
    starts = [0, *(colon.end() for colon in re.finditer(": ", text))]
    matches = [(match[0].n_letters, start, match) for start in starts if (match := _best(text[start:], lang))]
    if matches:
        _, start, match = max(matches, key=lambda entry: entry[:2])
        head = _worded_part(text[: start - 2], lang) + ": " if start else ""
        return head + _filled(*match, lang)
    for depth, joint in enumerate(joints, start=1):
        parts = text.split(joint)
        worded = [_worded_part(part, lang, joints[depth:]) for part in parts] if len(parts) > 1 else parts
        if worded != parts:
            return words_of(lang)(joint).join(worded)
    return text


def _best(text: str, lang: str) -> tuple[_Form, re.Match[str]] | None:
    """The form that a text matches and that says most of it; None where it matches none."""
    likely = [form for form in _compiled(lang) if form.longest in text] if len(text) <= _LONGEST else []
    matches = [(form, match) for form in likely if (match := form.pattern.fullmatch(text))]
    return max(matches, key=lambda pair: pair[0].n_letters, default=None)


def _filled(form: _Form, match: re.Match[str], lang: str) -> str:
    """The translation of a form, its places filled."""
    places = [
        value if place in form.quoted else _worded_part(value, lang)
        for place, value in enumerate(match.groups(""))
    ]
    return _PLACE.sub(lambda place: places[int(place[1])], form.translation)


@lru_cache
def _compiled(lang: str) -> tuple[_Form, ...]:
    return tuple(_form(english, translation) for english, translation in error_forms(lang).items())


def _form(english: str, translation: str) -> _Form:
    pieces = _PLACE.split(english)  # literal, place, literal, place, ..., literal
    literals = pieces[::2]
    quoted = frozenset(
        place
        for place in range(len(literals) - 1)
        if literals[place].endswith("'") and literals[place + 1].startswith("'")
    )
    pattern = "(.*?)".join(re.escape(literal) for literal in literals)
    n_letters = sum(character.isalpha() for literal in literals for character in literal)
    return _Form(re.compile(pattern), quoted, translation, n_letters, max(literals, key=len))
