"""Limits of plain data, before any block reads them: text, numbers and sizes that no job or profile can hold.

They hold for every key, also those of sweeps and cases and the names that a user chooses.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import Any

MOST_TEXT = 4096
"""Most characters of one value."""
MOST_SHOWN = 60
"""Most characters of a value that a message repeats."""
_LARGEST = 2**64  # seeds are below it
_BIDI = frozenset(
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)  # text that shows in another order
_HALF_WIDTH = dict(zip("：，｛｝［］", ":,{}[]", strict=True))
_BREAKS = frozenset("\u2028\u2029")

Keys = tuple[str | int, ...]


def plain_problems(value: Any, keys: Keys = ()) -> Iterator[tuple[Keys, str]]:
    """Keys and problem of everything that is no ordinary text or number; keys themselves are text too."""
    if isinstance(value, dict):
        for key, entry in value.items():
            if not isinstance(key, str):
                yield (*keys, str(key)), f"the key {key!r} is not text; put the key in quotes"
                continue
            problem = _text_problem(key)
            if problem:
                yield (*keys, shown(key)), f"the key {problem}"
            else:
                yield from plain_problems(entry, (*keys, key))
    elif isinstance(value, list):
        for number, entry in enumerate(value):
            yield from plain_problems(entry, (*keys, number))
    elif isinstance(value, str):
        problem = _text_problem(value)
        if problem:
            yield keys, problem
    elif isinstance(value, int) and not -_LARGEST < value < _LARGEST:
        yield keys, f"a whole number of {len(str(abs(value)))} digits; the limit is 2^64"
    elif value is not None and not isinstance(value, int | float | tuple):
        yield keys, f"a value of type {type(value).__name__}; write text, a number, a list or a mapping"


def shown(text: str, limit: int = MOST_SHOWN) -> str:
    """Text as a message may repeat it: cut where it is long, control characters as U+001B."""
    cut = text if len(text) <= limit else text[: limit - 3] + "..."
    return "".join(_code_point(letter) if _is_control(letter) else letter for letter in cut)


def half_width(text: str) -> str:
    """A remedy for full-width signs of YAML; empty where the text has none.

    >>> half_width("job： x")
    "write the half-width ':' for '：'"
    """
    signs = [f"'{half}' for '{full}'" for full, half in _HALF_WIDTH.items() if full in text]
    return f"write the half-width {', '.join(signs)}" if signs else ""


def _text_problem(text: str) -> str:
    if len(text) > MOST_TEXT:
        return f"has {len(text):,} characters, the limit is {MOST_TEXT:,}"
    if text.isprintable():  # most texts: nothing to look for letter by letter
        return ""
    control = next((letter for letter in text if _is_control(letter)), None)
    if control is None:
        return ""
    if control == "\n":
        return "holds a line break; write it on one line, or after >- which joins lines"
    return f"holds the control character {_code_point(control)}, which has no place there; take it out"


def _is_control(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cs") or letter in _BIDI or letter in _BREAKS


def _code_point(letter: str) -> str:
    return f"U+{ord(letter):04X}"
