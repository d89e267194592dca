"""Strict YAML: the plain core of the language, and a refusal that names the line for everything else.

Refused are tags, anchors and aliases (a job is data, and ``extends`` is how jobs share text), keys given
twice, the words yes/no/on/off (text in one YAML version, true/false in another), numbers that begin with 0,
.inf and .nan, several documents, deep nesting and large files. Dates stay text; 1e-6 is a number.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from engine.errors import InputError
from engine.spec.paths import real_path
from engine.spec.plain import half_width, shown

MAX_BYTES, MAX_DEPTH = 1_000_000, 20

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"": None, "~": None} | {
    spelling: value
    for word, value in {"null": None, "true": True, "false": False}.items()
    for spelling in (word, word.capitalize(), word.upper())
}
_AMBIGUOUS = re.compile(r"(?i:yes|no|on|off)|[-+]?0\d+|(?i:[-+]?\.inf|\.nan)")
_WIDE_COLON = re.compile(r"[A-Za-z_.]+\s*\uff1a")  # {source:a} with it is a key without a value
_INTEGER = re.compile(r"[-+]?\d+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?", re.ASCII)


def read_mapping(path: Path) -> tuple[dict[str, object], str]:
    """The mapping a file holds, and the sha256 of its bytes; raises InputError with file, line and column."""
    real_path(path, where=str(path))
    if not path.is_file():
        no_file = "a pipe or a device, not a job file" if path.exists() else "no such file"
        problem = "a folder, not a job file" if path.is_dir() else no_file
        raise InputError(
            problem, where=str(path), remedy="check the path; it is relative to the working folder"
        )
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"byte {error.start} is not UTF-8", where=str(path), remedy="save the file as UTF-8"
        ) from None
    if len(raw) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES:,} bytes, which no job file is", where=str(path))
    document = parse_yaml(text, where=str(path))
    if not isinstance(document, dict):
        kinds = {list: "is a list", str: "is a text", type(None): "is empty"}
        problem = kinds.get(type(document), "is a single value")
        signs = half_width(document) if isinstance(document, str) else ""
        remedy = signs or "begin with 'job: a_name'"
        raise InputError(f"{problem}, not a mapping", where=str(path), remedy=remedy)
    return document, hashlib.sha256(raw).hexdigest()


def parse_yaml(text: str, *, where: str) -> Any:
    """The value of one YAML document: mappings, lists, str, int, finite float, bool, None.

    Raises
    ------
    InputError
        With ``where``, line and column; for a syntax error also the line itself.
    """
    try:
        events = yaml.parse(text, Loader=_LOADER)
        value: object = None
        documents = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _refusal("a second document", event, where, "one job a file: remove the '---'")
            elif isinstance(event, yaml.NodeEvent):
                value = _node(event, events, where, depth=0)
        return value
    except yaml.MarkedYAMLError as error:
        raise _syntax_error(error, text, where) from None
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"cannot be read as text: {reason}", where=where) from None


def _node(event: Any, events: Iterator[object], location: str, depth: int) -> object:
    """The value that begins at ``event``; takes its further events from ``events``."""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        mark = "alias '*" if isinstance(event, yaml.AliasEvent) else "anchor '&"
        remedy = (
            "write the value out, or share it between jobs by 'extends'; put text that begins so in quotes"
        )
        raise _refusal(f"{mark}{shown(event.anchor)}' is refused", event, location, remedy)
    if event.tag is not None:
        raise _refusal(
            f"tag '{shown(event.tag, 200)}' is refused",
            event,
            location,
            "write the plain value; text in quotes",
        )
    if depth > MAX_DEPTH:
        raise _refusal(
            f"nested deeper than {MAX_DEPTH}", event, location, "no job needs that; check the brackets"
        )
    if isinstance(event, yaml.ScalarEvent):
        return _scalar(event, location)
    if isinstance(event, yaml.SequenceStartEvent):
        children = []
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            children.append(_node(event, events, location, depth + 1))
        return children
    mapping: dict[str, object] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(event, events, location, depth + 1)
        if not isinstance(key, str):
            raise _refusal(
                f"the key {shown(repr(key))} is not text", event, location, "put the key in quotes"
            )
        if key in mapping:
            raise _refusal(f"the key '{shown(key)}' is given twice", event, location, "keep one of the two")
        mapping[key] = _node(next(events), events, location, depth + 1)
        if mapping[key] is None and _WIDE_COLON.match(key):
            raise _refusal(f"the key '{shown(key)}' has no value", event, location, half_width(key))
    return mapping


def _scalar(event: Any, location: str) -> object:
    text: str = event.value
    if not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _AMBIGUOUS.fullmatch(text):
        remedy = (
            f"write true or false, or a plain number; if text is meant, put it in quotes: '{shown(text)}'"
        )
        raise _refusal(
            f"'{shown(text)}' means different things to different readers of YAML", event, location, remedy
        )
    try:
        number = int(text) if _INTEGER.fullmatch(text) else float(text) if _FLOAT.fullmatch(text) else None
    except ValueError:
        raise _refusal(f"a number of {len(text)} digits", event, location, "write fewer digits") from None
    if number in (float("inf"), float("-inf")):
        raise _refusal(f"the number {shown(text)} is too large", event, location, "write a finite number")
    return text if number is None else number


def _refusal(problem: str, event: Any, location: str, remedy: str) -> InputError:
    mark = event.start_mark
    return InputError(
        problem, where=f"{location}, line {mark.line + 1}, column {mark.column + 1}", remedy=remedy
    )


def _syntax_error(error: yaml.MarkedYAMLError, text: str, location: str) -> InputError:
    mark, lines = error.problem_mark, text.splitlines() or [""]
    if error.context_mark and (mark is None or mark.line >= len(lines)):
        # The text ended too early: what was begun and not closed is the line to show.
        mark = error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if line >= len(lines):
        line, column = len(lines) - 1, len(lines[-1])
    problem = ", ".join(part for part in (error.problem, error.context) if part)
    remedy = "indent with spaces, close brackets and quotes, and put text that holds : # ` or % in quotes"
    number, wide = (line + 1, lines[line]) if half_width(_code(lines[line])) else _wide_key(lines[:line])
    signs = half_width(_code(wide))
    return InputError(
        f"not valid YAML: {problem}\n    {lines[line][:200]}\n    {' ' * min(column, 200)}^",
        where=f"{location}, line {line + 1}, column {column + 1}",
        remedy=f"{signs} in line {number}, unless it is part of a text in quotes; {remedy}"
        if signs
        else remedy,
    )


def _code(line: str) -> str:
    """A line without its texts in quotes and its comment."""
    return re.sub(r"\"[^\"]*\"|'[^']*'|(^|\s)#.*", " ", line)


def _wide_key(lines: list[str]) -> tuple[int, str]:
    """The last line and its number, where a key there has a full-width colon: YAML takes it for the start of a text."""
    filled = [(number, line) for number, line in enumerate(lines, start=1) if _code(line).strip()]
    number, last = filled[-1] if filled else (0, "")
    return (number, last) if re.match(r"\s*(- )?[\w.]+\s*\uff1a", last) else (0, "")
