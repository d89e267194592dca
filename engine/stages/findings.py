"""Frames that only some jobs have: instrument, matching, contrasts of a split's classes."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engine.stages.contrasts import contrasts_frame
from engine.stages.estimation import Estimated
from engine.stages.instrument import instrument_frame
from engine.stages.prepare_passes import Prepared


def findings(
    job: str, passes: Sequence[tuple[Prepared, list[Estimated]]], ordered: Sequence[Estimated]
) -> dict[str, pd.DataFrame]:
    """Those that the job has, by name.

    ``instrument``: strength and Anderson-Rubin interval by cell and kind of error. ``matching``: logit and
    counts of each matched sample; ``balance``: its covariates before and after. ``contrasts``: differences of
    coefficients between the classes of a split.
    """
    found = {
        "instrument": instrument_frame(
            job, [(one.cell, one.instrument[1], one.instrument[0]) for one in ordered if one.instrument]
        ),
        "contrasts": contrasts_frame(ordered, job),
    }
    matched = [
        (result.cell.id, one.matching) for one, results in passes for result in results if one.matching
    ]
    if matched:
        found["matching"] = pd.concat(
            [report.scores.assign(job=job, cell=cell, **report.counts) for cell, report in matched],
            ignore_index=True,
        )
        found["balance"] = pd.concat(
            [report.balance.assign(job=job, cell=cell) for cell, report in matched], ignore_index=True
        )
    return {name: frame for name, frame in found.items() if len(frame)}
