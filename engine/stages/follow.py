"""What ``dyadid status`` and ``dyadid logs`` tell of runs in an output folder, wherever they run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.runtime.batch import queue_line
from engine.runtime.files import is_locked
from engine.runtime.journal import LOG, PROGRESS
from engine.stages.finished import STATE
from engine.stages.submit import submitted

_TAIL = 40  # lines of a driver's output


def status_lines(out: Path) -> Iterator[str]:
    """The driver in the queue, if one was submitted, and how far each job is."""
    driver, jobs = submitted(out), _jobs(out)
    if driver is None and not jobs:
        raise InputError(
            "no run has begun here", where=str(out), remedy="name the folder that --out of `dyadid run` named"
        )
    if driver is not None:
        said = queue_line(driver.kind, driver.job_id) or "no longer in the queue"
        yield f"driver: {driver.kind} job {driver.job_id}, submitted {driver.submitted}: {said}"
    for state in jobs:
        yield _progress(state)


def running(out: Path) -> bool:
    """Whether a driver waits or runs, or any job is at work."""
    driver = submitted(out)
    waiting = driver is not None and bool(queue_line(driver.kind, driver.job_id))
    return waiting or any(is_locked(state) for state in _jobs(out))


def log_lines(out: Path, *, after: str = "") -> Iterator[tuple[str, str]]:
    """Time and text of every event of every job that came after a time (ISO), the earliest first."""
    events = []
    for state in _jobs(out):
        for line in _read(state / LOG).splitlines():
            try:
                event = json.loads(line)
                events.append((str(event.pop("time")), str(event.pop("event")), state.parent.name, event))
            except (ValueError, KeyError, AttributeError):
                continue  # the line that is just being written
    for time, name, job, facts in sorted(events, key=lambda one: one[0]):
        if time > after:
            told = ", ".join(f"{key} {value}" for key, value in facts.items() if value not in (None, ""))
            yield time, f"{time[:19]}  {job}  {name}" + (f": {told}" if told else "")


def output_lines(out: Path) -> Iterator[str]:
    """The end of the submitted driver's output, and where workers' logs are."""
    driver = submitted(out)
    if driver is not None:
        for path in sorted(Path(driver.logs).glob("*")):
            text = _read(path).splitlines()
            if text:
                yield f"{path}:"
                yield from (f"  {line}" for line in text[-_TAIL:])
    logs = sorted((out / STATE / "workers").glob("*"))
    if logs:
        yield f"logs of workers: {len(logs)} files in {logs[0].parent}"


def _jobs(out: Path) -> list[Path]:
    """State folders of the jobs of an output folder, or of the one job whose folder it is."""
    found = sorted(out.glob(f"*/{STATE}/{PROGRESS}")) + sorted(out.glob(f"{STATE}/{PROGRESS}"))
    return [path.parent for path in found]


def _progress(state: Path) -> str:
    told = _told(state / PROGRESS)
    name, word = told.get("job") or state.parent.name, told.get("state", "unknown")
    if word == "running" and not is_locked(state):
        word = "stopped without a word; run it again to do the rest"
    parts = [f"{name}: {word}"]
    if word == "running":
        if told.get("total"):
            parts.append(f"{told['label']} {told['done']:,} of {told['total']:,}")
        parts += [str(told[key]) for key in ("where", "dashboard") if told.get(key)]
    if told.get("started") and told.get("updated"):
        start, last = told["started"], told["updated"]
        took = ((datetime.now(UTC) if word == "running" else last) - start).total_seconds()
        parts.append(f"{took:,.0f} s")
    return ", ".join(parts)


def _told(path: Path) -> dict[str, Any]:
    """``progress.json`` without what is damaged in it."""
    try:
        told = json.loads(_read(path))
    except (ValueError, RecursionError):
        told = {}
    told = dict(told) if isinstance(told, dict) else {}
    for key in ("started", "updated"):
        try:
            told[key] = datetime.fromisoformat(told[key]).astimezone(UTC)
        except (KeyError, TypeError, ValueError, OverflowError):
            told[key] = None
    counts = (told.get("done"), told.get("total"))
    if not all(isinstance(count, int) for count in counts) or not isinstance(told.get("label"), str):
        told["total"] = None
    return told


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
