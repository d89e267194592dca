"""Forms of messages in another language: an English text with places is matched, and the translation filled.

A file of a language has a form by its English, places numbered: ``"column '{0}' is missing" = "缺少列“{0}”"``. What
stands in a place is a name, value, path or list of the user's, and comes out as it is, unless the translation marks
the place as one that the program fills:

=============  =========================================================================================
``{0:words}``  a phrase that has a form itself; empty where the phrase is absent
``{0:list}``   such phrases, keys and quoted values, joined by ``;``, ``,``, ``or`` or ``and``
``{0:any}``    what a library says, or a phrase: worded where it has a form
``{0:place}``  a place in a file or job, which has a form in the table ``where``
``{0:number}`` digits
``{0:word}``   a key or name without blanks
``{0:keys}``   such keys, joined by commas
=============  =========================================================================================

A text is matched as a whole or not at all: it never comes out half in one language and half in the other.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from itertools import pairwise

from engine.report.language.wording import ENGLISH, LANGUAGES, words_of

PLACE = re.compile(r"\{(\d+)(?::(\w+))?\}")
_LETTERS, _CHINESE = re.compile("[A-Za-z]{2}"), re.compile("[\u4e00-\u9fff]")
_NUMBER, _WORD, _TEXT = r"([+-]?(?:\d[\d.,]*(?:e[+-]?\d+)?%?|inf|nan))", r"(\S+)", "(.*?)"
_PATTERNS = {"number": _NUMBER, "word": _WORD, "keys": r"([^\s,]+(?:, [^\s,]+)*)", "absent": r"(\w*)"}
_QUOTED, _CLAUSE = "([^']*)", "((?:(?!; ).)*?)"  # what user text in a place rarely leaves
_STRICT = {"": _CLAUSE, "any": "((?:(?!: ).)*?)"}
_LONGEST = 1000  # characters of a text that is matched with forms of many places
_OTHER_ROWS = re.compile(
    r"(.*?)(; also rows? [\d, ]+(?: and \d+)?(?: more)?|; so (?:in|of) [\d,]+ more(?: rows?)?)", re.DOTALL
)
_KEYED = re.compile(r"([\w.]+(?:\[\d+\])*: )(.+)", re.DOTALL)


@dataclass(frozen=True)
class Form:
    """A message with places.

    Attributes
    ----------
    literals : tuple of str
        The English around its places.
    kinds : tuple of str
        Of the places; "" for what the user wrote, ``absent`` for an ending that the translation has no need of.
    translation : str
    strict, lax : re.Pattern
        One group a place. Strictly, a quoted place has no quotation mark, and no place the end of a clause.
    n_letters : int
        Of the English outside its places: of several forms that match, the one with the most says most.
    """

    literals: tuple[str, ...]
    kinds: tuple[str, ...]
    translation: str
    strict: re.Pattern[str]
    lax: re.Pattern[str]
    n_letters: int

    def matched(self, text: str, *, strict: bool) -> re.Match[str] | None:
        """The match with a text, tried only where its ends are those of the form."""
        if not (text.startswith(self.literals[0]) and text.endswith(self.literals[-1])):
            return None
        if len(text) > _LONGEST and len(self.kinds) > 2:
            return None
        return (self.strict if strict else self.lax).fullmatch(text)

    def filled(self, values: tuple[str, ...]) -> str:
        """The translation with its places filled; a blank stands between a Chinese word and a Latin phrase."""

        def value(place: re.Match[str]) -> str:
            text = values[int(place[1])]
            if place[2] not in ("list", "words", "any") or not text:
                return text
            before, after = place.string[: place.start()][-1:], place.string[place.end() :][:1]
            opens, closes = (
                bool(_CHINESE.fullmatch(beside)) and edge.isascii()
                for beside, edge in ((before, text[0]), (after, text[-1]))
            )
            return f"{' ' * opens}{text}{' ' * closes}"

        return PLACE.sub(value, self.translation)


def form_of(english: str, translation: str) -> Form:
    """The form of a message by its English and its translation, places numbered in the English."""
    literals = tuple(re.split(r"\{\d+\}", english))
    marks = {int(place): kind or "" for place, kind in PLACE.findall(translation)}
    kinds = tuple(marks.get(place, "absent") for place in range(len(literals) - 1))
    quoted = [left.endswith("'") and right.startswith("'") for left, right in pairwise(literals)]
    strict = [
        _PATTERNS.get(kind, _QUOTED if in_quotes else _STRICT.get(kind, _TEXT))
        for kind, in_quotes in zip(kinds, quoted, strict=True)
    ]
    lax = [_PATTERNS.get(kind, _TEXT) for kind in kinds]
    return Form(
        literals=literals,
        kinds=kinds,
        translation=translation,
        strict=_pattern(literals, strict),
        lax=_pattern(literals, lax),
        n_letters=sum(character.isalpha() for literal in literals for character in literal),
    )


def _pattern(literals: tuple[str, ...], groups: list[str]) -> re.Pattern[str]:
    parts = [re.escape(literals[0])]
    for group, literal in zip(groups, literals[1:], strict=True):
        parts += [group, re.escape(literal)]
    return re.compile("".join(parts))


@dataclass(frozen=True)
class _Table:
    """Forms without places by their English, and those with places, the fullest first."""

    exact: Mapping[str, str]
    forms: tuple[Form, ...]


@lru_cache
def error_forms(lang: str, table: str = "") -> dict[str, str]:
    """Translations of a language by their English; empty for English.

    Parameters
    ----------
    lang : str
    table : {'', 'where', 'entries'}
        Messages; places in files and jobs; entries of lists.
    """
    if lang == ENGLISH.lang:
        return {}
    text = (files("engine.report.language") / f"{LANGUAGES[lang]}_errors.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    return dict(
        content[table] if table else {key: form for key, form in content.items() if isinstance(form, str)}
    )


@lru_cache
def _table(lang: str, name: str) -> _Table:
    translations = error_forms(lang, name)
    exact = {english: form for english, form in translations.items() if not re.search(r"\{\d+\}", english)}
    forms = [form_of(english, form) for english, form in translations.items() if english not in exact]
    return _Table(
        exact, tuple(sorted(forms, key=lambda form: (-form.n_letters, -sum(map(len, form.literals)))))
    )


def worded_message(text: str, lang: str) -> str | None:
    """A problem, remedy or phrase in a language; None where it has no words for the whole of it."""
    if not _LETTERS.search(text):
        return text
    return (
        _by_form(text, lang, "", strict=True)
        or _with_other_rows(text, lang)
        or _by_sentence(text, lang)
        or _behind_key(text, lang)
        or _by_form(text, lang, "", strict=False)
    )


def worded_place(text: str, lang: str) -> str:
    """A place in a file or job: ``city.csv: row 3, column 'gdp'``; the file and the keys stay as they are."""
    for start in (0, *(colon.end() for colon in re.finditer(": ", text))):
        for strict in (True, False):
            if worded := _by_form(text[start:], lang, "where", strict=strict):
                head = f"{worded_place(text[: start - 2], lang)}: " if start else ""
                return head + worded
    return text


def worded_job_line(text: str, lang: str) -> str:
    """A line to paste into a job file: it stays as it is, but for the comment behind it."""
    line, mark, comment = text.rpartition("  # ")
    worded = _by_form(f"# {comment}", lang, "", strict=True) if mark else None
    return f"{line}  {worded}" if worded else text


def _by_form(text: str, lang: str, table: str, *, strict: bool) -> str | None:
    """The translation of the fullest form that the whole text matches, and whose phrases have forms themselves."""
    candidates = _table(lang, table)
    if text in candidates.exact:
        return candidates.exact[text]
    for form in candidates.forms:
        if match := form.matched(text, strict=strict):
            values = [
                _value(value, kind, lang) for value, kind in zip(match.groups(), form.kinds, strict=True)
            ]
            filled = tuple(value for value in values if value is not None)
            if len(filled) == len(values):
                return form.filled(filled)
    return None


def _value(text: str, kind: str, lang: str) -> str | None:
    """The text that fills a place of a kind; None for a phrase that has no form."""
    if kind == "words":
        return worded_message(text, lang)
    if kind == "list":
        return _worded_list(text, lang)
    if kind == "any":
        return worded_message(text, lang) or text
    return worded_place(text, lang) if kind == "place" else text


def _worded_list(text: str, lang: str) -> str | None:
    if worded := _worded_entry(text, lang):
        return worded
    for joint, start, end in _joints(text):
        head = _worded_entry(text[:start], lang)
        tail = _worded_list(text[end:], lang) if head else None
        if head and tail:
            return head + _joined(joint, head, tail, lang) + tail
    return None


def _joints(text: str) -> Iterator[tuple[str, int, int]]:
    """Where a list may be divided, the widest joint first: not within quotation marks."""
    for joint in ("; ", " or ", " and ", ", "):
        for match in re.finditer(re.escape(joint), text):
            if text[: match.start()].count("'") % 2 == 0:
                yield joint, match.start(), match.end()


def _worded_entry(text: str, lang: str) -> str | None:
    """A phrase in words; a key, number or quoted value as it is."""
    in_table = _by_form(text, lang, "entries", strict=True)
    if in_table or re.fullmatch(r"'[^']*'|[^\s]*[^\s,;]", text):
        return in_table or text
    return _by_form(text, lang, "", strict=True)


def _joined(joint: str, head: str, tail: str, lang: str) -> str:
    """A joint between two entries, with a blank beside a Latin one."""
    if joint == ", " and head[-1].isascii() and tail[0].isascii():
        return joint
    word = words_of(lang)(joint).strip()
    if joint in (", ", "; "):
        return word
    return f"{' ' * head[-1].isascii()}{word}{' ' * tail[0].isascii()}"


def _with_other_rows(text: str, lang: str) -> str | None:
    """A problem behind which stands in which further rows it is."""
    match = _OTHER_ROWS.fullmatch(text)
    problem = worded_message(match[1], lang) if match else None
    rows = _by_form(match[2], lang, "", strict=False) if match else None
    return problem + rows if problem and rows else None


def _by_sentence(text: str, lang: str) -> str | None:
    """Sentences joined by semicolons, where each has words."""
    for end in re.finditer("; ", text):
        head, tail = text[: end.start()], text[end.end() :]
        first = _by_form(head, lang, "", strict=True)
        following = worded_message(tail, lang) if first else None
        if first and following:
            return f"{first}{words_of(lang)('; ')}{following}"
    return None


def _behind_key(text: str, lang: str) -> str | None:
    """A message behind the key that it is about, ``lag: years by which ...``."""
    match = _KEYED.fullmatch(text)
    worded = worded_message(match[2], lang) if match else None
    return match[1] + worded if match and worded else None
