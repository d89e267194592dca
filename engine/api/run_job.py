"""Jobs run, or checked, in one call."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from engine.api.arguments import checked_arguments
from engine.api.job_object import StatedJob, job
from engine.api.result import Result

if TYPE_CHECKING:
    from engine.pipeline import RunKeywords


@checked_arguments("origin")
def run(
    origin: str | Path | Mapping[str, object] | StatedJob,
    *,
    panel: object = None,
    pair_table: object = None,
    frames: Mapping[str, object] | None = None,
    out: str | Path | None = None,
    lang: str | None = None,
    **options: Unpack[RunKeywords],
) -> Result:
    """Run a job file, a mapping with the keys of one, or a `StatedJob`.

    Parameters
    ----------
    origin : path, mapping or StatedJob
    panel, pair_table, frames : optional
        Data frames in place of the job's sources, as `job` takes them.
    out, lang
        Folder for files, and the language in place of the job's.
    options
        ``workers`` and others, as `Job.run` takes them.
    """
    return job(origin, panel=panel, pair_table=pair_table, frames=frames).run(out=out, lang=lang, **options)


@checked_arguments("origin")
def check(
    origin: str | Path | Mapping[str, object] | StatedJob,
    *,
    panel: object = None,
    pair_table: object = None,
    frames: Mapping[str, object] | None = None,
) -> str:
    """The report of ``dyadid check`` on a job and its data; raises InputError for all that is wrong with them."""
    return job(origin, panel=panel, pair_table=pair_table, frames=frames).check()
