"""From ``model.fixed_effects`` and the data to effects that give every pair-year its level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine.errors import InputError
from engine.pairs.design import PairDesign
from engine.pairs.pair_effects import OfBothEnds, OfPairs, OfYears, PairEffect
from engine.pairs.treatment import Terms
from engine.spec.effects import FixedEffect
from engine.stages.job_data import JobData
from engine.stages.memory import memory_bytes
from engine.stages.pass_cells import PassCells

_COPIES = 8  # of the columns at once: made, merged, put together, absorbed, weighted; measured


def pair_effects(
    pass_cells: PassCells, design: PairDesign, terms: Sequence[Terms], *, n_rows: int
) -> tuple[PairEffect, ...]:
    """The effects of the cells of a pass; none where moments take out pair and year.

    Raises
    ------
    InputError
        Where a city has no label, or no place, or the rows do not fit ``runtime.memory``.
    """
    effects = pass_cells.job.model.effects
    if not pass_cells.job.model.by_rows:
        return ()
    memory = pass_cells.job.runtime.memory
    n_columns = design.n_columns + max(len(cell_terms.names) for cell_terms in terms)
    n_bytes = 8.0 * n_rows * (_COPIES * n_columns + 2 * len(effects))
    if n_bytes > memory_bytes(memory):
        raise InputError(
            f"{n_rows:,} pair-years take {n_bytes / 1e9:.1f} GB where effects other than pair and year are taken out "
            f"row by row, more than runtime.memory allows ({memory})",
            where="runtime.memory",
            remedy=f"allow at least {n_bytes / 1e9 * 1.2:.1f}GB, or keep fewer pairs",
        )
    return tuple(_built(effect, pass_cells.data) for effect in effects)


def _built(effect: FixedEffect, job_data: JobData) -> PairEffect:
    if effect.kind == "pair":
        return OfPairs(effect.text)
    if effect.kind == "year":
        return OfYears(effect.text)
    if effect.kind == "city":
        return OfBothEnds(effect.text, np.arange(len(job_data.units), dtype=np.int32))
    return job_data.column_effect(effect)
