"""What was run on what, with which counts, versions and timings, as plain values for ``manifest.json``."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from engine.spec import Plan, spec_hash
from engine.stages.counts import Step
from engine.stages.data import CityData, PairData
from engine.stages.estimation import Estimated
from engine.stages.prepare import Prepared, distinct_data

_PACKAGES = ("dyadid", "jax", "dask", "distributed", "numpy", "pandas", "pyarrow", "scipy", "pydantic")


def make_manifest(
    plan: Plan,
    prepared: tuple[Prepared, ...],
    results: Sequence[Estimated],
    seconds: Mapping[str, float],
    workers: str,
    notes: Sequence[str],
) -> dict[str, Any]:
    """What was run on what, as plain JSON-able values."""
    import jax

    job, data = plan.loaded.job, distinct_data(prepared)
    steps = {cell.number: one.steps for one in prepared for cell in one.shared.cells}
    warnings = [text for one in data if isinstance(one, CityData) for text in _data_warnings(one)]
    for result in results:
        warnings += [
            f"{result.cell.label}: {covariance.kind}: {covariance.note}"
            for covariance in result.covariances
            if covariance.note
        ]
    return {
        "job": job.job,
        "title": job.title or job.job,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec_hash": spec_hash(plan),
        "spec_files": dict(plan.loaded.hashes),
        "data": _source_entry(data[0]),
        "panel_sha256": data[0].panel.content_hash if isinstance(data[0], CityData) else None,
        "more_data": [_source_entry(one) for one in data[1:]],
        "seeds": {"panel.options": dict(job.panel.options)} if job.panel and job.panel.options else {},
        "confidence": job.model.confidence,
        "treatment": job.treatment.name if job.treatment else None,
        "cells": [_cell_entry(result) for result in results],
        "counts": [_counts_entry(result, steps[result.cell.number]) for result in results],
        "indices": _weights(data[0]),
        "warnings": list(dict.fromkeys([*warnings, *notes])),
        "timings": {name: round(value, 4) for name, value in seconds.items()},
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "devices": [str(device) for device in jax.devices()],
        "workers": workers,
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": _versions(),
    }


@lru_cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in _PACKAGES}


def _data_warnings(data: CityData) -> list[str]:
    """What a reader of the results must know about the data: dropped cities first."""
    report, dropped = data.validation, data.validation.dropped
    shown = "; ".join(f"{city.city} ({city.reason})" for city in dropped[:3])
    more = f" and {len(dropped) - 3} more" if len(dropped) > 3 else ""
    lost = [f"{len(dropped)} of {report.n_cities_read} cities were dropped: {shown}{more}"] if dropped else []
    return [*lost, *report.warnings]


def _source_entry(data: CityData | PairData) -> dict[str, Any]:
    source = data.source
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


def _cell_entry(result: Estimated) -> dict[str, Any]:
    cell, model = result.cell, result.cell.job.model
    entry: dict[str, Any] = {"cell": cell.id, "number": cell.number, "label": cell.label}
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
        "infinite_outcomes": result.infinite,
        "singleton_pairs": result.singletons,
    }
