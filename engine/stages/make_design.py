"""From a city panel and the adoption of its cities to a pair design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from engine.arrays import Array, Flags
from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.pairs.gravity import PairSample
from engine.pairs.magnitude import refuse_magnitude
from engine.pairs.moments import Layout
from engine.pairs.panel_design import PanelDesign, panel_edge
from engine.pairs.treatment import Adoption
from engine.spec import Job
from engine.stages.matched_pairs import MatchReport, match_pairs
from engine.stages.memory import memory_bytes
from engine.stages.pass_cells import control_blocks
from engine.stages.sample import build_split, values_of
from engine.stages.treatment_terms import kept_rows


def panel_design(
    panel: CityPanel, job: Job, columns: Sequence[str], sample: PairSample, adoption: Adoption
) -> PanelDesign:
    """The pair design that serves all cells of a pass; ``columns`` are the controls and instrument of any of them.

    Raises
    ------
    InputError
        For columns of a size that squares cannot hold, series that do not vary, and undefined values.
    """
    window = _window(job, panel, adoption)
    series, weight = _outcome(panel, job, window)
    levels = [_level(panel, job, name, window) for name in columns]
    return PanelDesign(
        sample=sample,
        series=series,
        window=window,
        clip=job.outcome.clip if job.outcome.infinite == "clip" else 0.0,
        levels=np.stack(levels, axis=2) if levels else np.zeros((*series.shape, 0)),
        kept_rows=kept_rows(job, panel.years, adoption),
        kinds=tuple(control_blocks(job)[name].kind for name in columns),
        outcome="synchronization" if job.outcome.synchronization is not None else "variation",
        weight=weight,
        split=build_split(panel, job, sample),
        lag=job.model.lag,
        edge=_edge(job, panel, len(adoption.years), len(columns) + 1),
    )


def matched_design(
    panel: CityPanel, job: Job, design: PanelDesign, adoption: Adoption
) -> tuple[PanelDesign, MatchReport]:
    """The design with only the matched pairs, and how they were matched."""
    levels = {name: _level(panel, job, name, design.window) for name in job.matched_on}
    matches, report = match_pairs(panel, job, design.sample, adoption, levels)
    return replace(design, matches=matches), report


def _edge(job: Job, panel: CityPanel, n_classes: int, n_columns: int) -> int:
    """Cities along a tile's edge."""
    if job.runtime.tile:
        return min(job.runtime.tile, panel.n_units)
    layout = Layout(panel.n_years, n_columns, balanced=False)
    return panel_edge(panel.n_units, n_classes, layout.size, memory_bytes=memory_bytes(job.runtime.memory))


def _may_miss(job: Job) -> bool:
    return job.panel_block.balance == "keep"


def _outcome(panel: CityPanel, job: Job, window: Flags) -> tuple[Array, Array | None]:
    """Series behind the outcome, and city weights where it has some."""
    outcome = job.outcome
    synchronized = outcome.synchronization is not None
    key = "outcome.synchronization" if synchronized else "outcome.variation"
    text = outcome.series or ""
    series = np.array(values_of(panel, text, key, may_miss=_may_miss(job)))
    refuse_magnitude(series, text, where=key)
    if synchronized:
        _refuse_flat(series, window, panel, text=text, key=key)
        return series, None
    weight_text = outcome.weight or ""
    weight = values_of(panel, weight_text, "outcome.weight", may_miss=_may_miss(job))
    refuse_magnitude(weight, weight_text, where="outcome.weight")
    _refuse_not_positive(series, panel, text=text, key=key)
    _refuse_not_positive(weight, panel, text=weight_text, key="outcome.weight")
    return series, weight


def _level(panel: CityPanel, job: Job, name: str, window: Flags) -> Array:
    """City column of a regressor, lagged as the model says; missing in the years that a lag loses.

    A synchronization is of its own years, first to last, so its series stays: the pair column is what is late
    (`PanelDesign.lag`).
    """
    control = control_blocks(job)[name]
    key = f"controls.{name}" if name in job.controls else name
    values = values_of(panel, control.formula, key, may_miss=_may_miss(job))
    values = np.log(values) if control.logged else values
    refuse_magnitude(values, control.formula, where=key)
    if control.kind == "synchronization":
        _refuse_flat(values, window, panel, text=control.formula, key=key)
    lag = job.model.lag
    if lag == 0 or control.kind == "synchronization":
        return values
    return np.concatenate([np.full((len(values), lag), np.nan), values[:, :-lag]], axis=1)


def _refuse_not_positive(values: Array, panel: CityPanel, *, text: str, key: str) -> None:
    """A coefficient of variation is relative to a mean, and its weights are shares."""
    if (values <= 0).any():
        unit, year = np.argwhere(values <= 0)[0]
        raise InputError(
            f"'{text}' is {values[unit, year]:g} in {panel.units[unit]}, {panel.years[year]}",
            where=key,
            remedy="series and weights of outcome.variation must be positive",
        )


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


def _refuse_flat(series: Array, window: Flags, panel: CityPanel, *, text: str, key: str) -> None:
    """A city whose series does not vary cannot be standardised."""
    values = series[:, window]
    finite = np.isfinite(values)
    n = finite.sum(axis=1, keepdims=True)
    centre = np.where(finite, values, 0.0).sum(axis=1, keepdims=True) / np.maximum(n, 1)
    spread = np.abs(np.where(finite, values - centre, 0.0)).max(axis=1)
    # With fewer than three years a city has no pair that could be standardised: its rows are missing.
    flat = (spread <= 1e-12 * np.abs(centre[:, 0])) & (n[:, 0] >= 3)
    if flat.any():
        names = [panel.units[k] for k in np.flatnonzero(flat)]
        raise InputError(
            f"'{text}' has zero variance in {', '.join(names[:5])}"
            + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
            where=key,
            remedy="correct these series or leave these cities out",
        )
