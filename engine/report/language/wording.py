"""Fixed words of tables, figures and page, and sentences of notes, in English or in Chinese.

The English of a fixed word is written where it is used and is its own key: ``words("Pairs")``. A `Note` has its
sentence in every language by its code. Both stand in one file a language, ``english.toml`` and ``chinese.toml``.
Both speak of cities; where a job's units are others, the words of ``[units]`` stand for those of cities. What comes
from job files and data stays as it is.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from importlib.resources import files
from string import Formatter
from typing import cast

from engine.errors import InputError
from engine.notes import Note
from engine.report.unit_names import CITIES, units_label

LANGUAGES = {"en": "english", "zh": "chinese"}
"""File of each language by its code."""


@lru_cache
def _entries(lang: str) -> dict[str, dict[str, str]]:
    text = (files("engine.report.language") / f"{LANGUAGES[lang]}.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


@lru_cache
def _of_units(form: str, lang: str, units: str) -> str:
    """A fixed text or sentence of cities as one of other units; places stay, but for words that they choose from."""
    nouns = cast("Mapping[str, Mapping[str, str]]", _entries(lang)["units"]).get(units)
    if nouns is None:
        return form
    noun = re.compile(rf"(?<![A-Za-z_.])(?:{'|'.join(sorted(nouns, key=len, reverse=True))})(?![A-Za-z_])")

    def replaced(text: str, nouns: Mapping[str, str] = nouns) -> str:
        return noun.sub(lambda match: nouns[match[0]], text)

    parts = re.split(r"(\{[^{}]*\})", form)
    for place, part in enumerate(parts):
        name, colon, spec = part.partition(":")
        if place % 2 == 0:
            parts[place] = replaced(part)
        elif "|" in spec:
            parts[place] = name + colon + replaced(spec)
    return "".join(parts)


@dataclass(frozen=True)
class Words:
    """The words of one language.

    Attributes
    ----------
    lang : str
        ``en`` or ``zh``.
    units : str
        Label of the units that sentences speak of, as `units_label` has it.
    """

    lang: str
    units: str = CITIES

    def __call__(self, text: str, /, **values: object) -> str:
        """The fixed text in this language, its places filled; English where the language lacks it."""
        form = _of_units(self.fixed.get(text, text), self.lang, self.units)
        return _spaced(form, values).format(**values) if values else form

    @property
    def fixed(self) -> dict[str, str]:
        """Fixed words by their English; empty for English."""
        return _entries(self.lang).get("words", {})

    @property
    def sentences(self) -> dict[str, str]:
        """Sentences of notes by code."""
        return _entries(self.lang)["notes"]

    def known(self, text: str) -> str:
        """A word out of a job's files, translated if the language has it, else as it is."""
        return _of_units(self.fixed[text], self.lang, self.units) if text in self.fixed else text

    def outcome(self, label: str) -> str:
        """An outcome as frames name it: ``synchronization of`` or ``variation of`` a series, or a column."""
        name, _, series = label.partition(" of ")
        form = f"{name} of {{series}}"
        return self(form, series=series) if form in self.fixed else label

    def in_context(self, text: str, context: str) -> str:
        """A word as this context has it, ``dyadic`` among ``errors``, say."""
        keyed = f"{context}:{text}"
        return self.known(keyed if keyed in self.fixed else text)

    def note(self, note: Note) -> str:
        """The sentence of a note; KeyError for a code that this version does not know."""
        form = _of_units(self.sentences[note.code], self.lang, self.units)
        return self._formatter.vformat(form, (), note.values)

    def listed(self, names: Sequence[str]) -> str:
        """``a, b and c``."""
        if len(names) == 1:
            return names[0]
        return self("{names} and {last}", names=self(", ").join(names[:-1]), last=names[-1])

    def duration(self, seconds: float) -> str:
        """A time as people say it.

        >>> [ENGLISH.duration(seconds) for seconds in (0.02, 41, 754, 9000, 200000)]
        ['0.1 s', '41 s', '13 min', '2 h 30 min', '2 days 8 h']
        """
        if seconds < 10:
            return self("{count} s", count=f"{max(seconds, 0.1):.1f}")
        if seconds < 120:
            return self("{count} s", count=round(seconds))
        minutes = round(seconds / 60)
        if minutes < 120:
            return self("{count} min", count=minutes)
        hours = round(minutes / 60)
        if hours < 48:
            return self("{hours} h {minutes} min", hours=minutes // 60, minutes=minutes % 60)
        return self("{days} days {hours} h", days=hours // 24, hours=hours % 24)

    @property
    def html(self) -> str:
        """The language tag of a page."""
        return {"zh": "zh-CN"}.get(self.lang, self.lang)

    @cached_property
    def _formatter(self) -> _SentenceFormatter:
        return _SentenceFormatter(self)


@dataclass
class _SentenceFormatter(Formatter):
    """Fills the places of a sentence: see the head of ``english.toml``."""

    words: Words

    def format_field(self, value: object, spec: str) -> str:
        if isinstance(value, Note):
            return self.words.note(value)
        if isinstance(value, list | tuple):
            return (spec or self.words(", ")).join(self.format_field(element, "") for element in value)
        if spec == "duration":
            return self.words.duration(float(str(value)))
        if isinstance(value, str):
            return self.words.in_context(value, spec) if spec else value
        if "|" in spec:
            singular, plural = spec.split("|")
            return singular if value == 1 else plural
        return format(value, spec)


def _spaced(form: str, values: Mapping[str, object]) -> str:
    """A blank between a value that ends in a Latin letter or digit and a Chinese word: ``城市 CR2 标准误``."""
    if form.isascii():
        return form
    for name, value in values.items():
        if re.search("[A-Za-z0-9]$", str(value)):
            form = re.sub(rf"(\{{{name}\}})(?=[\u4e00-\u9fff]{{2}})", r"\1 ", form)
    return form


ENGLISH = Words("en")


def words_of(lang: str) -> Words:
    """The words of a language.

    Raises
    ------
    InputError
        For one that is not there.
    """
    if lang not in LANGUAGES:
        raise InputError(
            f"there are no words in '{lang}'", where="lang", remedy=f"take one of {', '.join(LANGUAGES)}"
        )
    return Words(lang)


def known_words(lang: object) -> Words:
    """The words of a language; English for one that is not there."""
    return Words(str(lang)) if lang in LANGUAGES else ENGLISH


def lang_of(manifest: Mapping[str, object]) -> str:
    """The language of a job as its manifest has it; English for what an earlier version left."""
    return str(manifest.get("lang", "en"))


def job_words(manifest: Mapping[str, object], lang: str | None = None) -> Words:
    """The words of a job's language, or of another that is chosen, for the units of the job."""
    return for_units_of(manifest, words_of(lang_of(manifest) if lang is None else lang))


def for_units_of(manifest: Mapping[str, object], words: Words) -> Words:
    """The words for the units of a job; those of cities where a folder of an earlier version has no parameters."""
    parameters = manifest.get("parameters")
    return replace(words, units=units_label(parameters)) if isinstance(parameters, Mapping) else words


def shared_words(langs: Iterable[str]) -> Words:
    """The words of the language that all have; English where they differ."""
    distinct = set(langs)
    return words_of(distinct.pop()) if len(distinct) == 1 else ENGLISH


def columns_phrase(numbers: Sequence[int], words: Words = ENGLISH) -> str:
    """Numbers of columns in words, runs shortened.

    >>> columns_phrase([1, 2, 3, 6]), columns_phrase([4])
    ('columns (1) to (3) and (6)', 'column (4)')
    """
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    names: list[str] = []
    for run in runs:
        if len(run) > 2:
            names.append(words("{first} to {last}", first=f"({run[0]})", last=f"({run[-1]})"))
        else:
            names += [f"({number})" for number in run]
    form = "columns {names}" if len(numbers) > 1 else "column {names}"
    return words(form, names=words.listed(names))
