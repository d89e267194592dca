"""How often each document speaks of each instrument, and every passage behind the counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import pandas as pd

from engine.errors import InputError
from engine.text.dictionary import Dictionary
from engine.text.optional import library
from engine.text.read_documents import Document
from engine.text.term_index import TermIndex

_SENTENCE = re.compile("[^。！？；!?;\n]+[。！？；!?;]*[”’」』》）)]*")
_OF_DOCUMENT = ["file", "city", "year"]
_ALWAYS_A_WORD = 4  # characters: so many do not meet by accident
_LONGEST_PASSAGE = 500  # characters
_MOST_CHARACTERS = 200_000_000  # of all passages


@dataclass(frozen=True)
class Counts:
    """Counts of the instruments in the documents, and the passages behind them.

    Attributes
    ----------
    counts : DataFrame
        file, city, year, kind, instrument, count: a row a document and instrument, zeros included.
    passages : DataFrame
        file, city, year, kind, instrument, term, counted, sentence, position, passage: a row a place where a
        term was found. ``sentence`` is the number of the passage in its document and ``position`` that of
        the term's first character in the passage, both from 1. Where ``counted`` is false, the characters of
        the term stand there across words (融资 in 金融|资产) or overlap another term, and no count has them.
        Sentences of more than 500 characters are in parts.
    """

    counts: pd.DataFrame
    passages: pd.DataFrame


class _Tokenizer(Protocol):
    """The part of jieba's tokenizer that counting needs."""

    def tokenize(self, unicode_sentence: str, *, HMM: bool) -> Iterable[tuple[str, int, int]]: ...


@dataclass(frozen=True)
class _Hit:
    """A place of a term: whether it counts, the passage with its number, the first character's number in it."""

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
        Where jieba is not installed or cannot keep a term in one word, and where passages would have more than 200
        million characters.
    """
    instruments, owner = dictionary.instruments, dictionary.of_term
    tokenizer, index = _tokenizer(tuple(sorted(owner))), TermIndex(owner)
    hits_of_text = {
        text: _bounded_hits(text, tokenizer, index) for text in dict.fromkeys(doc.text for doc in documents)
    }
    _refuse_floods(documents, hits_of_text)
    counts, passages = [], []
    for document in documents:
        head = (document.file, document.city, document.year)
        hits = hits_of_text[document.text]
        number = Counter(owner[hit.term].name for hit in hits if hit.counted)
        for hit in hits:
            instrument = owner[hit.term]
            place = (hit.counted, hit.sentence, hit.position, hit.passage)
            passages.append((*head, instrument.kind, instrument.name, hit.term, *place))
        for instrument in instruments:
            counts.append((*head, instrument.kind, instrument.name, number[instrument.name]))
    keys = [*_OF_DOCUMENT, "kind", "instrument"]
    return Counts(
        counts=pd.DataFrame(counts, columns=[*keys, "count"]),
        passages=pd.DataFrame(
            passages, columns=[*keys, "term", "counted", "sentence", "position", "passage"]
        ),
    )


def _bounded_hits(text: str, tokenizer: _Tokenizer, index: TermIndex) -> list[_Hit]:
    """Hits of a text, until their passages exceed the limit, which `_refuse_floods` then reports."""
    hits, size = [], 0
    for hit in _hits(text, tokenizer, index):
        hits.append(hit)
        size += len(hit.passage)
        if size > _MOST_CHARACTERS:
            break
    return hits


def _refuse_floods(documents: Sequence[Document], hits_of_text: Mapping[str, Sequence[_Hit]]) -> None:
    """Raises InputError beyond the limit of passages.

    A passage is written once for every term in it, so that text of nothing but terms would fill the disk.
    """
    sizes = {text: sum(len(hit.passage) for hit in hits) for text, hits in hits_of_text.items()}
    if sum(sizes[document.text] for document in documents) > _MOST_CHARACTERS:
        largest = max(documents, key=lambda document: sizes[document.text])
        raise InputError(
            f"the passages with terms would have more than {_MOST_CHARACTERS:,} characters, most of them those of "
            f"'{largest.file}'",
            where="policy-text",
            remedy="take terms out that stand everywhere, or count the documents in several folders",
        )


def _hits(text: str, tokenizer: _Tokenizer, index: TermIndex) -> Iterator[_Hit]:
    """Places of terms in a text, in its order."""
    number, terms_of_passage = 0, dict[str, list[tuple[int, str, bool]]]()
    for match in _SENTENCE.finditer(text):
        for passage in _pieces(match[0].strip()):
            number += 1
            if passage not in terms_of_passage:  # forms repeat their sentences
                terms_of_passage[passage] = _places(passage, tokenizer, index)
            for start, term, counted in terms_of_passage[passage]:
                yield _Hit(term, counted, number, start + 1, passage)


def _places(passage: str, tokenizer: _Tokenizer, index: TermIndex) -> list[tuple[int, str, bool]]:
    """Start, term and whether it counts, in order."""
    occurrences = list(index.places(passage))
    if not occurrences:  # most sentences: segmentation is what takes time
        return []
    words = tokenizer.tokenize(passage, HMM=False)
    places = [(start, word, True) for word, start, _ in words if word in index]
    counted_characters = {start + offset for start, term, _ in places for offset in range(len(term))}
    places += [
        (start, term, False)
        for start, term in occurrences
        if not counted_characters.issuperset(range(start, start + len(term)))
    ]
    return sorted(places)


def _pieces(sentence: str) -> Iterator[str]:
    """The sentence; one longer than any sentence is in parts, after a comma or a blank where there is one."""
    while len(sentence) > _LONGEST_PASSAGE:
        cut = max(sentence.rfind(mark, 0, _LONGEST_PASSAGE) for mark in "，、, ") + 1
        cut = cut if cut > _LONGEST_PASSAGE // 2 else _LONGEST_PASSAGE
        yield sentence[:cut].strip()
        sentence = sentence[cut:].strip()
    yield sentence


@lru_cache(maxsize=2)
def _tokenizer(terms: tuple[str, ...]) -> _Tokenizer:
    """jieba with its own words and the terms, each of which stays one word.

    Its compounds that contain a term (试点工作) are removed, so that they fall into their parts. Short terms
    are added first: the frequency jieba gives a word exceeds that of its parts as known by then. Long terms get
    probability one, so that no neighbour can break them. The hidden Markov model for unknown words is left
    off: it joins single characters only, which no term is.
    """
    frequencies, total = _general_words()
    tokenizer = library("jieba").Tokenizer()
    compound = TermIndex(terms).anywhere
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
