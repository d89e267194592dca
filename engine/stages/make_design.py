"""From a cell and its data to a pair design and treatment terms; what cells have in common is made once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine.arrays import Array, Flags
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.pairs.city_series import refuse_flat, refuse_not_positive
from engine.pairs.design import Design, PanelDesign, TableDesign, panel_edge
from engine.pairs.gravity import PairSample
from engine.pairs.magnitude import refuse_magnitude
from engine.pairs.moments import Layout
from engine.pairs.outcomes import OUTCOMES
from engine.pairs.treatment import Adoption
from engine.spec import Cell, Job
from engine.spec.design import Control
from engine.spec.effects import absorbed
from engine.stages.load_data import CityData, PairData
from engine.stages.matched_pairs import MatchReport, match_pairs
from engine.stages.memory import memory_bytes
from engine.stages.sample import build_split, values_of
from engine.stages.treatment_terms import kept_rows

INSTRUMENT = "instrument"  # name of its column; no control is called so


@dataclass(frozen=True)
class Shared:
    """Cells that share one pass over the pairs.

    Attributes
    ----------
    cells : tuple of Cell
    data : CityData or PairData
    """

    cells: tuple[Cell, ...]
    data: CityData | PairData

    @property
    def job(self) -> Job:
        """Any of the cells' jobs, for what they have in common."""
        return self.cells[0].job

    @property
    def controls(self) -> tuple[str, ...]:
        """Columns that any of the cells uses, in the order of the job file; the instrument last."""
        if isinstance(self.data, PairData):
            return tuple(self.job.model.regressors or ())
        used = {name for cell in self.cells for name in cell.job.used_controls}
        names = tuple(name for name in self.job.controls if name in used)
        instrumented = any(cell.job.model.instrumented for cell in self.cells)
        return (*names, INSTRUMENT) if instrumented else names


def pass_key(job: Job) -> str:
    """Equal for cells that differ only in what one pass can serve: controls, terms, kinds of error.

    Where rows may be missing, the sample depends on the regressors, so these count too.
    """
    same = job.model_dump_json(exclude={"job", "title", "model", "treatment", "runtime"})
    content: dict[str, Any] = {}
    treatment = job.treatment
    if treatment is not None:
        content["adoption"] = [treatment.adoption, treatment.month, treatment.cutoff]
        drops = job.model.estimator == "event_study" and job.model.ends == "drop"
        if drops or treatment.around is not None or treatment.drop_treated or job.matching is not None:
            # The rows, or the pairs matched, are a matter of the treatment itself.
            content["treatment"] = treatment.model_dump(mode="json", exclude={"name"})
            content["window"] = job.model.window if drops else None
    content["lag"] = job.model.lag
    if absorbed(job.model.effects):
        content["effects"] = sorted(job.model.fixed_effects)
    may_be_infinite = any(job.controls[name].standardised for name in job.used_controls)
    if job.panel is None or job.panel.balance == "keep" or may_be_infinite:
        content["regressors"] = job.model.regressors or job.used_controls
    return same + json.dumps(content, sort_keys=True)


def group_cells(cells: Sequence[Cell], data: Sequence[CityData | PairData]) -> list[Shared]:
    """Cells by pass, in order of first appearance."""
    groups: dict[str, list[tuple[Cell, CityData | PairData]]] = {}
    for cell, its in zip(cells, data, strict=True):
        groups.setdefault(pass_key(cell.job), []).append((cell, its))
    return [Shared(tuple(cell for cell, _ in group), group[0][1]) for group in groups.values()]


def build_design(shared: Shared, sample: PairSample | None, adoption: Adoption | None) -> Design:
    """The pair design that serves all cells of a pass.

    Raises
    ------
    InputError
        For columns of a size that squares cannot hold, series that do not vary, and undefined values.
    """
    if isinstance(shared.data, PairData):
        pairs = shared.data.pairs
        columns = [(f"model.regressors: '{name}'", name) for name in shared.controls]
        columns.append(("outcome.column", shared.job.outcome.column or ""))
        for number, (where, name) in enumerate(columns):
            refuse_magnitude(pairs.values[:, :, number], name, where=f"{shared.data.source.name}: {where}")
        table = TableDesign(pairs.i, pairs.j, pairs.values, len(pairs.units), pairs.directed, pairs.weights)
        return table.centred()
    assert sample is not None
    assert adoption is not None
    job, panel = shared.job, shared.data.panel
    may_miss = job.panel is not None and job.panel.balance == "keep"
    window = _window(job, panel, adoption)
    series, weight = _outcome_series(panel, job, window, may_miss=may_miss)
    levels = [_level(panel, job, name, window, may_miss=may_miss) for name in shared.controls]
    layout = Layout(panel.n_years, len(shared.controls) + 1, balanced=False)
    return PanelDesign(
        sample=sample,
        series=series,
        window=window,
        clip=job.outcome.clip if job.outcome.infinite == "clip" else 0.0,
        levels=np.stack(levels, axis=2) if levels else np.zeros((*series.shape, 0)),
        kept_rows=kept_rows(job, shared.data, adoption),
        kinds=tuple(_column(job, name).kind for name in shared.controls),
        outcome=job.outcome.kind or "",
        weight=weight,
        split=build_split(shared.data, job, sample),
        lag=job.model.lag,
        edge=min(job.runtime.tile or 10**9, panel.n_units)
        if job.runtime.tile
        else panel_edge(
            panel.n_units, len(adoption.years), layout.size, memory_bytes=memory_bytes(job.runtime.memory)
        ),
    )


def _outcome_series(
    panel: CityPanel, job: Job, window: Flags, *, may_miss: bool
) -> tuple[Array, Array | None]:
    """City series behind the outcome, and city weights where it takes some."""
    kind, formula = OUTCOMES[job.outcome.kind or ""], job.outcome.series or ""
    key, weight, weight_formula = f"outcome.{kind.name}", None, job.outcome.weight or ""
    series = np.array(values_of(panel, formula, key, may_miss=may_miss))
    refuse_magnitude(series, formula, where=key)
    if kind.standardised:
        refuse_flat(series, window, panel, formula=formula, key=key)
    remedy = f"series and weights of {key} must be positive"
    if kind.weighted:
        weight = values_of(panel, weight_formula, "outcome.weight", may_miss=may_miss)
        refuse_magnitude(weight, weight_formula, where="outcome.weight")
    if kind.positive:
        refuse_not_positive(series, panel, formula=formula, key=key, remedy=remedy)
    if weight is not None:
        refuse_not_positive(weight, panel, formula=weight_formula, key="outcome.weight", remedy=remedy)
    return series, weight


def matched_design(
    shared: Shared, design: PanelDesign, adoption: Adoption
) -> tuple[PanelDesign, MatchReport]:
    """The design with only the pairs that matching keeps, and what matching found."""
    assert isinstance(shared.data, CityData)
    job, panel = shared.job, shared.data.panel
    may_miss = job.panel is not None and job.panel.balance == "keep"
    levels = {name: _level(panel, job, name, design.window, may_miss=may_miss) for name in job.matched_on}
    matches, report = match_pairs(shared.data, job, design.sample, adoption, levels)
    return replace(design, matches=matches), report


def _column(job: Job, name: str) -> Control:
    """A control, or the instrument, which stands behind them."""
    if name != INSTRUMENT:
        return job.controls[name]
    assert job.instrument is not None
    return job.instrument


def _level(panel: CityPanel, job: Job, name: str, window: Any, *, may_miss: bool) -> Array:
    """City column of a regressor, lagged as the model says; missing in the years that a lag loses.

    A standardised series is of its own years, first to last, so it stays: its pair column is lagged
    (`PanelDesign.lag`).
    """
    control = _column(job, name)
    key = name if name == INSTRUMENT else f"controls.{name}"
    values = values_of(panel, control.formula, key, may_miss=may_miss)
    values = np.log(values) if control.logged else values
    refuse_magnitude(values, control.formula, where=key)
    if control.standardised:
        refuse_flat(values, window, panel, formula=control.formula, key=key)
    lag = job.model.lag
    if lag == 0 or control.standardised:
        return values
    return np.concatenate([np.full((len(values), lag), np.nan), values[:, :-lag]], axis=1)


def _window(job: Job, panel: CityPanel, adoption: Adoption) -> Any:
    years = np.array(panel.years)
    if job.outcome.window == "full":
        window = np.ones(len(years), dtype=bool)
    else:
        window = years < adoption.years[0]
    if window.sum() < 3:
        raise InputError(
            f"{window.sum()} years standardise the series, at least 3 are needed",
            where="outcome.window" if job.outcome.window == "pre" else "years",
            remedy="use more years" + (", or window: full" if job.outcome.window == "pre" else ""),
        )
    return window
