"""The fixed words of tables, figures and page, in English and in Chinese.

English text is written where it is used and is its own key: ``words("Pairs")``; `engine.report.chinese` has the
Chinese for it. What comes from job files and data stays as it is, but for the forms of sentence that manifests and
validation reports hold, which are recognised and told again (`Words.known`, `engine.report.told_again`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from engine.errors import InputError
from engine.report.chinese import CHINESE
from engine.report.told_again import TOLD_AGAIN

LANGUAGES = ("en", "zh")


@dataclass(frozen=True)
class Words:
    """The words of one language.

    Attributes
    ----------
    lang : str
        ``en`` or ``zh``.
    catalogue : mapping of str to str
        Translations by English text; ``{name}`` stands for a value in both. Empty for English.
    """

    lang: str
    catalogue: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    def __call__(self, text: str, /, **values: Any) -> str:
        """The text in this language, its places filled; English where the catalogue lacks it."""
        form = self.catalogue.get(text, text)
        return form.format(**values) if values else form

    def known(self, text: str) -> str:
        """A word or sentence out of a job's files, translated if the catalogue has it, else as it is."""
        if text in self.catalogue:
            return self.catalogue[text]
        for pattern, form in self._patterns:
            found = pattern.fullmatch(text)
            if found:
                return form.format(**{name: self.known(value) for name, value in found.groupdict().items()})
        return text

    def listed(self, names: Sequence[str]) -> str:
        """``a, b and c``."""
        if len(names) == 1:
            return names[0]
        return self("{names} and {last}", names=self(", ").join(names[:-1]), last=names[-1])

    @property
    def html(self) -> str:
        """The language tag of a page."""
        return {"zh": "zh-CN"}.get(self.lang, self.lang)

    @cached_property
    def _patterns(self) -> tuple[tuple[re.Pattern[str], str], ...]:
        if not self.catalogue:
            return ()
        return tuple(
            (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+?)", re.escape(text)), re.DOTALL), form)
            for text, form in TOLD_AGAIN.items()
        )


ENGLISH = Words("en")


def words_of(lang: str) -> Words:
    """The words of a language.

    Raises
    ------
    InputError
        For one that is not there.
    """
    if lang == "en":
        return ENGLISH
    if lang != "zh":
        raise InputError(
            f"there are no words in '{lang}'", where="--lang", remedy=f"take one of {', '.join(LANGUAGES)}"
        )
    return Words("zh", CHINESE)


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
