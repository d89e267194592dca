"""Results as frames, with the columns that the Parquet files have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from engine.infer.variance import intervals
from engine.pairs.treatment import event_name
from engine.spec import Job
from engine.stages.estimation import Estimated

ESTIMATES = (
    "job", "cell", "outcome", "estimator", "term", "errors", "estimate", "std_error", "statistic", "p_value",
    "conf_low", "conf_high", "dof", "n_obs", "n_pairs", "n_units", "r2", "r2_within",
)  # fmt: skip
EVENTS = ("job", "cell", "term", "event_time", "errors", "estimate", "std_error", "conf_low", "conf_high")


def outcome_name(job: Job) -> str:
    """``synchronization of development``, or the outcome column of a pair table."""
    series = job.outcome.synchronization
    return f"synchronization of {series}" if series else str(job.outcome.column)


def estimates_frame(results: Sequence[Estimated], job: str) -> pd.DataFrame:
    """One row a cell, term and kind of error, in the order of the tables; one more column a sweep key."""
    parts: dict[str, list[Any]] = {name: [] for name in ESTIMATES}
    keys: dict[str, list[Any]] = {name: [] for name in (results[0].cell.keys if results else {})}
    for result in results:
        cell, fit = result.cell, result.fit
        k, kinds = len(fit.names), len(result.covariances)
        found = [intervals(fit, covariance, cell.job.model.confidence) for covariance in result.covariances]
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
        by_term = {
            "std_error": [covariance.std_error for covariance in result.covariances],
            "statistic": [one.statistic for one in found],
            "p_value": [one.p_value for one in found],
            "conf_low": [one.low for one in found],
            "conf_high": [one.high for one in found],
        }
        for name, value in rows.items():
            parts[name] += [value] * (k * kinds)
        for name, values in by_term.items():
            parts[name] += np.stack(values, axis=1).ravel().tolist()
        parts["term"] += np.repeat(fit.names, kinds).tolist()
        parts["estimate"] += np.repeat(fit.estimate, kinds).tolist()
        parts["errors"] += [covariance.kind for covariance in result.covariances] * k
        parts["dof"] += [covariance.dof for covariance in result.covariances] * k
        for name in keys:
            keys[name] += [cell.keys.get(name, "")] * (k * kinds)
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
