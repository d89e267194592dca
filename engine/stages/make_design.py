"""From a city panel and the adoption of its cities to a pair design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.arrays import Array, Flags
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.pairs.city_series import refuse_flat, refuse_not_positive
from engine.pairs.gravity import PairSample
from engine.pairs.magnitude import refuse_magnitude
from engine.pairs.moments import Layout
from engine.pairs.outcomes import OUTCOMES
from engine.pairs.panel_design import PanelDesign, panel_edge
from engine.pairs.treatment import Adoption
from engine.pairs.year_slopes import first_values, regressor_of
from engine.spec import Job
from engine.stages.matched_pairs import MatchReport, match_pairs
from engine.stages.memory import memory_bytes
from engine.stages.pass_cells import control_blocks
from engine.stages.sample import build_split, values_of
from engine.stages.treatment_terms import kept_rows, untreated_rows


def panel_design(
    panel: CityPanel, job: Job, columns: Sequence[str], sample: PairSample, adoption: Adoption
) -> PanelDesign:
    """The pair design that serves all cells of a pass; ``columns`` are the controls and instrument of any of them.

    Raises
    ------
    InputError
        For columns of a size that squares cannot hold, series that do not vary, undefined values, and a lag that
        leaves no two years.
    """
    _check_lag(job, panel)
    window = _window(job, panel, adoption)
    series, weight = _outcome_series(panel, job, window)
    sources = [regressor_of(name) or (name, None) for name in columns]
    of_names = {name: _level(panel, job, name, window) for name, _ in sources}
    levels = [
        of_names[name] if year is None else _slope_level(of_names[name], panel.years, year, job.model.lag)
        for name, year in sources
    ]
    return PanelDesign(
        sample=sample,
        series=series,
        window=window,
        clip=job.outcome.clip if job.outcome.infinite == "clip" else 0.0,
        levels=np.stack(levels, axis=2) if levels else np.zeros((*series.shape, 0)),
        kept_rows=kept_rows(job, panel.years, adoption),
        kinds=tuple(control_blocks(job)[name].kind for name, _ in sources),
        outcome=job.outcome.kind or "",
        weight=weight,
        split=build_split(panel, job, sample),
        lag=job.model.lag,
        untreated=untreated_rows(job, panel.years, adoption),
        edge=_edge(job, panel, len(adoption.years), len(columns) + 1),
    )


def matched_design(
    panel: CityPanel, job: Job, design: PanelDesign, adoption: Adoption
) -> tuple[PanelDesign, MatchReport]:
    """The design with only the matched pairs, and how they were matched."""
    levels = {name: _level(panel, job, name, design.window) for name in job.matched_on}
    matches, report = match_pairs(panel, job, design, adoption, levels)
    return replace(design, matches=matches), report


def _check_lag(job: Job, panel: CityPanel) -> None:
    lag, n_years = job.model.lag, panel.n_years
    if lag > n_years - 2:
        raise InputError(
            f"{lag} years of lag leave {max(n_years - lag, 0)} of the {n_years} years of the sample, at least 2 are "
            "needed",
            where="model.lag",
            remedy="take a shorter lag, or more years",
        )


def _edge(job: Job, panel: CityPanel, n_classes: int, n_columns: int) -> int:
    """Cities along a tile's edge."""
    if job.runtime.tile:
        return min(job.runtime.tile, panel.n_units)
    layout = Layout(panel.n_years, n_columns, balanced=False)
    return panel_edge(panel.n_units, n_classes, layout.size, memory_bytes=memory_bytes(job.runtime.memory))


def _may_miss(job: Job) -> bool:
    return job.panel_block.balance == "keep"


def _outcome_series(panel: CityPanel, job: Job, window: Flags) -> tuple[Array, Array | None]:
    """City series behind the outcome, and city weights where it takes some."""
    kind, formula = OUTCOMES[job.outcome.kind or ""], job.outcome.series or ""
    key, weight, weight_formula = f"outcome.{kind.name}", None, job.outcome.weight or ""
    series = np.array(values_of(panel, formula, key, may_miss=_may_miss(job)))
    refuse_magnitude(series, formula, where=key)
    if kind.standardised:
        refuse_flat(series, window, panel, formula=formula, key=key)
    remedy = f"series and weights of {key} must be positive"
    if kind.weighted:
        weight = values_of(panel, weight_formula, "outcome.weight", may_miss=_may_miss(job))
        refuse_magnitude(weight, weight_formula, where="outcome.weight")
    if kind.positive:
        refuse_not_positive(series, panel, formula=formula, key=key, remedy=remedy)
    if weight is not None:
        refuse_not_positive(weight, panel, formula=weight_formula, key="outcome.weight", remedy=remedy)
    return series, weight


def _level(panel: CityPanel, job: Job, name: str, window: Flags) -> Array:
    """City column of a regressor, lagged as the model says; missing in the years that a lag loses.

    A standardised series is of its own years, first to last, so it stays: its pair column is lagged
    (`PanelDesign.lag`).
    """
    control = control_blocks(job)[name]
    key = f"controls.{name}" if name in job.controls else name
    values = values_of(panel, control.formula, key, may_miss=_may_miss(job))
    values = np.log(values) if control.logged else values
    refuse_magnitude(values, control.formula, where=key)
    if control.standardised:
        refuse_flat(values, window, panel, formula=control.formula, key=key)
    lag = job.model.lag
    if lag == 0 or control.standardised:
        return values
    return np.concatenate([np.full((len(values), lag), np.nan), values[:, :-lag]], axis=1)


def _slope_level(values: Array, years: Sequence[int], year: int, lag: int) -> Array:
    """City column of a slope of one year: the first value of each city, and zero in all years but that one.

    A pair's difference or sum of zeros is zero, so that the pair column is that of the regressor's kind. Year effects
    have what all first values are around, whose digits would be lost in squares. In the years that a lag loses the
    column is missing as others are.
    """
    first = first_values(values)
    level = np.outer(first - np.nanmean(first), np.array(years) == year)
    level[:, :lag] = np.nan
    return level


def _window(job: Job, panel: CityPanel, adoption: Adoption) -> Flags:
    window = np.ones(panel.n_years, dtype=bool)
    if job.outcome.window == "pre":
        window = np.array(panel.years) < adoption.years[0]
    if window.sum() < 3:
        raise InputError(
            f"{window.sum()} years standardise the series, at least 3 are needed",
            where="outcome.window" if job.outcome.window == "pre" else "years",
            remedy="use more years" + (", or window: full" if job.outcome.window == "pre" else ""),
        )
    return window
