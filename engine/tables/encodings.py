"""The text of a file as UTF-8: its encoding is recognised, or refused where it would be a guess."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import replace

from engine.errors import InputError
from engine.tables.headers import FileLayout

_PART = 16 * 2**20  # bytes decoded at a time
_NO_TEXT = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "utf_7"})
_ONE_BYTE = ("cp125", "iso8859", "mac", "koi8")  # any bytes fit them, and no such text is UTF-8 by chance
_BOM = b"\xef\xbb\xbf"
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_FOREIGN = re.compile(r"([A-Za-z]?)([^\x00-\x7f]+)([A-Za-z]?)")
_WORD = re.compile(r"[^\s,;|\"]*[^\x00-\x7f\s,;|\"][^\s,;|\"]*")
_FOREIGN_BYTES = re.compile(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*")
_HEAD = 2**16  # bytes in which zeros are counted
_ZERO_SHARE = 16  # one byte in so many is zero at least, where commas and digits are UTF-16
_ENOUGH = 100_000  # characters from which an encoding is judged
_ODD_SHARE = 0.6  # of characters that Chinese text hardly has; 衢州 and 亳州 alone make 0.5
_OTHERS = "cp1252 (Western European), cp1250, cp1251 (Cyrillic), big5, shift_jis, euc_kr or utf-16"


def to_utf8(content: bytes, layout: FileLayout, *, source: str) -> bytes:
    """The text in UTF-8, without a byte-order mark.

    Without a stated encoding UTF-8 is tried, then GB18030. Nearly any bytes are GB18030, so that its text is
    believed only where most of its characters are those that Chinese is written in.

    Raises
    ------
    InputError
        For an encoding that is unknown, does not fit, or would be a guess; for NUL characters.
    """
    if layout.encoding is not None:
        text = _stated(content, layout, source=source)
    elif utf_16 := _unmarked_utf_16(content):
        raise InputError(
            f"the text is {utf_16} without a byte-order mark",
            where=source,
            remedy=f"state {layout.named('encoding')}: {utf_16}, or save the file as UTF-8",
        )
    else:
        plain = _utf8(content)
        text = _gb18030(content, layout, source=source) if plain is None else plain
    if b"\0" in text:
        _refuse_nul(content, text, layout, source=source)
    return text


def _stated(content: bytes, layout: FileLayout, *, source: str) -> bytes:
    encoding = layout.encoding or ""
    if not _is_text_encoding(encoding):
        raise InputError(
            f"unknown encoding {encoding!r}",
            where=source,
            remedy=f"use e.g. utf-8 or gb18030 as {layout.named('encoding')}",
        )
    try:
        text = b"".join(part.encode("utf-8") for part in _decoded(content, encoding))
    except UnicodeError:
        raise InputError(
            f"the text is not {encoding}", where=source, remedy=_stated_wrongly(content, layout)
        ) from None
    if (
        codecs.lookup(encoding).name.startswith(_ONE_BYTE)
        and not content.isascii()
        and _utf8(content) is not None
    ):
        raise InputError(
            f"the text is UTF-8, not {encoding}",
            where=source,
            remedy=f"take {layout.named('encoding')} out",
        )
    return text.removeprefix(_BOM)


def _is_text_encoding(encoding: str) -> bool:
    try:
        codec = codecs.lookup(encoding)
        return (
            bool(getattr(codec, "_is_text_encoding", True)) and codec.name.replace("-", "_") not in _NO_TEXT
        )
    except (LookupError, ValueError, UnicodeError, ImportError):  # a NUL is a ValueError
        return False


def _utf8(content: bytes) -> bytes | None:
    try:
        for _ in _decoded(content, "utf-8"):
            pass
    except UnicodeError:
        return None
    return content.removeprefix(_BOM)


def _gb18030(content: bytes, layout: FileLayout, *, source: str) -> bytes:
    try:
        text = b"".join(part.encode("utf-8") for part in _decoded(content, "gb18030"))
    except UnicodeError:
        raise InputError(
            "the text is not utf-8 or gb18030", where=source, remedy=_remedy(content, layout)
        ) from None
    word = _odd_word(content)
    if word is None:
        return text
    western = _as_western(word.encode("gb18030"))
    western_reading = f" and '{western}' in cp1252" if western else ""
    raise InputError(
        f"the encoding is not clear: the text reads '{word}' in GB18030{western_reading}",
        where=source,
        remedy=f"state {layout.named('encoding')}: {'cp1252' if western else _OTHERS}, or gb18030 if that is "
        "right; or save the file as UTF-8",
    )


def _odd_word(content: bytes) -> str | None:
    """A word that GB18030 misreads, where most of the text's characters are none that Chinese often has."""
    odd = total = 0
    word = None
    for text in _decoded(content, "gb18030"):
        for letter_before, signs, letter_after in _FOREIGN.findall(text):
            within_word = len(signs) == 1 and letter_before and letter_after
            odd += len(signs) if within_word else sum(not _common(sign) for sign in signs)
            total += len(signs)
            if total > _ENOUGH:
                break
        match = _WORD.search(text)
        word = word or (match.group()[:40] if match else None)
        if total > _ENOUGH:
            break
    return word if odd > _ODD_SHARE * total else None


def _common(sign: str) -> bool:
    """True for the 3,755 everyday characters of GB 2312, ordered by sound, and its punctuation."""
    code = sign.encode("gb18030")
    return len(code) == 2 and (0xB0 <= code[0] <= 0xD7 or 0xA1 <= code[0] <= 0xA3) and code[1] >= 0xA1


def _as_western(content: bytes) -> str | None:
    """A word in cp1252, where all of it that is not ASCII are letters, and fewer than the others."""
    try:
        text = content.decode("cp1252")
    except UnicodeError:
        return None
    foreign = [sign for sign in text if sign > "\x7f"]
    plain = sum(sign.isascii() and sign.isalpha() for sign in text)
    return text if 0 < len(foreign) <= plain and all(sign.isalpha() for sign in foreign) else None


def _stated_wrongly(content: bytes, layout: FileLayout) -> str:
    """Remedy for a stated encoding that does not fit: without the key, UTF-8 and GB18030 are recognised."""
    try:
        to_utf8(content, replace(layout, encoding=None), source="")
    except InputError:
        return _remedy(content, layout)
    return (
        f"take out {layout.named('encoding')}: the text is {'GB18030' if _utf8(content) is None else 'UTF-8'}"
    )


def _remedy(content: bytes, layout: FileLayout) -> str:
    key = layout.named("encoding")
    if content.startswith(_UTF_16):
        return f"state {key}: utf-16, which Excel calls 'Unicode text', or save the file as UTF-8"
    word = _FOREIGN_BYTES.search(content)
    western = _as_western(word.group()[:40]) if word else None
    if western:
        return f"state {key}: cp1252 (it then reads '{western}'), or save the file as UTF-8"
    return f"state {key}: {_OTHERS} (Excel's 'Unicode text' is utf-16); or save the file as UTF-8"


def _unmarked_utf_16(content: bytes) -> str | None:
    """UTF-16 that does not say so: of two bytes the first, or the second, is often zero, and hardly ever the other."""
    head = content[:_HEAD]
    if b"\0" not in head or head.startswith(_UTF_16):
        return None
    first, second = head[0::2].count(0), head[1::2].count(0)
    rarely, often = sorted((first, second))
    line_end = b"\n\0" if second > first else b"\0\n"
    has_lines = often > 1 and any(head[place : place + 2] == line_end for place in range(0, len(head), 2))
    if often < 10 * rarely or (often * _ZERO_SHARE < len(head) and not has_lines):
        return None
    return "utf-16-le" if second > first else "utf-16-be"


def _refuse_nul(content: bytes, text: bytes, layout: FileLayout, *, source: str) -> None:
    row = text.count(b"\n", 0, text.index(b"\0")) + 1
    utf_16 = _unmarked_utf_16(content)
    raise InputError(
        "the text contains a NUL character",
        where=f"{source}: row {row}",
        remedy=f"state {layout.named('encoding')}: {utf_16}"
        if utf_16
        else "get the file again; it is damaged",
    )


def _decoded(content: bytes, encoding: str) -> Iterator[str]:
    """The text, a part at a time."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    for start in range(0, len(content), _PART):
        yield decoder.decode(content[start : start + _PART], start + _PART >= len(content))
