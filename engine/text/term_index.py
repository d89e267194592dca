"""The places of many terms in a text, in time that does not grow with their number."""

from __future__ import annotations

from collections.abc import Collection, Iterator

_HEAD = 2  # characters; no term is shorter


class TermIndex:
    """Terms by their first two characters.

    >>> list(TermIndex(["ab", "abc", "bc"]).places("xabcd"))
    [(1, 'abc'), (2, 'bc')]
    """

    def __init__(self, terms: Collection[str]) -> None:
        self._terms = frozenset(terms)
        lengths: dict[str, set[int]] = {}
        for term in self._terms:
            lengths.setdefault(term[:_HEAD], set()).add(len(term))
        self._lengths = {head: sorted(head_lengths, reverse=True) for head, head_lengths in lengths.items()}

    def __contains__(self, word: str) -> bool:
        return word in self._terms

    def places(self, text: str) -> Iterator[tuple[int, str]]:
        """Every place where a term begins, and the longest that does; terms may overlap."""
        lengths, terms = self._lengths, self._terms
        for start in range(len(text) - 1):
            for length in lengths.get(text[start : start + _HEAD], ()):
                term = text[start : start + length]
                if term in terms:
                    yield start, term
                    break

    def anywhere(self, text: str) -> bool:
        """Whether the text has any term."""
        return next(self.places(text), None) is not None
