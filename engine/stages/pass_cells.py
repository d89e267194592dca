"""Cells that share one pass over the pairs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from engine.estimate.estimators import INSTRUMENT
from engine.estimate.terms import Term, column_terms
from engine.pairs.treatment import NEVER
from engine.pairs.year_slopes import regressor_of, slope_names
from engine.spec import Cell, Job
from engine.spec.design import Control
from engine.stages.job_data import JobData


@dataclass(frozen=True)
class PassCells:
    """Cells that share one pass over the pairs.

    Attributes
    ----------
    cells : tuple of Cell
    data : JobData
    """

    cells: tuple[Cell, ...]
    data: JobData

    @property
    def job(self) -> Job:
        """Any of the cells' jobs, for what they have in common."""
        return self.cells[0].job

    @property
    def years_ahead(self) -> int:
        """Years by which a placebo in time of some cell has cities adopt early; 0 without one."""
        return max([0, *(-cell.job.treatment.shift for cell in self.cells if cell.job.treatment)])

    @property
    def controls(self) -> tuple[str, ...]:
        """Columns that any of the cells uses, in the order of the job file; the instrument last."""
        years = self.data.slope_years(self.job)
        in_use = {name for cell in self.cells for name in cell.job.column_names(years)}
        possible = [column for name in self.job.controls for column in (name, *slope_names(name, years))]
        names = [name for name in possible if name in in_use]
        if any(cell.job.model.registered.uses_instrument for cell in self.cells):
            names.append(INSTRUMENT)
        offset = offset_name(self.job)
        of_table = self.job.column_names(years) if self.job.model.regressors else ()
        return (*of_table, *([offset] if offset else []), *names)


def offset_name(job: Job) -> str | None:
    """Name of the offset's column, which no regressor has; None without one."""
    return None if job.model.offset is None else f"offset {job.model.offset}"


def control_blocks(job: Job) -> dict[str, Control]:
    """Controls, and the instrument where a job has one, by the name of their column."""
    return job.controls | ({INSTRUMENT: job.instrument} if job.instrument else {})


def pass_key(job: Job) -> str:
    """Equal for cells that differ only in what one pass can serve: controls, terms, standard-error types.

    Where rows may be missing, the sample depends on the regressors, so these count too.
    """
    blocks = job.model_dump_json(
        exclude={"job", "title", "model", "treatment", "table", "figures", "lang", "runtime"}
    )
    content: dict[str, object] = {}
    treatment = job.treatment
    if treatment is not None:
        content["adoption"] = [*treatment.columns, treatment.key, treatment.month, treatment.cutoff]
        estimator = job.model.registered
        drops = estimator.own_rows or (estimator.by_event_time and job.model.ends == "drop")
        if drops or treatment.around is not None or treatment.drop_treated or job.matching is not None:
            # The rows, or the pairs matched, are a matter of the treatment itself.
            content["treatment"] = treatment.model_dump(mode="json", exclude={"name"})
            content["window"] = [job.model.window, job.model.ends] if drops else None
            content["estimator"] = estimator.name if estimator.own_rows else None
            content["anticipation"] = job.model.options.anticipation
    content["lag"] = job.model.lag
    if job.model.by_rows:
        content["effects"] = sorted(job.model.fixed_effects)
    content["likelihood"] = [job.model.registered.reweights, job.model.offset]
    may_be_infinite = any(job.controls[name].standardised for name in job.used_controls)
    if job.panel is None or job.panel.balance == "keep" or may_be_infinite:
        content["regressors"] = [job.model.regressors or job.used_controls, job.model.by_year]
    return blocks + json.dumps(content, sort_keys=True)


def group_cells(cells: Sequence[Cell], loaded: Sequence[JobData]) -> list[PassCells]:
    """Cells by pass, in order of first appearance; ``loaded`` are the data of each cell.

    Cells that need other data, such as coordinates for their errors, have a pass of their own, and so has a false
    timing that excludes other pairs.
    """
    groups: dict[tuple[str, int, int], list[tuple[Cell, JobData]]] = {}
    for cell, cell_data in zip(cells, loaded, strict=True):
        key = pass_key(cell.job), id(cell_data), _years_of_excluded(cell.job, cell_data)
        groups.setdefault(key, []).append((cell, cell_data))
    return [PassCells(tuple(cell for cell, _ in group), group[0][1]) for group in groups.values()]


def _years_of_excluded(job: Job, job_data: JobData) -> int:
    """Years by which a placebo in time adopts early, where it makes pairs both treated that are not in the sample."""
    if job.treatment is None or job.treatment.shift >= 0 or job.pairs.exclude == "none":
        return 0
    years = job_data.adoption(job, -job.treatment.shift).years
    return -job.treatment.shift if ((years > job_data.years[-1]) & (years < NEVER)).any() else 0


def columns_of(cell: Cell, columns: tuple[str, ...]) -> tuple[Term, ...]:
    """Regressor columns of a cell, of those of its design; the instrument last."""
    instrument = (INSTRUMENT,) if cell.job.model.registered.uses_instrument else ()
    names = (*(cell.job.model.regressors or cell.job.used_controls), *instrument)
    by_year = cell.job.model.by_year
    slopes = {name: [column for column in columns if _is_slope_of(column, name)] for name in by_year}
    return column_terms(column for name in names for column in slopes.get(name, [name])) if columns else ()


def _is_slope_of(column: str, name: str) -> bool:
    source = regressor_of(column)
    return source is not None and source[0] == name
