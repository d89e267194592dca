"""Data, code, counts, versions and timings of a run, as plain values for ``manifest.json``."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version

from engine.pairs.design import FilterStep
from engine.report.few_adopters import FEW
from engine.runtime.execute import Machine
from engine.runtime.source_code import source_changed
from engine.spec import Plan, choices, spec_hash
from engine.stages.curve_run import CURVE
from engine.stages.estimation import Estimated
from engine.stages.job_data import JobData
from engine.stages.prepare_passes import Prepared, distinct_data
from engine.stages.source import SourceTable

_PACKAGES = ("dyadid", "jax", "dask", "distributed", "numpy", "pandas", "pyarrow", "scipy", "pydantic")


_EXACT = {
    "effects": "fixed effects explain the outcome entirely (a constant one, say): no coefficient, no R2 within",
    "regressors": "regressors and fixed effects explain the outcome entirely: standard errors are zero, t undefined",
}


def make_manifest(
    plan: Plan,
    prepared: tuple[Prepared, ...],
    cells: Sequence[Estimated],
    seconds: Mapping[str, float],
    place: Machine,
    notes: Sequence[str],
) -> dict[str, object]:
    """The manifest as plain JSON-able values; ``cells`` are in the order of the plan."""
    job, loaded = plan.loaded.job, distinct_data(prepared)
    steps = {
        cell.number: prepared_pass.steps for prepared_pass in prepared for cell in prepared_pass.shared.cells
    }
    warnings = [text for job_data in loaded for text in job_data.warnings]
    warnings += [text for estimated in cells for text in _cell_warnings(estimated)]
    indices = loaded[0].indices.items()
    return {
        "job": job.job,
        "title": job.title or job.job,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "spec_hash": spec_hash(plan),
        "spec_files": dict(plan.loaded.hashes),
        "data": _source_entry(loaded[0].source),
        "panel_sha256": loaded[0].content_hash,
        "more_data": _more_sources(loaded),
        "seeds": {"panel.options": dict(job.panel.options)} if job.panel and job.panel.options else {},
        "confidence": job.model.confidence,
        "treatment": job.treatment.name if job.treatment else None,
        "cells": [_cell_entry(estimated) for estimated in cells],
        "choices": choices(plan) if len(plan.cells) >= CURVE else {},
        "counts": [_counts_entry(estimated, steps[estimated.cell.number]) for estimated in cells],
        "indices": {
            name: dict(zip(index.names, index.weights.tolist(), strict=True)) for name, index in indices
        },
        "notes": _span_notes(prepared),
        "warnings": list(dict.fromkeys([*warnings, *notes])),
        "timings": {name: round(value, 4) for name, value in seconds.items()},
        **_circumstances(place),
    }


def _circumstances(place: Machine) -> dict[str, object]:
    """Memory, devices, workers and versions: what may differ between runs of one job on the same data."""
    import jax

    return {
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "devices": [str(device) for device in jax.devices()],
        "workers": place.description,
        "execution": place.account(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": _versions(),
    }


def _cell_warnings(estimated: Estimated) -> list[str]:
    """Warnings of the estimates of one cell; those of its standard-error types first."""
    label = estimated.cell.label
    warnings = [
        f"{label}: {covariance.kind}: {covariance.note}"
        for covariance in estimated.covariances
        if covariance.note
    ]
    if estimated.fit.exact:
        warnings.append(f"{label}: {_EXACT[estimated.fit.exact]}")
    if estimated.n_adopters is not None and estimated.n_adopters < FEW:
        warnings.append(_adopter_warning(estimated))
    warnings += [f"{label}: {note}" for note in (estimated.instrument or ((), {}, ()))[2]]
    return [*warnings, *_absorption_warnings(estimated)]  # of all cells of a pass; it names its effects


def _adopter_warning(estimated: Estimated) -> str:
    """The number is what a reader must know before any standard error."""
    return (
        f"{estimated.cell.label}: adopting cities in the sample: {estimated.n_adopters}; with fewer than four no "
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


def _span_notes(prepared: tuple[Prepared, ...]) -> list[str]:
    """Over which years each outcome is standardised: with more years, earlier results are others too."""
    notes = []
    for prepared_pass in prepared:
        outcome, years = prepared_pass.shared.job.outcome, prepared_pass.shared.data.years
        if outcome.standardised:
            first, last = years[0], years[-1]
            early = " before the first adoption" if outcome.window == "pre" else ""
            notes.append(
                f"standardised over the years {first} to {last}{early}: results of other spans are recomputed from "
                "the data, not appended to these, and not comparable with them row by row"
            )
    return list(dict.fromkeys(notes))


def _more_sources(loaded: Sequence[JobData]) -> list[dict[str, object]]:
    """Every further table, each once: joined to the first panel, or of another cell."""
    sources = [source for job_data in loaded for source in job_data.sources]
    entries = [_source_entry(source) for source in sources]
    return [entry for number, entry in enumerate(entries) if entry not in entries[:number]][1:]


def _source_entry(source: SourceTable) -> dict[str, object]:
    return {
        "source": source.name,
        "description": source.description,
        "synthetic": source.synthetic,
        "sha256": source.sha256,
    }


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _absorption_warnings(estimated: Estimated) -> list[str]:
    """Rows alone in a level of an effect, and effects that the iteration did not absorb to the tolerance."""
    absorption, warnings = estimated.absorption, []
    if estimated.sample.singletons:
        effects = ", ".join(absorption.n_levels if absorption else ("pair", "year"))
        warnings.append(
            f"{estimated.sample.singletons:,} rows were alone in a level of {effects} and are left out"
        )
    if absorption is not None and not absorption.converged:
        warnings.append(
            f"{', '.join(absorption.n_levels)} were not taken out to the tolerance: {absorption.error:.1e} of a column "
            f"is left after {absorption.iterations:,} iterations"
        )
    return warnings


def _cell_entry(estimated: Estimated) -> dict[str, object]:
    cell, model = estimated.cell, estimated.cell.job.model
    entry: dict[str, object] = {"cell": cell.id, "number": cell.number, "label": cell.label}
    entry["fixed_effects"] = list(model.fixed_effects)
    if estimated.absorption is not None:
        entry["absorption"] = asdict(estimated.absorption)
    if model.registered.by_event_time:
        entry["event_study"] = {"base": model.base, "window": list(model.window), "ends": model.ends}
    return entry


def _counts_entry(estimated: Estimated, steps: Sequence[FilterStep]) -> dict[str, object]:
    entries = [{"step": step.step, "pairs": step.pairs, "rows": step.rows} for step in steps]
    entries.append({"step": "in the regression", "pairs": estimated.fit.n_pairs, "rows": estimated.fit.n_obs})
    return {
        "cell": estimated.cell.id,
        "label": estimated.cell.label,
        "steps": entries,
        "infinite_outcomes": estimated.sample.infinite,
        "singleton_pairs": estimated.sample.singleton_pairs,
        "singletons": estimated.sample.singletons,
        "adopting_cities": estimated.n_adopters,
    }
