"""Results as frames, with the columns that the Parquet files have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engine.infer.intervals import student
from engine.pairs.treatment import event_name
from engine.spec import Job
from engine.stages.estimation import Estimated

ESTIMATES = (
    "job", "cell", "outcome", "estimator", "term", "errors", "estimate", "std_error", "statistic", "p_value",
    "conf_low", "conf_high", "dof", "n_obs", "n_pairs", "n_units", "r2", "r2_within",
    "n_adopters",
)  # fmt: skip
EVENTS = ("job", "cell", "term", "event_time", "errors", "estimate", "std_error", "conf_low", "conf_high")


def outcome_name(job: Job) -> str:
    """``synchronization of development``, ``variation of gdp``, or the outcome column of a pair table."""
    outcome = job.outcome
    if job.model.estimator == "first_stage" and job.treatment is not None:
        return job.treatment.name
    if outcome.series is None:
        return str(outcome.column)
    return f"{'synchronization' if outcome.synchronization else 'variation'} of {outcome.series}"


def estimates_frame(results: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, term and kind of error, in the order of the tables; one more column a sweep key."""
    parts: dict[str, Any] = {name: [] for name in ESTIMATES}
    keys: dict[str, list[Any]] = {name: [] for name in (results[0].cell.keys if results else {})}
    confidence: list[float] = []
    for result in results:
        cell, fit = result.cell, result.fit
        k, kinds = len(fit.names), len(result.covariances)
        rows = {
            "job": job,
            "cell": cell.id,
            "outcome": outcome_name(cell.job),
            "estimator": cell.job.model.estimator,
            "n_obs": fit.n_obs,
            "n_pairs": fit.n_pairs,
            "n_units": fit.n_units,
            "r2": fit.r2,
            "r2_within": fit.r2_within,
        }
        for name, value in rows.items():
            parts[name] += [value] * (k * kinds)
        parts["term"] += [name for name in fit.names for _ in range(kinds)]
        parts["estimate"] += np.repeat(fit.estimate, kinds).tolist()
        parts["std_error"] += np.stack([one.std_error for one in result.covariances], axis=1).ravel().tolist()
        parts["errors"] += [covariance.kind for covariance in result.covariances] * k
        known = np.nan if result.n_adopters is None else float(result.n_adopters)
        adopters = [known if is_term else np.nan for is_term in result.treatment_terms]
        parts["n_adopters"] += np.repeat(adopters, kinds).tolist()
        parts["dof"] += (
            np.stack([of.dof_of_coefficients for of in result.covariances], axis=1).ravel().tolist()
        )
        confidence += [cell.job.model.confidence] * (k * kinds)
        for name in keys:
            keys[name] += [cell.keys.get(name, "")] * (k * kinds)
    estimate, error, dof = (np.array(parts[name]) for name in ("estimate", "std_error", "dof"))
    found = student(estimate, error, dof, np.array(confidence))
    parts |= {"statistic": found.statistic, "p_value": found.p_value}
    parts |= {"conf_low": found.low, "conf_high": found.high}
    return pd.DataFrame({**parts, **keys})


def event_study_frame(results: Sequence[Estimated], estimates: pd.DataFrame) -> pd.DataFrame | None:
    """Rows of event-study terms with their event year, and the base year at zero; None where there are none."""
    parts: list[pd.DataFrame] = []
    for result in results:
        cell = result.cell
        if cell.job.model.estimator != "event_study" or cell.job.treatment is None:
            continue
        low, high = cell.job.model.window
        times = {event_name(cell.job.treatment.name, time): time for time in range(low, high + 1)}
        own = estimates[(estimates["cell"] == cell.id) & estimates["term"].isin(times)]
        base = own.drop_duplicates("errors").copy()
        base["term"] = event_name(cell.job.treatment.name, cell.job.model.base)
        base[["estimate", "std_error", "conf_low", "conf_high"]] = 0.0
        both = pd.concat([own, base])
        both["event_time"] = both["term"].map(times)
        parts.append(both.sort_values(["event_time"], kind="stable"))
    if not parts:
        return None
    keys = [name for name in estimates.columns if name not in ESTIMATES]
    return pd.concat(parts, ignore_index=True)[[*EVENTS, *keys]]
