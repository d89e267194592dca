"""What was run on what, with which counts, versions and timings, as plain values for ``manifest.json``."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from engine.notes import Note, and_more, distinct, note_record, notes_record, of_cell
from engine.report.adopters import FEW
from engine.report.language.wording import ENGLISH
from engine.runtime.execute import Machine
from engine.runtime.source_code import source_changed
from engine.spec import Plan, choices, spec_hash
from engine.stages.counts import Step
from engine.stages.curve_run import CURVE
from engine.stages.estimation import Estimated
from engine.stages.load_data import CityData, PairData, Source
from engine.stages.prepare_passes import Prepared, distinct_data

_PACKAGES = ("dyadid", "jax", "dask", "distributed", "numpy", "pandas", "pyarrow", "scipy", "pydantic")


def make_manifest(
    plan: Plan,
    prepared: tuple[Prepared, ...],
    results: Sequence[Estimated],
    seconds: Mapping[str, float],
    place: Machine,
    notes: Sequence[Note],
) -> dict[str, Any]:
    """What was run on what, as plain JSON-able values."""
    import jax

    job, data = plan.loaded.job, distinct_data(prepared)
    steps = {cell.number: one.steps for one in prepared for cell in one.shared.cells}
    warnings = [warning for one in data for warning in _data_warnings(one)]
    for result in results:
        warnings += [of_cell(result.cell.label, note) for note in _cell_notes(result)]
        warnings += _absorption_warnings(result)  # of all cells of a pass; it names its effects
    return {
        "job": job.job,
        "title": job.title or job.job,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec_hash": spec_hash(plan),
        "spec_files": dict(plan.loaded.hashes),
        "data": _source_entry(data[0].source),
        "panel_sha256": data[0].panel.content_hash if isinstance(data[0], CityData) else None,
        "more_data": _more_sources(data),
        "seeds": {"panel.options": dict(job.panel.options)} if job.panel and job.panel.options else {},
        "confidence": job.model.confidence,
        "treatment": job.treatment.name if job.treatment else None,
        "cells": [_cell_entry(result) for result in results],
        "choices": choices(plan) if len(plan.cells) >= CURVE else {},
        "counts": [_counts_entry(result, steps[result.cell.number]) for result in results],
        "indices": _weights(data[0]),
        **notes_record("note", _span_notes(prepared), ENGLISH.note),
        **notes_record("warning", distinct([*warnings, *notes]), ENGLISH.note),
        "timings": {name: round(value, 4) for name, value in seconds.items()},
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "devices": [str(device) for device in jax.devices()],
        "workers": place.description,
        "execution": place.account(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": _versions(),
    }


def _cell_notes(result: Estimated) -> Iterator[Note]:
    """Notes on a cell's errors, its fit, the number of its adopters and its instrument."""
    for covariance in result.covariances:
        if covariance.notes:
            yield Note.of("of_errors", errors=covariance.kind, notes=covariance.notes)
    if result.fit.exact:
        yield Note("effects_exact" if result.fit.exact == "effects" else "regressors_exact")
    if result.n_adopters is not None and result.n_adopters < FEW:
        yield Note.of("few_adopters", count=result.n_adopters)
    if result.instrument is not None:
        yield from result.instrument[2]


def code_notes() -> list[Note]:
    """A warning where the results may come from a mixture of old and new code."""
    return [Note("code_changed")] if source_changed() else []


@lru_cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def _data_warnings(data: CityData | PairData) -> list[Note]:
    """What a reader of the results must know about the data: dropped cities first."""
    if isinstance(data, PairData):
        return list(data.validation.warnings)
    report, dropped = data.validation, data.validation.dropped
    if not dropped:
        return list(report.warnings)
    cities = [Note.of("dropped_city", city=city.city, reason=city.reason) for city in dropped[:3]]
    count, more = len(dropped), and_more(len(dropped) - 3)
    lost = Note.of("cities_dropped", count=count, total=report.n_cities_read, cities=cities, more=more)
    return [lost, *report.warnings]


def _span_notes(prepared: tuple[Prepared, ...]) -> list[Note]:
    """Over which years each outcome is standardised: with more years, earlier results are others too."""
    notes = []
    for shared in (one.shared for one in prepared):
        if isinstance(shared.data, CityData) and shared.job.outcome.synchronization:
            early, years = shared.job.outcome.window == "pre", shared.data.panel.years
            notes.append(
                Note.of(
                    "standardised_before_adoption" if early else "standardised",
                    first=years[0],
                    last=years[-1],
                )
            )
    return distinct(notes)


def _more_sources(data: Sequence[CityData | PairData]) -> list[dict[str, Any]]:
    """Every further table, each once: joined to the first panel, or of another cell."""
    sources = [source for one in data for source in one.sources]
    entries = [_source_entry(source) for source in sources]
    return [entry for number, entry in enumerate(entries) if entry not in entries[:number]][1:]


def _source_entry(source: Source) -> dict[str, Any]:
    return {
        "source": source.name,
        "description": source.description,
        "synthetic": source.synthetic,
        "sha256": source.sha256,
    }


def _weights(data: CityData | PairData) -> dict[str, dict[str, float]]:
    """Entropy weights by index and indicator."""
    indices = data.indices if isinstance(data, CityData) else {}
    return {
        name: dict(zip(index.names, index.weights.tolist(), strict=True)) for name, index in indices.items()
    }


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _absorption_warnings(result: Estimated) -> list[Note]:
    """What a reader must know about rows alone in a level of an effect, and effects absorbed row by row."""
    done, out = result.absorption, []
    if result.sample.singletons:
        effects = list(done.n_levels if done else ("pair", "year"))
        out.append(Note.of("rows_alone", count=result.sample.singletons, effects=effects))
    if done is not None and not done.converged:
        effects, error = list(done.n_levels), float(done.error)
        out.append(Note.of("effects_not_absorbed", effects=effects, error=error, iterations=done.iterations))
    return out


def _cell_entry(result: Estimated) -> dict[str, Any]:
    cell, model = result.cell, result.cell.job.model
    entry: dict[str, Any] = {"cell": cell.id, "number": cell.number, "label": cell.label}
    entry["fixed_effects"] = list(model.fixed_effects)
    if result.absorption is not None:
        entry["absorption"] = asdict(result.absorption)
    if model.estimator == "event_study":
        entry["event_study"] = {"base": model.base, "window": list(model.window), "ends": model.ends}
    return entry


def _counts_entry(result: Estimated, steps: Sequence[Step]) -> dict[str, Any]:
    last = Step(Note("in_regression"), result.fit.n_pairs, result.fit.n_obs)
    entries = [
        {**note_record("step", step.step, ENGLISH.note), "pairs": step.pairs, "rows": step.rows}
        for step in (*steps, last)
    ]
    return {
        "cell": result.cell.id,
        "label": result.cell.label,
        "steps": entries,
        "infinite_outcomes": result.sample.infinite,
        "singleton_pairs": result.sample.singleton_pairs,
        "singletons": result.sample.singletons,
        "adopting_cities": result.n_adopters,
    }
