"""Everything that can be wrong about a job, found before the first pass: data, designs, terms, counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engine.pairs.design import Design, PanelDesign
from engine.pairs.pair_effects import PairEffect
from engine.pairs.tiles import Over, in_turn
from engine.pairs.treatment import Adoption, Terms
from engine.spec import Plan
from engine.stages.counts import Step, filter_steps
from engine.stages.fixed_effects import pair_effects
from engine.stages.inference_checks import refuse_impossible
from engine.stages.load_data import CityData, PairData, Reader
from engine.stages.make_design import Shared, build_design, group_cells, matched_design
from engine.stages.matched_pairs import MatchReport
from engine.stages.sample import build_sample
from engine.stages.treatment_terms import adoption_of, treatment_terms


@dataclass(frozen=True)
class Prepared:
    """Cells that share a pass, ready for it.

    Attributes
    ----------
    shared : Shared
        The cells and their data.
    adoption : Adoption or None
        None for pair tables.
    design : PanelDesign or TableDesign
    terms : tuple of Terms
        Treatment terms of each cell.
    steps : tuple of Step
        Pairs and rows left after each filter.
    effects : tuple of PairEffect
        Fixed effects to absorb row by row; none where they are pair and year.
    matching : MatchReport or None
    """

    shared: Shared
    adoption: Adoption | None
    design: Design
    terms: tuple[Terms, ...]
    steps: tuple[Step, ...]
    effects: tuple[PairEffect, ...]
    matching: MatchReport | None = None


def prepare_job(plan: Plan, over: Over = in_turn) -> tuple[Prepared, ...]:
    """Read and clean the data of every cell, and set up every pass; raises InputError for what is wrong.

    ``over`` locates the gravity screen of large grids, see `build_sample`.
    """
    reader = Reader()
    data = [reader.load(cell.job) for cell in plan.cells]
    return tuple(_prepare_pass(shared, over) for shared in group_cells(plan.cells, data))


def distinct_data(prepared: tuple[Prepared, ...]) -> list[CityData | PairData]:
    """The data sets behind a job's passes, each once."""
    return list({id(one.shared.data): one.shared.data for one in prepared}.values())


def _prepare_pass(shared: Shared, over: Over) -> Prepared:
    if isinstance(shared.data, PairData):
        design = build_design(shared, None, None)
        none = Terms((), np.zeros((1, 1, design.n_years, 0)))
        refuse_impossible(shared, (none,) * len(shared.cells))
        steps = filter_steps(shared.data, None, design, shared.job)
        effects = pair_effects(shared, design, (none,), n_rows=steps[-1].rows)
        return Prepared(shared, None, design, (none,) * len(shared.cells), steps, effects)
    adoption = adoption_of(shared.data, shared.job)
    sample = build_sample(shared.data, shared.job, adoption, over=over)
    terms = tuple(treatment_terms(cell.job, shared.data, adoption) for cell in shared.cells)
    refuse_impossible(shared, terms)
    design = build_design(shared, sample, adoption)
    report = None
    if shared.job.matching is not None and isinstance(design, PanelDesign):
        design, report = matched_design(shared, design, adoption)
    steps = filter_steps(shared.data, sample, design, shared.job)
    effects = pair_effects(shared, design, terms, n_rows=steps[-1].rows)
    return Prepared(shared, adoption, design, terms, steps, effects, report)
