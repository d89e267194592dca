"""Paths that job files, profiles and the command line name: what no file can be called is told, never raised."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from engine.errors import InputError

_MOST_PATH, _MOST_NAME = 4096, 255  # bytes, as Linux has them; Windows and macOS have no more


def checked_path(text: str) -> str:
    """The text of a path, unchanged; raises InputError where no file could be called so."""
    problem = _problem(text)
    if problem:
        raise InputError(
            problem, remedy="name a file by a path of ordinary length, without control characters"
        )
    return text


def real_path(path: Path, *, where: str) -> Path:
    """The file behind links; raises InputError for a loop of links and for names that no file can have."""
    problem = _problem(str(path))
    if problem:
        raise InputError(problem, where=where)
    try:
        real = path.resolve()
        os.stat(real)
    except FileNotFoundError:
        return real
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a loop of links, before Python 3.13
        reason = getattr(error, "strerror", None) or "its links lead back to themselves"
        raise InputError(f"{path} cannot be read: {reason}", where=where, remedy="check the path") from None
    return real


def expanded(text: str, folder: Path, *, where: str) -> str:
    """The absolute path of a text that is relative to ``folder`` and may begin with ``~`` or ``~user``."""
    checked_path(text)
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        user = text.split("/", 1)[0]
        raise InputError(
            f"there is no home folder of {user}", where=where, remedy="write the path in full"
        ) from None
    return os.path.abspath(folder / path)


def _problem(text: str) -> str:
    if not text.strip():
        return "the path is empty"
    if any(ord(letter) < 32 or ord(letter) == 127 for letter in text):
        return "the path holds a control character"
    raw = os.fsencode(text) if text.isprintable() else text.encode("utf-8", "replace")
    if len(raw) > _MOST_PATH:
        return f"the path has {len(raw):,} bytes, the limit is {_MOST_PATH:,}"
    longest = max(map(len, raw.replace(b"\\", b"/").split(b"/")))
    if longest > _MOST_NAME:
        return f"a name in the path has {longest:,} bytes, the limit is {_MOST_NAME}"
    return ""


Source = Annotated[str, AfterValidator(checked_path), Field(json_schema_extra={"format": "path"})]
"""A file, or ``builtin:NAME``."""
