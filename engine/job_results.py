"""The results of a job as a value: frames, manifest, validation report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from engine.spec import Plan


@dataclass(frozen=True)
class Results:
    """Results of a job.

    Attributes
    ----------
    job, title : str
    frames : dict of str to DataFrame
        By name, as in the Parquet files: ``estimates``, and those that the job has.
    manifest : dict
        What was run on what, counts at every filter, versions, timings.
    validation : dict
        The validation report of the data (of the first cell's panel).
    folder : Path or None
        Where the files are, if any were written.
    reused : bool
        The files of an earlier run are these results; nothing was computed.
    undrawn : tuple of str
        Figures that could not be drawn, and why; numbers and tables are there, and the next run draws again.
    """

    job: str
    title: str
    frames: dict[str, pd.DataFrame]
    manifest: dict[str, Any]
    validation: dict[str, Any]
    folder: Path | None = None
    reused: bool = False
    undrawn: tuple[str, ...] = ()

    @property
    def estimates(self) -> pd.DataFrame:
        """One row a cell, term and standard-error type."""
        return self.frames["estimates"]

    @cached_property
    def types_of(self) -> dict[str, list[str]]:
        """Standard-error types of each cell, by its id."""
        names = (self.estimates[name].tolist() for name in ("cell", "errors"))
        types: dict[str, list[str]] = {}
        for cell, code in dict.fromkeys(zip(*names, strict=True)):
            types.setdefault(cell, []).append(code)
        return types

    @property
    def event_study(self) -> pd.DataFrame | None:
        """Event-study terms with their event year and the reference period."""
        return self.frames.get("event_study")

    @property
    def inference(self) -> pd.DataFrame:
        """Permutation, bootstrap and jackknife: one row a cell, term and method; empty where none was requested."""
        from engine.stages.inference.draw_collector import INFERENCE

        return self.frames.get("inference", pd.DataFrame(columns=list(INFERENCE)))

    @property
    def draws(self) -> pd.DataFrame:
        """Every draw of those."""
        from engine.stages.inference.draw_collector import DRAWS

        return self.frames.get("draws", pd.DataFrame(columns=list(DRAWS)))

    @property
    def influence(self) -> pd.DataFrame:
        """Leave-out estimates of each city or group."""
        return self.frames.get("influence", pd.DataFrame())


def reused_results(plan: Plan, folder: Path) -> Results:
    """Results of an earlier run, read from its files."""
    from engine.stages.saved import read_job

    saved = read_job(folder)
    return Results(
        job=plan.loaded.job.job,
        title=saved.manifest["title"],
        frames=saved.frames,
        manifest=saved.manifest,
        validation=saved.validation,
        folder=folder,
        reused=True,
    )
