"""Jobs that a program states: plain data of a mapping, and data frames that stand for the sources of tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from engine.errors import InputError
from engine.spec.job import Job
from engine.spec.keys import assign

if TYPE_CHECKING:
    from engine.tables.read import FileTable

FRAME = "frame:"
"""How the source of a table begins that is a data frame, passed by name with the job."""
BLOCKS = ("panel", "pair_table")
"""Blocks whose source a data frame of their name replaces."""


def plain(value: object) -> Any:
    """A deep copy of what a program gives as a job: tuples and arrays as lists, numbers of numpy as plain ones."""
    if isinstance(value, Mapping):
        return {plain(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    to_plain = getattr(value, "tolist", None)  # of numpy's numbers and arrays
    if to_plain is not None:
        return to_plain()
    return [plain(entry) for entry in value] if isinstance(value, list | tuple | range) else value


def with_frames(
    document: dict[str, object], names: Iterable[str], sources: dict[str, str], *, where: str
) -> dict[str, object]:
    """The document with data frames for the sources of their blocks; ``sources`` keeps what was written there.

    Raises
    ------
    InputError
        Where the job lacks the block of a frame, or sweeps over its source.
    """
    for name in BLOCKS:
        if name not in names:
            continue
        block, source = document.get(name), FRAME + name
        if not isinstance(block, dict):
            alternative = BLOCKS[1 - BLOCKS.index(name)]
            raise InputError(
                f"a data frame is given for {name}, but the job has no block {name}",
                where=where,
                remedy=f"pass it as {alternative}" if alternative in document else f"add the block {name}",
            )
        sweep = document.get("sweep")
        if isinstance(sweep, dict) and f"{name}.source" in sweep:
            raise InputError(
                f"a data frame is given for {name}, but the job sweeps over its source",
                where=f"{where}: sweep.{name}.source",
                remedy=f"take the sweep out, or name frames in it as {FRAME}NAME",
            )
        written = block.get("source")
        if isinstance(written, str):
            sources[source] = sources.get(written, written)
        document = assign(document, (name, "source"), source)
    return document


def frame_tables(frames: Mapping[str, object]) -> dict[str, FileTable]:
    """Data frames as tables, by the source that stands for each."""
    if not frames:
        return {}
    from engine.tables.data_frame import frame_table

    return {FRAME + name: frame_table(frame, f"data frame '{name}'") for name, frame in frames.items()}


def refuse_unused(frames: Iterable[str], jobs: Iterable[Job], *, where: str) -> None:
    """Raises InputError for a data frame, by its source, that no cell reads."""
    read: set[str] = set()
    for job in jobs:
        blocks = [job.panel, *job.panel.join, job.panel.links] if job.panel else [job.pair_table]
        read |= {block.source for block in blocks if block is not None}
    for source in frames:
        if source not in read:
            name = source.removeprefix(FRAME)
            raise InputError(
                f"no table of the job is called {source}, so the data frame '{name}' has no use",
                where=where,
                remedy=f"write source: {source}, or leave the frame out",
            )
