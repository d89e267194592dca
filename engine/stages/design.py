"""From a cell and its data to a pair design and treatment terms; what cells have in common is made once."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.cities.panel import CityPanel
from engine.errors import InputError
from engine.expression import parse
from engine.pairs.design import Design, PanelDesign, TableDesign, panel_edge
from engine.pairs.gravity import Gravity, PairSample, check_places, unit_vectors
from engine.pairs.moments import Layout
from engine.pairs.treatment import (
    Adoption,
    Terms,
    adoption_classes,
    allowed_classes,
    event_paths,
    pair_adoption,
    policy_paths,
)
from engine.spec import Cell, Job
from engine.stages.data import CityData, PairData

Array = np.ndarray[Any, np.dtype[np.float64]]

_EARLIEST = 1500  # no policy of interest is older; smaller numbers are codes


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
        """Regressor columns that any of the cells uses, in the order of the job file."""
        if isinstance(self.data, PairData):
            return tuple(self.job.model.regressors or ())
        used = {name for cell in self.cells for name in cell.job.used_controls}
        return tuple(name for name in self.job.controls if name in used)


def pass_key(job: Job) -> str:
    """Equal for cells that differ only in what one pass can serve: controls, terms, kinds of error.

    Where rows may be missing, the sample depends on the regressors, so these count too.
    """
    content = job.model_dump(mode="json", exclude={"job", "title", "model", "treatment", "runtime"})
    content["adoption"] = job.treatment.adoption if job.treatment else None
    if job.panel is None or job.panel.balance == "keep":
        content["regressors"] = job.model.regressors or job.used_controls
    if job.model.estimator == "event_study" and job.model.ends == "drop":
        content["window"] = [job.treatment.rule if job.treatment else None, job.model.window]
    return json.dumps(content, sort_keys=True)


def group_cells(cells: Sequence[Cell], data: Sequence[CityData | PairData]) -> list[Shared]:
    """Cells by pass, in order of first appearance."""
    groups: dict[str, list[tuple[Cell, CityData | PairData]]] = {}
    for cell, its in zip(cells, data, strict=True):
        groups.setdefault(pass_key(cell.job), []).append((cell, its))
    return [Shared(tuple(cell for cell, _ in group), group[0][1]) for group in groups.values()]


def adoption_of(data: CityData, job: Job) -> Adoption:
    """Adoption classes of the cities; raises InputError where nobody adopts within the sample."""
    assert job.treatment is not None
    year = data.panel.constant(job.treatment.adoption)
    whole = np.isnan(year) | (year == np.floor(year))
    if not whole.all():
        raise InputError(
            f"{data.panel.units[int(np.argmin(whole))]} adopts in {year[int(np.argmin(whole))]:g}, which is no year",
            where=f"{data.source.name}: column '{job.treatment.adoption}'",
            remedy="give whole years; leave the cell empty where a unit never adopts",
        )
    _refuse_codes(year, data, job)
    adoption = adoption_classes(year, data.panel.years[-1])
    if len(adoption.years) < 2:
        raise InputError(
            f"no unit adopts by {data.panel.years[-1]}: the treatment has no variation",
            where=f"{data.source.name}: column '{job.treatment.adoption}'",
            remedy="check treatment.adoption and years",
        )
    return adoption


def _refuse_codes(year: Array, data: CityData, job: Job) -> None:
    """A 0 that means never would make its city treated from the start."""
    assert job.treatment is not None
    if (year < _EARLIEST).any():
        k = int(np.argmax(year < _EARLIEST))
        raise InputError(
            f"{data.panel.units[k]} adopts in the year {year[k]:g}",
            where=f"{data.source.name}: column '{job.treatment.adoption}'",
            remedy="leave the cell empty where a unit never adopts",
        )


def _values(panel: CityPanel, text: str, key: str, *, may_miss: bool) -> Array:
    """``[n_units, n_years]`` of a formula; raises InputError for cells it leaves undefined."""
    values = panel.evaluate(parse(text))
    bad = np.isinf(values) if may_miss else ~np.isfinite(values)
    if bad.any():
        unit, year = np.argwhere(bad)[0]
        raise InputError(
            f"'{text}' is undefined in {panel.units[unit]}, {panel.years[year]} ({int(bad.sum()):,} city-years in all)",
            where=key,
            remedy="lags, differences and growth lose the first sample year: define them under panel.columns, which "
            "sees earlier years; else look for a division by zero",
        )
    return values


def build_sample(
    data: CityData, job: Job, adoption: Adoption, *, origin: np.ndarray[Any, Any] | None = None
) -> PairSample:
    """The pairs after exclusion and gravity screen; ``origin`` says which city a bootstrap copy is of."""
    allowed = allowed_classes(adoption, job.pairs.exclude)
    gravity = _gravity(data, job, copies=origin is not None) if job.pairs.gravity else None
    sample = PairSample(adoption.classes, allowed, gravity, origin=origin)
    if sample.n_eligible == 0:
        raise InputError(
            "no pair is left after pairs.exclude: both_treated, since every unit adopts",
            where="pairs.exclude",
            remedy="use exclude: none with another treatment rule",
        )
    return sample.screened() if job.pairs.gravity and job.pairs.gravity.keep == "above_median" else sample


def _gravity(data: CityData, job: Job, *, copies: bool) -> Gravity:
    assert job.pairs.gravity is not None
    panel, rule = data.panel, job.pairs.gravity
    latitude, longitude = panel.constant("latitude"), panel.constant("longitude")
    if not copies:
        check_places(panel.units, latitude, longitude)
    masses = [_mass(panel, text, rule.year) for text in rule.mass]
    return Gravity(np.mean(np.log(masses), axis=0), unit_vectors(latitude, longitude))


def _mass(panel: CityPanel, text: str, year: str | int) -> Array:
    """``[n_units]`` mass: the mean over the sample years, or that of one year."""
    values = panel.evaluate(parse(text))
    if year == "mean":
        return np.asarray(np.nanmean(values, axis=1))
    first = panel.years[0]
    wanted = first if year == "first" else int(year)
    if wanted not in panel.years:
        raise InputError(
            f"{wanted} is not among the sample years {first} to {panel.years[-1]}",
            where="pairs.gravity.year",
            remedy="name a year of the sample, or mean or first",
        )
    return np.asarray(values[:, panel.years.index(wanted)])


def build_design(shared: Shared, sample: PairSample | None, adoption: Adoption | None) -> Design:
    """The pair design that serves all cells of a pass."""
    if isinstance(shared.data, PairData):
        pairs = shared.data.pairs
        return TableDesign(pairs.i, pairs.j, pairs.values, len(pairs.units), pairs.directed)
    assert sample is not None
    assert adoption is not None
    job, panel = shared.job, shared.data.panel
    may_miss = job.panel is not None and job.panel.balance == "keep"
    series = np.array(
        _values(panel, job.outcome.synchronization or "", "outcome.synchronization", may_miss=may_miss)
    )
    window = _window(job, panel, adoption)
    _refuse_flat(series, window, panel, job)
    levels = [_level(panel, job, name, may_miss=may_miss) for name in shared.controls]
    layout = Layout(panel.n_years, len(shared.controls) + 1, balanced=False)
    return PanelDesign(
        sample=sample,
        series=series,
        window=window,
        clip=job.outcome.clip if job.outcome.infinite == "clip" else 0.0,
        levels=np.stack(levels, axis=2) if levels else np.zeros((*series.shape, 0)),
        kept_rows=_kept_rows(job, panel, adoption),
        edge=min(job.runtime.tile or 10**9, panel.n_units)
        if job.runtime.tile
        else panel_edge(
            panel.n_units, len(adoption.years), layout.size, memory_bytes=memory_bytes(job.runtime.memory)
        ),
    )


def memory_bytes(text: str) -> float:
    """``2GB`` or ``500 MB`` in bytes."""
    number, unit = re.fullmatch(r"([\d.]+)\s*(MB|GB)", text).groups()  # type: ignore[union-attr]  # pattern in the spec
    return float(number) * (1e6 if unit == "MB" else 1e9)


def _level(panel: CityPanel, job: Job, name: str, *, may_miss: bool) -> Array:
    control = job.controls[name]
    values = _values(panel, control.formula, f"controls.{name}", may_miss=may_miss)
    return np.log(values) if control.logged else values


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


def _refuse_flat(series: Array, window: Any, panel: CityPanel, job: Job) -> None:
    """A city whose series does not vary cannot be standardised."""
    inside = series[:, window]
    known = np.isfinite(inside)
    n = known.sum(axis=1, keepdims=True)
    centre = np.where(known, inside, 0.0).sum(axis=1, keepdims=True) / np.maximum(n, 1)
    spread = np.abs(np.where(known, inside - centre, 0.0)).max(axis=1)
    # With fewer than three years a city has no pair that could be standardised: its rows are missing.
    flat = (spread <= 1e-12 * np.abs(centre[:, 0])) & (n[:, 0] >= 3)
    if flat.any():
        names = [panel.units[k] for k in np.flatnonzero(flat)]
        raise InputError(
            f"'{job.outcome.synchronization}' has zero variance in {', '.join(names[:5])}"
            + (f" and {len(names) - 5} more" if len(names) > 5 else ""),
            where="outcome.synchronization",
            remedy="correct these series or leave these cities out",
        )


def _kept_rows(job: Job, panel: CityPanel, adoption: Adoption) -> Any:
    if job.model.estimator != "event_study" or job.model.ends == "bin":
        return None
    _, inside = _events(job, panel, adoption)
    return inside


def _events(job: Job, panel: CityPanel, adoption: Adoption) -> tuple[Terms, Any]:
    assert job.treatment is not None
    adopted = pair_adoption(adoption, job.treatment.rule)
    return event_paths(
        adopted, np.array(panel.years), term=job.treatment.name, base=job.model.base, window=job.model.window
    )


def treatment_terms(job: Job, data: CityData, adoption: Adoption) -> Terms:
    """The treatment terms of one cell.

    Raises
    ------
    InputError
        Where no pair of the sample's classes changes treatment, or an event year is never seen.
    """
    assert job.treatment is not None
    allowed = allowed_classes(adoption, job.pairs.exclude)
    size = np.bincount(adoption.classes, minlength=len(adoption.years))
    exists = allowed & (np.outer(size, size) - np.diag(size) > 0)
    if job.model.estimator == "event_study":
        terms, _ = _events(job, data.panel, adoption)
        _refuse_unseen(terms, exists, job)
        return terms
    path = policy_paths(adoption, np.array(data.panel.years), job.treatment.rule)
    if not (exists & (np.ptp(path, axis=2) > 0)).any():
        raise InputError(
            f"rule {job.treatment.rule}: no pair changes treatment within "
            f"{data.panel.years[0]} to {data.panel.years[-1]}, so the treatment has no variation",
            where="treatment",
            remedy="check treatment.adoption, treatment.rule and pairs.exclude",
        )
    return Terms((job.treatment.name,), path[..., None])


def _refuse_unseen(terms: Terms, exists: Any, job: Job) -> None:
    seen = (terms.table * exists[:, :, None, None]).any(axis=(0, 1, 2))
    if not seen.all():
        unseen = [name for name, known in zip(terms.names, seen, strict=True) if not known]
        raise InputError(
            f"no pair of the sample is ever observed at {', '.join(unseen)}",
            where="model.window",
            remedy="narrow the window to event years that occur",
        )
