"""A clean pair table, and the columns that a job reads of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from engine.cities.entropy import EntropyIndex
from engine.cities.links import CityLinks
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.notes import Note
from engine.pairs.design import FilterStep
from engine.pairs.gravity import PairSample
from engine.pairs.magnitude import refuse_magnitude
from engine.pairs.pair_effects import OfColumn, PairEffect
from engine.pairs.table import PairColumns, pair_columns
from engine.pairs.table_design import TableDesign
from engine.pairs.table_report import TableReport
from engine.pairs.table_rows import TableRequest
from engine.pairs.tiles import MapReduce
from engine.pairs.treatment import NEVER, Adoption, adoption_classes, allowed_classes
from engine.spec import Job
from engine.spec.effects import FixedEffect
from engine.stages.memory import memory_bytes
from engine.stages.source import SourceTable
from engine.stages.treatment_terms import kept_rows, untreated_rows
from engine.tables.arithmetic import parse


@dataclass(frozen=True)
class PairData:
    """A clean pair table and its validation report; meets `engine.stages.job_data.JobData`."""

    source: SourceTable
    pairs: PairColumns
    validation: TableReport

    content_hash = None

    @property
    def sources(self) -> tuple[SourceTable, ...]:
        return (self.source,)

    @property
    def units(self) -> tuple[str, ...]:
        return self.pairs.units

    @property
    def years(self) -> tuple[int, ...]:
        return self.pairs.years

    def slope_years(self, job: Job) -> tuple[int, ...]:
        return self.pairs.slope_years

    @property
    def links(self) -> CityLinks:
        raise InputError(
            "a pair_table job has no links of cities",
            where=self.source.name,
            remedy="use a city panel (panel)",
        )

    @property
    def panel(self) -> CityPanel:
        raise InputError(
            "a pair_table job has no city columns",
            where=self.source.name,
            remedy="use a city panel (panel)",
        )

    @property
    def indices(self) -> Mapping[str, EntropyIndex]:
        return {}

    @property
    def directed(self) -> bool:
        return self.pairs.directed

    @property
    def warnings(self) -> tuple[Note, ...]:
        return self.validation.warnings

    @property
    def all_pairs(self) -> FilterStep:
        return FilterStep(Note("table_pairs"), self.validation.n_pairs, self.validation.n_rows)

    def lines(self, worded: Callable[[Note], str]) -> list[str]:
        return self.validation.lines(worded)

    def adoption(self, job: Job, years_ahead: int) -> Adoption:
        """Classes of the units, or of the pairs themselves; raises InputError where none adopts in the sample."""
        pairs, last_year = self.pairs, self.years[-1] + years_ahead
        if job.treatment is None:
            return Adoption(np.array([NEVER]), np.zeros(len(self.units), dtype=np.int32))
        if pairs.unit_adopted is not None:
            adoption = adoption_classes(pairs.unit_adopted, last_year)
            problem = f"no unit adopts by {last_year}: the treatment has no variation"
        elif pairs.adopted is not None:
            of_pairs = adoption_classes(pairs.adopted, last_year)
            problem = f"no pair is treated by {last_year}: the treatment has no variation"
            never = np.full(len(self.units), len(of_pairs.years) - 1, dtype=np.int32)
            adoption = Adoption(of_pairs.years, never, of_pairs.classes)
        if len(adoption.years) < 2:
            raise InputError(
                problem,
                where=f"{self.source.name}: {job.treatment.key}",
                remedy=f"check {job.treatment.key} and years",
            )
        return adoption

    def pair_sample(self, job: Job, adoption: Adoption, map_reduce: MapReduce) -> PairSample:
        """Every pair of units that the exclusion leaves: the table itself says which of them there are."""
        return PairSample(adoption.classes, allowed_classes(adoption, job.pairs.exclude))

    def design(
        self, job: Job, columns: Sequence[str], sample: PairSample, adoption: Adoption
    ) -> tuple[TableDesign, None]:
        """The table's columns; raises InputError for those of a size that squares cannot hold."""
        names = job.column_names(self.pairs.slope_years) if job.model.regressors else ()
        keys = [(f"model.regressors: '{name}'", name) for name in names]
        keys += [("model.offset", job.model.offset)] if job.model.offset else []
        keys.append(("outcome.column", job.outcome.column or ""))
        for number, (key, name) in enumerate(keys):
            refuse_magnitude(self.pairs.values[:, :, number], name, where=f"{self.source.name}: {key}")
        pairs = self.pairs
        table = TableDesign(
            pairs.i,
            pairs.j,
            pairs.values,
            len(pairs.units),
            pairs.directed,
            pairs.weights,
            least_rows=job.model.least_rows,
            adoption=adoption if job.treatment is not None else None,
            exclude=job.pairs.exclude,
            kept_rows=kept_rows(job, self.years, adoption) if job.treatment is not None else None,
            untreated=untreated_rows(job, self.years, adoption),
        )
        n_levels = 1 + (job.model.offset is not None)
        centred = table.centred(n_levels if job.model.registered.reweights else 0)
        if (
            job.model.registered.means_only
        ):  # its errors hold weights of cohorts fixed, and then know the year effects
            return replace(centred, profile=None), None
        return centred, None

    def column_effect(self, effect: FixedEffect) -> PairEffect:
        return OfColumn(effect.text, self.pairs.levels[effect.column], effect.by_year)


def read_pair_data(job: Job, source: SourceTable) -> PairData:
    """The clean pair table of a job."""
    block, regressors, outcome = job.table_block, job.model.regressors or [], job.outcome.column or ""
    treatment = job.treatment
    timing = treatment.columns if treatment is not None else ()
    effects = tuple(dict.fromkeys(effect.column for effect in job.model.effects if effect.column))
    formulas = [outcome, *regressors, *filter(None, (job.model.offset, block.weight))]
    source.refuse_broken(
        {block.unit_i, block.unit_j, block.year, *effects, *timing, *_inputs(formulas, source)}
    )
    request = TableRequest(
        unit_i=block.unit_i,
        unit_j=block.unit_j,
        year=block.year,
        outcome=outcome,
        regressors=tuple(regressors),
        directed=block.directed,
        years=job.years,
        weight=block.weight,
        offset=job.model.offset,
        from_zero=job.model.registered.reweights,
        least_rows=job.model.least_rows,
        effects=effects,
        by_year=tuple(job.model.by_year),
        lag=job.model.lag,
        infinite=job.outcome.infinite,
        merge=tuple(block.merge_names),
        missing=block.missing,
        memory=memory_bytes(job.runtime.memory),
        rules=source.rules,
        adoption=treatment.adoption if treatment else None,
        status=treatment.status if treatment else None,
        unit_adoption=treatment.unit_adoption if treatment else None,
    )
    pairs, report = pair_columns(source.frame, request, source=source.label)
    _refuse_without_rows(report)
    _refuse_without_slopes(job, pairs, source)
    warnings, notes = (*source.warnings, *report.warnings), (*source.notes, *report.notes)
    return PairData(source, pairs, replace(report, warnings=warnings, notes=notes))


def _inputs(formulas: Sequence[str], source: SourceTable) -> set[str]:
    """Columns of a pair table that its formulas read; those that cannot be parsed are refused elsewhere."""
    inputs = {text for text in formulas if text in source.frame}
    for text in formulas:
        if text not in inputs:
            with suppress(InputError):
                inputs |= set(parse(text).names)
    return inputs


def _refuse_without_slopes(job: Job, pairs: PairColumns, source: SourceTable) -> None:
    if job.model.by_year and len(pairs.slope_years) < 2:
        raise InputError(
            f"{len(pairs.slope_years)} years have lagged regressors, and slopes are those of the years after the first",
            where=f"{source.name}: model.by_year",
            remedy="take a shorter model.lag, or more years",
        )


def _refuse_without_rows(report: TableReport) -> None:
    if report.n_used > 0:
        return
    lagged = next((note.values for note in report.notes if note.code == "rows_without_lag"), None)
    if lagged is not None and lagged["count"] == lagged["total"]:
        raise InputError(
            f"none of {report.n_rows:,} rows has one of the same pair {lagged['lag']} years before it, from which "
            "model.lag takes the regressors",
            where=report.source,
            remedy="name a shorter lag, or give the rows of the years between",
        )
    lost = ((column.column, column.n_missing + column.n_infinite) for column in report.columns)
    counts = ", ".join(f"'{name}' is missing in {n_rows:,}" for name, n_rows in lost if n_rows)
    raise InputError(
        f"none of {report.n_rows:,} rows is complete: {counts or 'their weights are zero or their labels missing'}",
        where=report.source,
        remedy="fill what is missing, or leave such a column out",
    )
