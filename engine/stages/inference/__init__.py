"""The ``inference`` block of a job: draws spread over the machine, then one row a cell, term and method."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from engine.notes import Note, distinct, of_cell
from engine.pairs.process_cache import forget_all
from engine.runtime.execute import Machine
from engine.spec import Job
from engine.stages.draw_counts import by_block
from engine.stages.estimation import Estimated
from engine.stages.inference.bootstrap import bootstrap
from engine.stages.inference.draw_collector import DRAWS, INFERENCE, DrawCollector, Inferred
from engine.stages.inference.leave_out import leave_out
from engine.stages.inference.permutation_draws import permute
from engine.stages.prepare_passes import Prepared

__all__ = ["Inferred", "run_inference"]


def run_inference(machine: Machine, job: Job, passes: Sequence[tuple[Prepared, list[Estimated]]]) -> Inferred:
    """All inference that the cells request, pass by pass."""
    collector = DrawCollector(job.job)
    for prepared, cells in passes:
        collector.notes += [
            of_cell(cell.cell.label, Note("fit_exact_no_draws"))
            for cell in cells
            if cell.fit.exact and any(block is not None for _, block in cell.cell.job.inference)
        ]
        inexact = [cell for cell in cells if not cell.fit.exact]
        for block, group in by_block(inexact, lambda cell: cell.cell.job.inference.permutation):
            permute(machine, prepared, group, block, collector)
        for scheme, group in by_block(inexact, lambda cell: cell.cell.job.inference.bootstrap):
            bootstrap(machine, prepared, group, scheme, collector)
        for jackknife, group in by_block(inexact, lambda cell: cell.cell.job.inference.jackknife):
            leave_out(machine, prepared, group, jackknife.by, collector)
    machine.everywhere(forget_all)  # the next job needs the memory
    draws, influence = collector.draws, collector.influence
    return Inferred(
        pd.DataFrame(collector.rows, columns=list(INFERENCE)),
        pd.concat(draws, ignore_index=True) if draws else pd.DataFrame(columns=list(DRAWS)),
        pd.concat(influence, ignore_index=True) if influence else pd.DataFrame(),
        tuple(distinct(collector.notes)),
    )
