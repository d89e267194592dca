"""Everything that can be wrong about a job, found before the first pass: data, designs, terms, counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

from engine.estimate.estimator import PairTiming
from engine.pairs.design import FilterStep, PairDesign
from engine.pairs.gravity import PairSample
from engine.pairs.pair_effects import PairEffect
from engine.pairs.tiles import MapReduce, serial_map_reduce
from engine.pairs.treatment import Adoption, Terms
from engine.report.table_style import EVERYTHING, TableChoices
from engine.spec import Plan
from engine.stages.city_ties import NO_TIES, CityTies, city_ties_of
from engine.stages.complete_pairs import refuse_incomplete
from engine.stages.fixed_effects import pair_effects
from engine.stages.inference_checks import refuse_impossible, refuse_large_parts
from engine.stages.job_data import JobData
from engine.stages.load_data import Reader
from engine.stages.matched_pairs import MatchReport
from engine.stages.pass_cells import PassCells, group_cells
from engine.stages.treatment_terms import reported_names, timing_of, treatment_terms


@dataclass(frozen=True)
class Prepared:
    """Cells that share a pass, ready for it.

    Attributes
    ----------
    pass_cells : PassCells
        The cells and their data.
    adoption : Adoption
    design : PairDesign
    terms : tuple of Terms
        Treatment terms of each cell.
    timings : tuple of (PairTiming or None)
        When the pairs of each cell become treated; None without a treatment.
    steps : tuple of FilterStep
        Pairs and rows left after each filter.
    effects : tuple of PairEffect
        Fixed effects to absorb row by row; none where they are pair and year.
    matching : MatchReport or None
    city_ties : CityTies
        For spatial and network errors, block jackknives and score correlations.
    """

    pass_cells: PassCells
    adoption: Adoption
    design: PairDesign
    terms: tuple[Terms, ...]
    timings: tuple[PairTiming | None, ...]
    steps: tuple[FilterStep, ...]
    effects: tuple[PairEffect, ...]
    matching: MatchReport | None = None
    city_ties: CityTies = NO_TIES

    @property
    def has_clean_controls(self) -> bool:
        """Whether the cells' estimator compares cohorts with clean controls."""
        return any(paths.clean_comparisons is not None for paths in self.terms)


def prepare_job(plan: Plan, map_reduce: MapReduce = serial_map_reduce) -> tuple[Prepared, ...]:
    """Read and clean the data of every cell, and set up every pass; raises InputError for anything wrong.

    ``map_reduce`` locates the gravity screen of large grids, see `build_sample`.
    """
    reader = Reader(plan.loaded.frames)
    loaded = [reader.load(cell.job) for cell in plan.cells]
    prepared = tuple(prepare_pass(pass_cells, map_reduce) for pass_cells in group_cells(plan.cells, loaded))
    _refuse_empty_table(plan, prepared)
    return prepared


def _refuse_empty_table(plan: Plan, prepared: tuple[Prepared, ...]) -> None:
    """Raises InputError where the block ``table`` leaves no term to print."""
    names: list[str] = []
    for passed in prepared:
        names += passed.pass_cells.controls
        for cell, terms in zip(passed.pass_cells.cells, passed.terms, strict=True):
            names += reported_names(cell.job, terms)
    choices = cast(TableChoices, plan.loaded.job.table.choices)
    EVERYTHING.changed(choices).terms(dict.fromkeys(names))


def distinct_data(prepared: tuple[Prepared, ...]) -> list[JobData]:
    """The data sets behind a job's passes, each once."""
    return list({id(passed.pass_cells.data): passed.pass_cells.data for passed in prepared}.values())


def prepare_pass(
    pass_cells: PassCells, map_reduce: MapReduce = serial_map_reduce, *, sample: PairSample | None = None
) -> Prepared:
    """Set up a pass; ``sample``: its pairs under another assignment of adoption, where that is drawn."""
    job, job_data = pass_cells.job, pass_cells.data
    adoption = job_data.adoption(job, pass_cells.years_ahead)
    if sample is None:
        sample = job_data.pair_sample(job, adoption, map_reduce)
    else:
        adoption = replace(adoption, classes=sample.classes)
    timings = tuple(
        timing_of(cell.job, job_data.years, adoption) if cell.job.treatment else None
        for cell in pass_cells.cells
    )
    terms = tuple(
        treatment_terms(cell.job, job_data.years, adoption, timing)
        for cell, timing in zip(pass_cells.cells, timings, strict=True)
    )
    refuse_impossible(pass_cells, terms)
    design, matching = job_data.design(job, pass_cells.controls, sample, adoption)
    refuse_incomplete(pass_cells, design)
    steps = (job_data.all_pairs, *design.steps)
    refuse_large_parts(pass_cells, terms, design, steps[-1].pairs)
    effects = pair_effects(pass_cells, design, terms, n_rows=steps[-1].rows)
    city_ties = city_ties_of(pass_cells)
    return Prepared(pass_cells, adoption, design, terms, timings, steps, effects, matching, city_ties)
