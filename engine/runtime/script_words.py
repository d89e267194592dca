"""Words of job scripts, directives and remote commands: all are quoted, and what no quoting can hold is refused."""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from engine.errors import InputError

_UNPRINTABLE = (
    "Cc",
    "Cs",
    "Zl",
    "Zp",
)  # controls, halves of surrogate pairs, separators of lines and paragraphs
_SHELL_LINES = ("prologue",)  # of a profile; each may be several lines, with tabs
_HOST = re.compile(r"(?!-)[\w.:%\[\]-]+")


def refuse_unprintable(value: Any, *, where: str, key: str = "") -> None:
    """Refuse control characters in any text of nested mappings and sequences: a newline would begin a line of a script.

    Raises
    ------
    InputError
        Naming the key, and showing the text with the character escaped.
    """
    if isinstance(value, Mapping):
        for name, element in value.items():
            refuse_unprintable(name, where=where, key=f"{key}.{name}".lstrip("."))
            refuse_unprintable(element, where=where, key=f"{key}.{name}".lstrip("."))
    elif isinstance(value, str):
        allowed = "\n\t" if key in _SHELL_LINES else ""
        if any(
            unicodedata.category(character) in _UNPRINTABLE and character not in allowed
            for character in value
        ):
            raise InputError(
                f"{value!a} holds a control character",
                where=f"{where}: {key}" if key else where,
                remedy="write it without; it would become part of a script or command",
            )
    elif isinstance(value, Sequence):
        for element in value:
            refuse_unprintable(element, where=where, key=key)


def refuse_odd_hosts(hosts: Iterable[str], *, where: str) -> None:
    """Refuse what is no name or address of a machine: Dask puts it between quotes of a remote shell."""
    for host in hosts:
        if not _HOST.fullmatch(host):
            raise InputError(
                f"'{host}' is no name of a machine", where=where, remedy="write a host name or an address"
            )


def quoted_program(path: str) -> str:
    """A program's path as a shell reads it back; ``~`` and ``~user`` are homes on the machine where it runs."""
    home = re.match(r"~[\w.-]*/", path)
    return home[0] + shlex.quote(path[home.end() :]) if home else shlex.quote(path)


def quoted(words: Iterable[object]) -> list[str]:
    """Each word as a shell reads it back; batch systems split their directives by the same rules."""
    return [shlex.quote(str(word)) for word in words]
