"""State and logs of the runs in an output folder, for ``dyadid status`` and ``dyadid logs``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from engine.errors import InputError
from engine.report.language.stored_notes import sentence
from engine.report.language.wording import Words, known_words, shared_words
from engine.runtime.batch_queues import queue_line
from engine.runtime.files import STATE, is_locked
from engine.runtime.journal import LOG, PROGRESS, as_record, read_lines, read_record
from engine.stages.submit import DRIVER, submitted

_TAIL = 40  # lines of a driver's output
_LONGEST_RUN = 1e9  # seconds


def status_lines(folder: Path) -> Iterator[str]:
    """The driver in the queue, if one was submitted, and how far each job is, in the language of the jobs."""
    driver, jobs, record = submitted(folder), _jobs(folder), folder / STATE / DRIVER
    if driver is None and not jobs and not record.exists():
        raise InputError(
            "no run has begun here",
            where=str(folder),
            remedy="name the folder that --out of `dyadid run` named",
        )
    if driver is not None:
        words = known_words(driver.lang)
        yield words(
            "driver: {kind} job {id}, submitted {time}: {state}",
            kind=driver.kind,
            id=driver.job_id,
            time=driver.submitted,
            state=queue_line(driver.kind, driver.job_id) or words("no longer in the queue"),
        )
    elif record.exists():
        words = known_words(folder_lang(folder))
        yield words("driver: its record {record} is damaged; ask the batch system", record=record)
    for job in jobs:
        yield _progress(job)


def folder_lang(folder: Path) -> str:
    """The language that the runs in a folder have, with that of a driver; English where they differ, or none is."""
    driver = submitted(folder)
    langs = [_words_of(read_record(state / PROGRESS)).lang for state in _jobs(folder)]
    return shared_words([*langs, *([driver.lang] if driver and not langs else [])]).lang


def _words_of(record: Mapping[str, object]) -> Words:
    return known_words(record.get("lang"))


def running(folder: Path) -> bool:
    """Whether a driver waits or runs, or any job is at work."""
    driver = submitted(folder)
    waiting = driver is not None and bool(queue_line(driver.kind, driver.job_id))
    return waiting or any(is_locked(state) for state in _jobs(folder))


def log_lines(folder: Path, *, after: str = "") -> Iterator[tuple[str, str]]:
    """Time and text of every event of every job that came after a time (ISO), the earliest first."""
    events = []
    for state in _jobs(folder):
        for line in read_lines(state / LOG).splitlines():
            event = as_record(line)
            if {"time", "event"} <= set(event):  # else the line that is just being written, or a damaged one
                events.append((str(event.pop("time")), str(event.pop("event")), state.parent.name, event))
    for time, name, job, facts in sorted(events, key=lambda event: event[0]):
        if time > after:
            plain = {key: value for key, value in facts.items() if not isinstance(value, Mapping)}
            details = ", ".join(f"{key} {value}" for key, value in plain.items() if value not in (None, ""))
            yield time, f"{time[:19]}  {job}  {name}" + (f": {details}" if details else "")


def output_lines(folder: Path) -> Iterator[str]:
    """The end of the submitted driver's output, and where workers' logs are."""
    driver = submitted(folder)
    if driver is not None:
        for path in sorted(Path(driver.logs).glob("*")):
            text = read_lines(path).splitlines()
            if text:
                yield f"{path}:"
                yield from (f"  {line}" for line in text[-_TAIL:])
    logs = sorted((folder / STATE / "workers").glob("*"))
    if logs:
        yield f"logs of workers: {len(logs)} files in {logs[0].parent}"


def _jobs(folder: Path) -> list[Path]:
    """State folders of the jobs of an output folder, or of the one job whose folder it is."""
    records = sorted(folder.glob(f"*/{STATE}/{PROGRESS}")) + sorted(folder.glob(f"{STATE}/{PROGRESS}"))
    return [path.parent for path in records]


def _progress(state: Path) -> str:
    """Progress of a job by its ``progress.json``; whatever of it is not of its kind is passed over."""
    record = read_record(state / PROGRESS)
    words = _words_of(record)
    text = {key: value for key, value in record.items() if isinstance(value, str) and value}
    word = text.get("state", "unknown, its progress.json is damaged")
    if word == "running" and not is_locked(state):
        word = "stopped without a word; run it again to do the rest"
    name = text.get("job") or state.parent.name
    parts = [words("{job}: {state}", job=name, state=words.in_context(word, "state"))]
    if word == "running":
        parts += _running_parts(record, text, words)
    start, last = _moment(text.get("started")), _moment(text.get("updated"))
    if start is not None and last is not None:
        took = ((datetime.now(UTC) if word == "running" else last) - start).total_seconds()
        parts.append(words.duration(took))
    return words(", ").join(parts)


def _running_parts(record: Mapping[str, object], text: Mapping[str, str], words: Words) -> Iterator[str]:
    """How far a run is, how long it will go on, and where it is."""
    n_done, total = record.get("done"), record.get("total")
    if isinstance(n_done, int) and isinstance(total, int) and total and "label" in text:
        share = words("{done} of {total}", done=f"{n_done:,}", total=f"{total:,}")
        yield f"{words.in_context(text['label'], 'pass')} {share}"
    seconds_left = _seconds_left(record.get("seconds_left"), _moment(text.get("estimated")))
    if seconds_left is not None:
        yield words("about {time} left", time=words.duration(seconds_left))
    if "where" in text:
        try:
            yield sentence(record, "where", words)
        except (LookupError, TypeError, ValueError, AttributeError):  # a damaged code
            yield text["where"]
    if "dashboard" in text:
        yield text["dashboard"]


def _seconds_left(at_report: object, reported: datetime | None) -> float | None:
    """Seconds left by now; None where the record has none, or they are over."""
    if not isinstance(at_report, int | float) or not 0 <= at_report < _LONGEST_RUN or reported is None:
        return None
    left = at_report - max((datetime.now(UTC) - reported).total_seconds(), 0.0)
    return left if left > 0 else None


def _moment(text: str | None) -> datetime | None:
    """A time as a journal writes it, with its zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None
