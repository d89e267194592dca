"""The ``inference`` block of a job: draws spread over the machine, then one row a cell, term and method."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pandas as pd

from engine.pairs.kept import forget_all
from engine.runtime.execute import Machine
from engine.spec import Job
from engine.stages.estimation import Estimated
from engine.stages.inference.book import DRAWS, INFERENCE, Book, Inferred
from engine.stages.inference.bootstrap import bootstrap
from engine.stages.inference.leave_out import leave_out
from engine.stages.inference.permutation import permute
from engine.stages.prepare import Prepared

__all__ = ["Inferred", "run_inference"]


def run_inference(machine: Machine, job: Job, passes: Sequence[tuple[Prepared, list[Estimated]]]) -> Inferred:
    """All inference that the cells ask for, pass by pass."""
    book = Book(job.job, [], [], [], [])
    for prepared, every in passes:
        results = [result for result in every if not result.fit.exact]
        book.notes += [
            f"{result.cell.label}: no draws: the fit is exact, so there is no error to draw"
            for result in every
            if result.fit.exact and any(block is not None for _, block in result.cell.job.inference)
        ]
        for wanted, group in _by_block(results, "permutation"):
            permute(machine, prepared, group, wanted, book)
        for wanted, group in _by_block(results, "bootstrap"):
            bootstrap(machine, prepared, group, wanted, book)
        for wanted, group in _by_block(results, "jackknife"):
            leave_out(machine, prepared, group, wanted.by, book)
    machine.everywhere(forget_all)  # the next job needs the memory
    return Inferred(
        pd.DataFrame(book.rows, columns=list(INFERENCE)),
        pd.concat(book.draws, ignore_index=True) if book.draws else pd.DataFrame(columns=list(DRAWS)),
        pd.concat(book.influence, ignore_index=True) if book.influence else pd.DataFrame(),
        tuple(dict.fromkeys(book.notes)),
    )


def _by_block(results: list[Estimated], kind: str) -> list[tuple[Any, list[Estimated]]]:
    """Results that ask for the same, together: they share draws."""
    groups: dict[str, tuple[Any, list[Estimated]]] = {}
    for result in results:
        wanted = getattr(result.cell.job.inference, kind)
        if wanted is not None:
            content = wanted.model_dump(exclude={"terms"})
            groups.setdefault(json.dumps(content, sort_keys=True), (wanted, []))[1].append(result)
    return list(groups.values())
