"""How often each document speaks of each instrument, and every passage behind the counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from engine.errors import InputError
from engine.text.dictionary import Dictionary
from engine.text.optional import library
from engine.text.read import Document

_SENTENCE = re.compile("[^。！？；!?;\n]+[。！？；!?;]*[”’」』》）)]*")
_OF_DOCUMENT = ["file", "city", "year"]
_ALWAYS_A_WORD = 4  # characters: so many do not meet by accident


@dataclass(frozen=True)
class Counts:
    """What was found in the documents.

    Attributes
    ----------
    counts : DataFrame
        file, city, year, kind, instrument, count: a row a document and instrument, zeros included.
    passages : DataFrame
        file, city, year, kind, instrument, term, counted, sentence, position, passage: a row a place where a
        term was found. ``sentence`` is the number of the passage in its document and ``position`` that of
        the term's first character in the passage, both from 1. Where ``counted`` is false, the characters of
        the term stand there across words (融资 in 金融|资产) or overlap another term, and no count has them.
    """

    counts: pd.DataFrame
    passages: pd.DataFrame


@dataclass(frozen=True)
class _Hit:
    term: str
    counted: bool
    sentence: int
    position: int
    passage: str


def count_instruments(documents: Sequence[Document], dictionary: Dictionary) -> Counts:
    """Count the terms of every instrument in every document, in the words of the segmented text.

    A term counts where it is a word, or a part of a compound (试点 in 试点|工作). It does not count across words
    (融资 in 金融|资产), which are for the segmentation to tell for terms of two or three characters; longer ones
    are always words. Nor does it count within a longer term, and of two terms that overlap, one counts.

    Raises
    ------
    InputError
        Where jieba is not installed, or cannot keep a term in one word.
    """
    instruments, owner = dictionary.instruments, dictionary.of_term
    tokenizer = _tokenizer(tuple(sorted(owner)))
    found = {text: list(_hits(text, tokenizer, owner)) for text in {document.text for document in documents}}
    counts, passages = [], []
    for document in documents:
        head = (document.file, document.city, document.year)
        hits = found[document.text]
        number = Counter(owner[hit.term].name for hit in hits if hit.counted)
        for hit in hits:
            instrument = owner[hit.term]
            place = (hit.counted, hit.sentence, hit.position, hit.passage)
            passages.append((*head, instrument.kind, instrument.name, hit.term, *place))
        for instrument in instruments:
            counts.append((*head, instrument.kind, instrument.name, number[instrument.name]))
    what = [*_OF_DOCUMENT, "kind", "instrument"]
    return Counts(
        counts=pd.DataFrame(counts, columns=[*what, "count"]),
        passages=pd.DataFrame(
            passages, columns=[*what, "term", "counted", "sentence", "position", "passage"]
        ),
    )


def _hits(text: str, tokenizer: Any, terms: Collection[str]) -> Iterator[_Hit]:
    """Places of terms in a text, in its order."""
    anywhere = re.compile(
        f"(?=({'|'.join(re.escape(term) for term in sorted(terms, key=len, reverse=True))}))"
    )
    for number, match in enumerate(_SENTENCE.finditer(text), start=1):
        passage = match[0].strip()
        words = tokenizer.tokenize(passage, HMM=False)
        places = [(start, word, True) for word, start, _ in words if word in terms]
        taken = {start + offset for start, term, _ in places for offset in range(len(term))}
        places += [
            (place.start(), place[1], False)
            for place in anywhere.finditer(passage)
            if not taken.issuperset(range(*place.span(1)))
        ]
        for start, term, counted in sorted(places):
            yield _Hit(term, counted, number, start + 1, passage)


@lru_cache(maxsize=2)
def _tokenizer(terms: tuple[str, ...]) -> Any:
    """jieba with its own words and the terms, each of which stays one word.

    Its compounds that contain a term (试点工作) are taken out, so that they fall into their parts. Short terms
    are added first: the frequency jieba gives a word exceeds that of its parts as known by then. Long terms get
    probability one, so that no neighbour can break them. The hidden Markov model for unknown words is left
    off: it joins single characters only, which no term is.
    """
    frequencies, total = _general_words()
    tokenizer = library("jieba").Tokenizer()
    compound = re.compile("|".join(map(re.escape, terms))).search
    # filled here because its own way would leave a file in the shared temporary folder, and believe one there
    tokenizer.FREQ = {
        word: number if not compound(word) or word in terms else 0 for word, number in frequencies.items()
    }
    tokenizer.total, tokenizer.initialized = total, True
    for term in sorted(terms, key=lambda term: (len(term), term)):
        tokenizer.add_word(term)
    for term in terms:
        if len(term) >= _ALWAYS_A_WORD:
            tokenizer.FREQ[term] = tokenizer.total
    for term in terms:
        parts = tokenizer.lcut(term, HMM=False)
        if parts != [term]:
            raise InputError(
                f"the term '{term}' does not stay one word ({'|'.join(parts)})",
                where="dictionary",
                remedy="write it without punctuation",
            )
    return tokenizer


@lru_cache(maxsize=1)
def _general_words() -> tuple[dict[str, int], int]:
    """Frequencies of the words that come with jieba, and their sum."""
    tokenizer = library("jieba").Tokenizer()
    frequencies, total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
    return frequencies, total
