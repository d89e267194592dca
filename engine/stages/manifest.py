"""Data, code, counts, versions and timings of a run, as plain values for ``manifest.json``."""

from __future__ import annotations

import platform
import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import lru_cache

from engine.infer.errors import CONVENTIONAL
from engine.notes import Note, distinct, note_record, notes_record, of_cell
from engine.pairs.design import FilterStep
from engine.report.few_adopters import FEW
from engine.report.language.wording import ENGLISH
from engine.runtime.execute import Machine
from engine.runtime.source_code import package_version, source_changed
from engine.spec import Plan, choices, spec_hash
from engine.stages.curve_run import CURVE
from engine.stages.estimation import Estimated
from engine.stages.job_data import JobData
from engine.stages.joint_tests import joint_notes
from engine.stages.prepare_passes import Prepared, distinct_data
from engine.stages.source import SourceTable
from engine.tables.arithmetic import parse

_PACKAGES = ("dyadid", "jax", "dask", "distributed", "numpy", "pandas", "pyarrow", "scipy", "pydantic")


def make_manifest(
    plan: Plan,
    prepared: tuple[Prepared, ...],
    cells: Sequence[Estimated],
    seconds: Mapping[str, float],
    place: Machine,
    notes: Sequence[Note],
) -> dict[str, object]:
    """The manifest as plain JSON-able values; ``cells`` are in the order of the plan."""
    job, loaded = plan.loaded.job, distinct_data(prepared)
    steps: dict[int, list[dict[str, object]]] = {}
    for prepared_pass in prepared:
        entries = [_step_entry(step) for step in prepared_pass.steps]
        steps |= {cell.number: entries for cell in prepared_pass.pass_cells.cells}
    warnings = [warning for job_data in loaded for warning in job_data.warnings]
    for estimated in cells:
        warnings += [of_cell(estimated.cell.label, note) for note in _cell_notes(estimated)]
        warnings += _absorption_warnings(estimated)  # of all cells of a pass; it names its effects
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
        "table": job.table.choices,
        "figure": job.figures.choices,
        "lang": job.lang,
        "cells": [_cell_entry(estimated) for estimated in cells],
        "parameters": _as_written(plan.loaded.data, plan.loaded.sources),
        "choices": choices(plan) if len(plan.cells) >= CURVE else {},
        "counts": [_counts_entry(estimated, steps[estimated.cell.number]) for estimated in cells],
        "indices": {
            name: dict(zip(index.names, index.weights.tolist(), strict=True)) for name, index in indices
        },
        **notes_record("note", [*_span_notes(prepared), *_years_left_out(prepared)], ENGLISH.note),
        **notes_record("warning", distinct([*warnings, *notes, *_look_ahead_notes(prepared)]), ENGLISH.note),
        "timings": {name: round(value, 4) for name, value in seconds.items()},
        **_circumstances(place),
    }


def _as_written(document: object, sources: Mapping[str, str]) -> object:
    """The job's keys, with the sources as its file names them."""
    if isinstance(document, Mapping):
        return {str(key): _as_written(value, sources) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [_as_written(value, sources) for value in document]
    return sources.get(document, document) if isinstance(document, str) else document


def _circumstances(place: Machine) -> dict[str, object]:
    """Memory, devices, workers and versions: what may differ between runs of one job on the same data."""
    import jax

    return {
        "peak_memory_mb": round(peak_memory_mb(), 1),
        "devices": [str(device) for device in jax.devices()],
        **note_record("workers", place.whereabouts, ENGLISH.note),
        "core_hours": float(f"{place.core_hours():.3g}"),
        "execution": place.account(),
        "platform": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": _versions(),
    }


def _cell_notes(estimated: Estimated) -> Iterator[Note]:
    """Notes on a cell's errors, its fit, the number of its adopters, its cohorts and its instrument."""
    for covariance in estimated.covariances:
        if covariance.notes:
            yield Note.of("of_errors", errors=covariance.kind, notes=covariance.notes)
    if estimated.fit.exact:
        yield Note("effects_exact" if estimated.fit.exact == "effects" else "regressors_exact")
    yield from _separation_notes(estimated)
    if estimated.n_adopters is not None and estimated.n_adopters < FEW:
        yield Note.of("few_adopters", count=estimated.n_adopters)
    conventional = any(covariance.kind in CONVENTIONAL for covariance in estimated.covariances)
    for sample, terms in estimated.fit.resting.items():
        if terms and sample == "city" and conventional:
            yield Note.of("cohort_of_one_city", terms=terms)
        elif terms and sample != "city":
            yield Note.of("cohort_of_one_block", errors=sample, terms=terms)
    yield from joint_notes(estimated)
    if estimated.cohort_cells is not None:
        yield from estimated.cohort_cells.notes(estimated.covariances)
    if estimated.instrument is not None:
        yield from estimated.instrument[2]
    yield from estimated.notes


def code_notes() -> list[Note]:
    """A warning where the results may come from a mixture of old and new code."""
    return [Note("code_changed")] if source_changed() else []


@lru_cache
def _versions() -> dict[str, str]:
    return {name: package_version(name) for name in _PACKAGES}


def _span_notes(prepared: tuple[Prepared, ...]) -> list[Note]:
    """Over which years each outcome is standardised: with more years, earlier results are others too."""
    notes = []
    for prepared_pass in prepared:
        outcome, years = prepared_pass.pass_cells.job.outcome, prepared_pass.pass_cells.data.years
        if outcome.standardised:
            early = outcome.window == "pre"
            notes.append(
                Note.of(
                    "standardised_before_adoption" if early else "standardised",
                    first=years[0],
                    last=years[-1],
                )
            )
    return distinct(notes)


def _look_ahead_notes(prepared: tuple[Prepared, ...]) -> Iterator[Note]:
    """A warning of each outcome that ``window: pre`` does not keep from depending on later data."""
    for prepared_pass in prepared:
        outcome = prepared_pass.pass_cells.job.outcome
        columns = (
            list(_of_all_years(prepared_pass)) if outcome.standardised and outcome.window == "pre" else []
        )
        if columns:
            yield Note.of("series_of_all_years", columns=columns)


def _of_all_years(prepared_pass: Prepared) -> Iterator[str]:
    """Parts of the outcome's series that all years make: trends, indices weighted over them, filled gaps."""
    job, panel = prepared_pass.pass_cells.job, prepared_pass.pass_cells.data.panel
    series, columns = parse(str(job.outcome.series)), job.panel_block.columns
    if series.looks_ahead:
        yield series.text
    for name in series.names:
        if (
            name in job.index
            or name in panel.filled
            or (name in columns and parse(columns[name]).looks_ahead)
        ):
            yield name


def _years_left_out(prepared: tuple[Prepared, ...]) -> list[Note]:
    """Years of the sample of which no pair-year is in a regression: those of a lag, or of an estimator's own rule."""
    notes = []
    for prepared_pass in prepared:
        design, years = prepared_pass.design, prepared_pass.pass_cells.data.years
        if design.kept_rows is None:
            continue
        classes_left = design.kept_rows[design.allowed].sum(axis=0)
        left_out = [str(year) for place, year in enumerate(years) if not classes_left[place]]
        if left_out:
            notes.append(Note.of("years_left_out", years=left_out))
    return distinct(notes)


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
        **({"true_effects": source.truth} if source.truth else {}),
    }


def peak_memory_mb() -> float:
    """Largest resident size of this process so far, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _absorption_warnings(estimated: Estimated) -> list[Note]:
    """Rows alone in a level of an effect, and effects that the iteration did not absorb to the tolerance."""
    absorption, warnings = estimated.absorption, []
    if estimated.sample.singletons:
        effects = list(absorption.n_levels if absorption else ("pair", "year"))
        warnings.append(Note.of("rows_alone", count=estimated.sample.singletons, effects=effects))
    if absorption is not None and not absorption.converged:
        effects, error = list(absorption.n_levels), float(absorption.error)
        warnings.append(
            Note.of("effects_not_absorbed", effects=effects, error=error, iterations=absorption.iterations)
        )
    return warnings


def _separation_notes(estimated: Estimated) -> Iterator[Note]:
    """Rows of a Poisson fit without a finite estimate, and whether there may be more of them."""
    likelihood = estimated.likelihood
    if likelihood is None:
        return
    if likelihood.separated:
        count, in_levels = likelihood.separated, likelihood.separated_in_levels
        yield Note.of("rows_separated", count=count, in_levels=in_levels)
    if not likelihood.separation_settled:
        yield Note("separation_unsettled")


def _cell_entry(estimated: Estimated) -> dict[str, object]:
    cell, model = estimated.cell, estimated.cell.job.model
    entry: dict[str, object] = {"cell": cell.id, "number": cell.number, "label": cell.label}
    entry |= {"fixed_effects": list(model.fixed_effects), "confidence": model.confidence}
    if model.by_year:
        entry["by_year"] = list(model.by_year)
    if estimated.absorption is not None:
        entry["absorption"] = asdict(estimated.absorption)
    if estimated.likelihood is not None:
        entry["poisson"] = asdict(estimated.likelihood)
    if model.registered.by_event_time:
        entry["event_study"] = {
            "base": model.omitted_year,
            "window": list(model.window) if "window" in model.registered.options else None,
            "ends": model.ends if "ends" in model.registered.options else "drop",
        }
    return entry


def _step_entry(step: FilterStep) -> dict[str, object]:
    return {**note_record("step", step.step, ENGLISH.note), "pairs": step.pairs, "rows": step.rows}


def _counts_entry(estimated: Estimated, steps: Sequence[dict[str, object]]) -> dict[str, object]:
    """Counts of a cell; ``steps`` are the entries of the filters of its pass."""
    last = FilterStep(Note("in_regression"), estimated.fit.n_pairs, estimated.fit.n_obs)
    return {
        "cell": estimated.cell.id,
        "label": estimated.cell.label,
        "steps": [*steps, _step_entry(last)],
        "infinite_outcomes": estimated.sample.infinite,
        "singleton_pairs": estimated.sample.singleton_pairs,
        "singletons": estimated.sample.singletons,
        "adopting_cities": estimated.n_adopters,
    }
