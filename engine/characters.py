"""Characters of names and titles that a terminal, a page or a spreadsheet would obey instead of showing.

Text from job files and data is shown as it is, but for these: control characters (an escape sequence colours, moves
or renames a terminal, and makes XML ill-formed), marks that reverse the direction of writing, halves of surrogate
pairs, and code points that are no characters.
"""

from __future__ import annotations

import re
import textwrap
import unicodedata
from collections.abc import Sequence

_HIDDEN = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters but tab and line feed
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # direction of writing
    "\u2028\u2029\ufff9-\ufffb"  # separators of lines and paragraphs, marks of annotations
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # halves of surrogate pairs, no characters
    "\U000e0000-\U000e007f"  # invisible tags
    "]"
)
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # the last four are full-width
# A Latin word or a single character, with marks that open before it and those that close behind it.
_PIECE = re.compile(r"\s*[（《]*(?:[^\s\u2e80-\uffff]+|\S)[，。；：、？！）》]*")
_PLAIN_NUMBER = re.compile(r"[+-]?(\d[\d,]*\.?\d*|\.\d+)([eE][+-]?\d+)?%?", re.ASCII)


def visible(text: str) -> str:
    r"""Text with every character that is not to be shown written as its escape; tabs and line feeds stay.

    >>> visible("\x1b[31mred"), visible("a\u202eb")
    ('\\x1b[31mred', 'a\\u202eb')
    """
    return _HIDDEN.sub(lambda match: _escaped(match[0]), text)


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def spreadsheet_cell(text: str) -> str:
    """Text of a CSV cell that no spreadsheet takes for a formula: an apostrophe goes before ``= + - @`` and tabs.

    Plain numbers stay as they are.

    >>> spreadsheet_cell("=1+1"), spreadsheet_cell("-0.5"), spreadsheet_cell("policy[-5]")
    ("'=1+1", '-0.5', 'policy[-5]')
    """
    if text.startswith(_FORMULA) and not _PLAIN_NUMBER.fullmatch(text):
        text = f"'{text}"
    return visible(text)


def without_apostrophe(cell: str) -> str:
    """Text that `spreadsheet_cell` put an apostrophe before, as it was."""
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_FORMULA) else cell


def places(text: str) -> int:
    """Places that a text takes on a terminal: a Chinese character has two.

    >>> places("R² of 城")
    8
    """
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def flush_left(text: str, width: int) -> str:
    """Text with blanks to its right, so that it takes ``width`` places."""
    return text + " " * (width - places(text))


def flush_right(text: str, width: int) -> str:
    """Text with blanks to its left, so that it takes ``width`` places."""
    return " " * (width - places(text)) + text


def filled(text: str, width: int) -> str:
    """Text in lines of at most ``width`` places, where its words allow; Chinese may break between any two characters.

    No line begins with a mark that closes, or ends with an opening bracket.
    """
    if places(text) == len(text):
        return textwrap.fill(text, width)
    lines = [""]
    for piece in _PIECE.findall(text):
        if lines[-1] and places(lines[-1] + piece) > width:
            lines.append(piece.lstrip())
        else:
            lines[-1] += piece
    return "\n".join(lines)


def aligned(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Rows of a table for a terminal: labels flush left, cells flush right in columns of ``width`` places."""
    labels = max(places(label) for label, *_ in rows)
    return [
        flush_left(label, labels) + "".join(flush_right(cell, width) for cell in cells)
        for label, *cells in rows
    ]


def encodable(text: str, encoding: str) -> str:
    """Text that an encoding can write: the nearest plain letters for what it lacks (2 for ²), else ``?``.

    >>> encodable("R² of 城", "ascii")
    'R2 of ?'
    """
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(_nearest(character, encoding) for character in text)
    return text


def _nearest(character: str, encoding: str) -> str:
    for candidate in (character, unicodedata.normalize("NFKD", character)):
        plain = "".join(
            part for part in candidate if candidate == character or not unicodedata.combining(part)
        )
        try:
            plain.encode(encoding)
        except UnicodeEncodeError:
            continue
        return plain
    return "?"
