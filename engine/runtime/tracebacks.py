"""Tracebacks of errors that nobody foresaw go to a file; the command says in one line which."""

from __future__ import annotations

import os
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

ERRORS = "errors.log"


def keep_traceback(error: BaseException, folder: Path | None = None) -> Path | None:
    """Append the traceback of an error to ``errors.log`` in a folder; returns the file, None where none can be written.

    Where it cannot be written, the user's cache folder and then the one for temporary files are tried.
    """
    head = (
        f"{datetime.now(UTC).isoformat(timespec='seconds')}\n"  # not the arguments: they may hold a password
    )
    text = head + "".join(traceback.format_exception(error)) + "\n"
    for place in _places(folder):
        try:
            place.mkdir(parents=True, exist_ok=True)
            with (place / ERRORS).open("ab") as stream:
                stream.write(text.encode(errors="backslashreplace"))
        except (OSError, RuntimeError):
            continue
        return place / ERRORS
    return None


def _places(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        yield folder
    yield Path(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache")) / "dyadid"
    with suppress(OSError):
        yield Path(tempfile.mkdtemp(prefix="dyadid-"))
