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
    """All inference that the cells ask for, pass by pass."""
    book = DrawCollector(job.job, [], [], [], [])
    for prepared, every in passes:
        results = [result for result in every if not result.fit.exact]
        book.notes += [
            of_cell(result.cell.label, Note("fit_exact_no_draws"))
            for result in every
            if result.fit.exact and any(block is not None for _, block in result.cell.job.inference)
        ]
        for wanted, group in by_block(results, "permutation", _job):
            permute(machine, prepared, group, wanted, book)
        for wanted, group in by_block(results, "bootstrap", _job):
            bootstrap(machine, prepared, group, wanted, book)
        for wanted, group in by_block(results, "jackknife", _job):
            leave_out(machine, prepared, group, wanted.by, book)
    machine.everywhere(forget_all)  # the next job needs the memory
    return Inferred(
        pd.DataFrame(book.rows, columns=list(INFERENCE)),
        pd.concat(book.draws, ignore_index=True) if book.draws else pd.DataFrame(columns=list(DRAWS)),
        pd.concat(book.influence, ignore_index=True) if book.influence else pd.DataFrame(),
        tuple(distinct(book.notes)),
    )


def _job(result: Estimated) -> Job:
    return result.cell.job
