"""Journal of a run while it works: lines of ``log.jsonl``, and ``progress.json`` with the present state.

Each line of the log is one event with its time: the run, passes, units, workers lost, the end. A log that cannot be
written stops nothing: it is there for people, and no result depends on it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from engine.runtime.files import write_text
from engine.runtime.schedule import Schedule

LOG = "log.jsonl"
PROGRESS = "progress.json"
_EVERY_SECONDS = 1.0


class Journal:
    """The log of one job.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    job, lang : str
        Name and language of the job.

    Attributes
    ----------
    schedule : Schedule
        Says how long the run will go on.
    """

    def __init__(self, folder: Path | None, job: str = "", lang: str = "en") -> None:
        self._folder, self._lock, self._last = folder, Lock(), 0.0
        self.schedule = Schedule()
        self._state: dict[str, object] = {"job": job, "lang": lang, "state": "running", "started": _now()}

    def note(self, event: str, **facts: object) -> None:
        """Add a line; ``facts`` are plain values."""
        if self._folder is None:
            return
        text = json.dumps({"time": _now(), "event": event, **facts}, ensure_ascii=False)
        line = text.encode(errors="backslashreplace") + b"\n"  # names of files may not be UTF-8
        with suppress(OSError), self._lock, open(self._folder / LOG, "ab", buffering=0) as stream:
            start = stream.tell()
            n_written = 0
            try:
                n_written = stream.write(line)
            finally:
                if n_written < len(line):  # a full disk takes a part: the next line shall not run into it
                    stream.truncate(start)

    def progress(self, label: str, n_done: int, total: int) -> None:
        """Say how far a pass is; written at most once a second, and when another kind of pass begins."""
        _, seconds_left = self.schedule.report(label, n_done, total)
        is_new = self._state.get("label") != label
        self._state |= {"label": label, "done": n_done, "total": total}
        self._state |= {"seconds_left": seconds_left, "estimated": _now()}
        if is_new or time.monotonic() - self._last >= _EVERY_SECONDS:
            self._write()

    @contextmanager
    def kept(self, **facts: object) -> Iterator[None]:
        """The run within is told from its start to its end, however it ends."""
        self._state |= facts
        self.note("run started", **self._state)
        self._write()
        try:
            yield
        except BaseException as error:
            state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self._end(state, reason=type(error).__name__)
            raise
        self._end("finished")

    def told(self, **facts: object) -> None:
        """Facts for ``progress.json`` that turn up on the way, such as the address of a dashboard."""
        self._state |= facts
        self._write()

    def _end(self, state: str, **facts: object) -> None:
        self._state["state"] = state
        self.note(f"run {state}", **facts)
        self._write()

    def _write(self) -> None:
        if self._folder is None:
            return
        self._last = time.monotonic()
        try:
            with self._lock:
                write_text(self._folder / PROGRESS, json.dumps({**self._state, "updated": _now()}))
        except OSError:
            pass


def read_record(path: Path) -> dict[str, Any]:
    """A JSON mapping that a run left; empty where there is none, or where it was damaged in whatever way."""
    return as_record(read_lines(path))


def as_record(text: str) -> dict[str, object]:
    """The JSON mapping that a text holds; empty for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):  # brackets nested by the thousand
        return {}
    return value if isinstance(value, dict) else {}


def read_lines(path: Path) -> str:
    """The text of a file that people look at; empty for a folder, a pipe, or what may not be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except (OSError, ValueError):  # ValueError: a name that no file can have
        return ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
