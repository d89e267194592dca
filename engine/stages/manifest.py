"""What was run on what, with which counts, versions and timings, as plain values for ``manifest.json``."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from engine.report.few_adopters import FEW
from engine.runtime.execute import Machine
from engine.runtime.source_code import source_changed
from engine.spec import Plan, choices, spec_hash
from engine.stages.counts import Step
from engine.stages.curve_run import CURVE
from engine.stages.estimation import Estimated
from engine.stages.load_data import CityData, PairData, Source
from engine.stages.prepare_passes import Prepared, distinct_data

_PACKAGES = ("dyadid", "jax", "dask", "distributed", "numpy", "pandas", "pyarrow", "scipy", "pydantic")


_EXACT = {
    "effects": "fixed effects explain the outcome entirely (a constant one, say): no coefficient, no R2 within",
    "regressors": "regressors and fixed effects explain the outcome entirely: standard errors are zero, t undefined",
}


def make_manifest(
    plan: Plan,
    prepared: tuple[Prepared, ...],
    results: Sequence[Estimated],
    seconds: Mapping[str, float],
    place: Machine,
    notes: Sequence[str],
) -> dict[str, Any]:
    """What was run on what, as plain JSON-able values."""
    import jax

    job, data = plan.loaded.job, distinct_data(prepared)
    steps = {cell.number: one.steps for one in prepared for cell in one.shared.cells}
    warnings = [text for one in data for text in _data_warnings(one)]
    for result in results:
        warnings += [
            f"{result.cell.label}: {covariance.kind}: {covariance.note}"
            for covariance in result.covariances
            if covariance.note
        ]
        if result.fit.exact:
            warnings.append(f"{result.cell.label}: {_EXACT[result.fit.exact]}")
        if result.n_adopters is not None and result.n_adopters < FEW:
            warnings.append(_adopter_warning(result))
        warnings += [f"{result.cell.label}: {note}" for note in (result.instrument or ((), {}, ()))[2]]
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
        "notes": _span_notes(prepared),
        "warnings": list(dict.fromkeys([*warnings, *notes])),
        "timings": {name: round(value, 4) for name, value in seconds.items()},
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "devices": [str(device) for device in jax.devices()],
        "workers": place.description,
        "execution": place.account(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": _versions(),
    }


def _adopter_warning(result: Estimated) -> str:
    """The number is what a reader must know before any standard error."""
    return (
        f"{result.cell.label}: adopting cities in the sample: {result.n_adopters}; with fewer than four no "
        "kind of standard error is reliable, and stars are withheld; the studentised permutation test "
        "(inference.permutation) holds"
    )


def code_notes() -> list[str]:
    """A warning where the results may come from a mixture of old and new code."""
    if not source_changed():
        return []
    return [
        "the code of dyadid changed on disk during the run: run it again; none of its work is kept for that"
    ]


@lru_cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def _data_warnings(data: CityData | PairData) -> list[str]:
    """What a reader of the results must know about the data: dropped cities first."""
    if isinstance(data, PairData):
        return list(data.validation.warnings)
    report, dropped = data.validation, data.validation.dropped
    shown = "; ".join(f"{city.city} ({city.reason})" for city in dropped[:3])
    more = f" and {len(dropped) - 3} more" if len(dropped) > 3 else ""
    lost = [f"{len(dropped)} of {report.n_cities_read} cities were dropped: {shown}{more}"] if dropped else []
    return [*lost, *report.warnings]


def _span_notes(prepared: tuple[Prepared, ...]) -> list[str]:
    """Over which years each outcome is standardised: with more years, earlier results are others too."""
    notes = []
    for shared in (one.shared for one in prepared):
        if isinstance(shared.data, CityData) and shared.job.outcome.synchronization:
            first, last = shared.data.panel.years[0], shared.data.panel.years[-1]
            early = " before the first adoption" if shared.job.outcome.window == "pre" else ""
            notes.append(
                f"standardised over the years {first} to {last}{early}: results of other spans are recomputed from "
                "the data, not appended to these, and not comparable with them row by row"
            )
    return list(dict.fromkeys(notes))


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


def _absorption_warnings(result: Estimated) -> list[str]:
    """What a reader must know about rows alone in a level of an effect, and effects absorbed row by row."""
    done, out = result.absorption, []
    if result.sample.singletons:
        effects = ", ".join(done.n_levels if done else ("pair", "year"))
        out.append(f"{result.sample.singletons:,} rows were alone in a level of {effects} and are left out")
    if done is not None and not done.converged:
        out.append(
            f"{', '.join(done.n_levels)} were not taken out to the tolerance: {done.error:.1e} of a column is left "
            f"after {done.iterations:,} iterations"
        )
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
    entries = [{"step": step.step, "pairs": step.pairs, "rows": step.rows} for step in steps]
    entries.append({"step": "in the regression", "pairs": result.fit.n_pairs, "rows": result.fit.n_obs})
    return {
        "cell": result.cell.id,
        "label": result.cell.label,
        "steps": entries,
        "infinite_outcomes": result.sample.infinite,
        "singleton_pairs": result.sample.singleton_pairs,
        "singletons": result.sample.singletons,
        "adopting_cities": result.n_adopters,
    }
