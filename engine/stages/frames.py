"""Frames of a job, by name: estimates, and what else its cells have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engine.arrays import Array, Flags
from engine.estimate.poisson_fit import PoissonSummary
from engine.infer.intervals import student
from engine.infer.simultaneous import sidak_critical_values, simultaneous_critical_values
from engine.notes import Note
from engine.pairs.treatment import event_name
from engine.report.outputs.event_study_plot import EVENT_COLUMNS
from engine.report.outputs.regression_table import ESTIMATE_COLUMNS
from engine.spec import Job
from engine.stages.coefficient_families import multiple_frame
from engine.stages.cohort_frames import group_time_frame
from engine.stages.contrasts import contrasts_frame
from engine.stages.curve_run import curve_frame
from engine.stages.estimation import Estimated
from engine.stages.honest_frames import honest_frames
from engine.stages.inference import Inferred
from engine.stages.instrument import instrument_frame
from engine.stages.joint_tests import covariance_frame, joint_frame
from engine.stages.pair_dependence import correlation_rows
from engine.stages.prepare_passes import Prepared
from engine.stages.twfe_diagnostics import diagnostic_frames
from engine.stages.type_frames import pair_group_time_frame

Passes = Sequence[tuple[Prepared, list[Estimated]]]


def job_frames(
    job: str, passes: Passes, estimated_cells: Sequence[Estimated], inferred: Inferred
) -> tuple[dict[str, pd.DataFrame], tuple[Note, ...]]:
    """Estimates, and every other frame that has rows; and notes on those that could not be made.

    Parameters
    ----------
    job : str
    passes : sequence of (Prepared, list of Estimated)
    estimated_cells : sequence of Estimated
        Of all passes, in the order of the job's cells.
    inferred : Inferred
    """
    estimates = estimates_frame(estimated_cells, job)
    instruments = [
        (estimated.cell, estimated.instrument[1], estimated.instrument[0])
        for estimated in estimated_cells
        if estimated.instrument
    ]
    curve, notes = curve_frame(job, passes, inferred)
    honest, honest_notes = honest_frames(estimated_cells, job)
    frames = {
        "event_study": event_study_frame(estimated_cells, estimates),
        "group_time": group_time_frame(estimated_cells, job),
        "pair_group_time": pair_group_time_frame(passes, estimated_cells, job),
        "joint": joint_frame(estimated_cells, job),
        "inference": inferred.rows,
        "draws": inferred.draws,
        "influence": inferred.influence,
        "instrument": instrument_frame(job, instruments),
        **matching_frames(job, passes),
        "contrasts": contrasts_frame(estimated_cells, job),
        "multiple": multiple_frame(job, passes, inferred),
        "curve": curve,
        "covariance": covariance_frame(estimated_cells, job),
        **honest,
        "score_correlations": correlations_frame(estimated_cells, job),
        **diagnostic_frames(job, passes),
    }
    return {"estimates": estimates} | {name: frame for name, frame in frames.items() if len(frame)}, (
        *notes,
        *honest_notes,
    )


def correlations_frame(estimated_cells: Sequence[Estimated], job: str) -> pd.DataFrame:
    """Correlations of pair scores by common city and by distance, of the cells that ask for them."""
    rows = [
        correlation_rows(job, cell.cell.id, correlogram)
        for cell in estimated_cells
        for correlogram in cell.correlograms
    ]
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()


def matching_frames(job: str, passes: Passes) -> dict[str, pd.DataFrame]:
    """Logit and counts of each matched sample, and its covariates before and after; none without matching."""
    reports = [
        (estimated.cell.id, prepared.matching)
        for prepared, estimated_cells in passes
        for estimated in estimated_cells
        if prepared.matching
    ]
    if not reports:
        return {}
    scores = [report.scores.assign(job=job, cell=cell, **report.counts) for cell, report in reports]
    balance = [report.balance.assign(job=job, cell=cell) for cell, report in reports]
    return {
        "matching": pd.concat(scores, ignore_index=True),
        "balance": pd.concat(balance, ignore_index=True),
    }


def outcome_name(job: Job) -> str:
    """Name of the dependent variable: the outcome, or the treatment where the estimator puts it there."""
    if job.model.registered.treatment_as_outcome and job.treatment is not None:
        return job.treatment.name
    return job.outcome.name


def estimates_frame(estimated_cells: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, term and standard-error type, in the order of the tables; one more column a sweep key."""
    columns: dict[str, list[Any]] = {name: [] for name in ESTIMATE_COLUMNS}
    keys: dict[str, list[Any]] = {
        name: [] for name in (estimated_cells[0].cell.keys if estimated_cells else {})
    }
    confidence: list[float] = []
    for estimated in estimated_cells:
        n_rows = len(estimated.fit.names) * len(estimated.covariances)
        for name, value in _cell_values(estimated, job).items():
            columns[name] += [value] * n_rows
        for name, values in _term_values(estimated).items():
            columns[name] += values
        confidence += [estimated.cell.job.model.confidence] * n_rows
        for name in keys:
            keys[name] += [estimated.cell.keys.get(name, "")] * n_rows
    estimate, error, dof = (np.array(columns[name]) for name in ("estimate", "std_error", "dof"))
    tests = student(estimate, error, dof, np.array(confidence))
    return pd.DataFrame(
        {
            **columns,
            "statistic": tests.statistic,
            "p_value": tests.p_value,
            "conf_low": tests.low,
            "conf_high": tests.high,
            **keys,
        }
    )


def _cell_values(estimated: Estimated, job: str) -> dict[str, Any]:
    """Values that all rows of a cell share."""
    cell, fit = estimated.cell, estimated.fit
    return {
        "job": job,
        "cell": cell.id,
        "outcome": outcome_name(cell.job),
        "estimator": cell.job.model.estimator,
        "n_obs": fit.n_obs,
        "n_pairs": fit.n_pairs,
        "n_units": fit.n_units,
        "r2": fit.r2,
        "r2_within": fit.r2_within,
        **_likelihood_values(estimated.likelihood),
    }


def _likelihood_values(likelihood: PoissonSummary | None) -> dict[str, float]:
    """Numbers of a Poisson fit; missing for others."""
    if likelihood is None:
        return dict.fromkeys(("pseudo_r2", "deviance", "iterations", "n_separated"), np.nan)
    return {
        "pseudo_r2": likelihood.pseudo_r2,
        "deviance": likelihood.deviance,
        "iterations": float(likelihood.iterations),
        "n_separated": float(likelihood.separated),
    }


def _term_values(estimated: Estimated) -> dict[str, list[Any]]:
    """Values of a cell's rows: the standard-error types of the first term, those of the second, and so on."""
    fit, covariances, n_adopters = estimated.fit, estimated.covariances, estimated.n_adopters
    is_treatment = [term.is_treatment for term in fit.terms]
    adopters = [np.nan if n_adopters is None or not each else float(n_adopters) for each in is_treatment]
    std_errors = np.array([covariance.std_error for covariance in covariances])
    dof = np.array([covariance.dof_of_coefficients for covariance in covariances])
    effective = [np.nan] * dof.size
    if any(covariance.effective_adopters is not None for covariance in covariances):
        effective = _effective_adopters(estimated, np.array(is_treatment)).T.ravel().tolist()
    return {
        "term": [name for name in fit.names for _ in covariances],
        "errors": [covariance.kind for covariance in covariances] * len(fit.names),
        "estimate": [value for value in fit.values.tolist() for _ in covariances],
        "std_error": std_errors.T.ravel().tolist(),
        "dof": dof.T.ravel().tolist(),
        "n_adopters": [count for count in adopters for _ in covariances],
        "effective_adopters": effective,
    }


def _effective_adopters(estimated: Estimated, is_treatment: Flags) -> Array:
    """``[n_types, K]`` effective adopters, no more than there are; NaN where a type counts none."""
    most = np.inf if estimated.n_adopters is None else estimated.n_adopters
    effective = np.full((len(estimated.covariances), len(is_treatment)), np.nan)
    for of_type, covariance in zip(effective, estimated.covariances, strict=True):
        if covariance.effective_adopters is not None:
            of_type[is_treatment] = np.minimum(covariance.effective_adopters, most)[is_treatment]
    return effective


def event_study_frame(estimated_cells: Sequence[Estimated], estimates: pd.DataFrame) -> pd.DataFrame:
    """Rows of event-study terms with their event year, and any reference period at zero; empty where there are none."""
    parts: list[pd.DataFrame] = []
    for estimated in estimated_cells:
        cell = estimated.cell
        if not cell.job.model.registered.by_event_time or cell.job.treatment is None:
            continue
        times = {term.name: term.event_time for term in estimated.fit.terms if term.event_time is not None}
        effects = estimates[(estimates["cell"] == cell.id) & estimates["term"].isin(times)]
        effects = _with_bands(effects, estimated)
        omitted = cell.job.model.omitted_year
        if omitted is not None:
            base = effects.drop_duplicates("errors").copy()
            base["term"] = event_name(cell.job.treatment.name, omitted)
            base[["estimate", "std_error", "conf_low", "conf_high", "band_low", "band_high"]] = 0.0
            times[base["term"].iloc[0]] = omitted
            effects = pd.concat([effects, base])
        effects = effects.assign(event_time=effects["term"].map(times))
        parts.append(effects.sort_values(["event_time"], kind="stable"))
    keys = [name for name in estimates.columns if name not in ESTIMATE_COLUMNS]
    names = [*EVENT_COLUMNS, *keys]
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def _with_bands(effects: pd.DataFrame, estimated: Estimated) -> pd.DataFrame:
    """The rows of a cell's event years with bands that cover all of them that have an error.

    Where something stands in for a variance, it and the covariances are no one matrix: the band is then one that holds
    for any correlations.
    """
    fit, confidence = estimated.fit, estimated.cell.job.model.confidence
    times = np.array([term.event_time is not None for term in fit.terms])
    critical: dict[tuple[str, str], float] = {}
    for covariance in estimated.covariances:
        at = np.flatnonzero(times & (covariance.std_error > 0))
        if not len(at):
            continue
        names, dof = [fit.names[place] for place in at], covariance.dof_of_coefficients[at].astype(float)
        if covariance.replaced_terms.intersection(names):
            values = sidak_critical_values(dof, confidence)
        else:
            values = simultaneous_critical_values(covariance.matrix[np.ix_(at, at)], dof, confidence)
        critical |= {(covariance.kind, name): value for name, value in zip(names, values, strict=True)}
    rows = zip(effects["errors"], effects["term"], strict=True)
    margin = np.array([critical.get(row, np.nan) for row in rows]) * effects["std_error"]
    return effects.assign(band_low=effects["estimate"] - margin, band_high=effects["estimate"] + margin)
