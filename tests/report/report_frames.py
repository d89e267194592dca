"""Frames as the pipeline writes them, small and with known numbers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

WIDER = {"pair": 1.0, "city": 2.5, "dyadic": 4.0, "jackknife": 4.4}


def coefficient_rows(
    cell, term, estimate, pair_error, *, kinds=WIDER, estimator="twfe", outcome="sync", **keys
):
    rows = []
    for kind, factor in kinds.items():
        error, dof = pair_error * factor, 15322 if kind == "pair" else 253
        half = stats.t.ppf(0.975, dof) * error
        rows.append(
            {
                "job": "demo", "cell": cell, "outcome": outcome, "estimator": estimator, "term": term,
                "errors": kind, "estimate": estimate, "std_error": error, "statistic": estimate / error,
                "p_value": 2 * stats.t.sf(abs(estimate / error), dof), "conf_low": estimate - half,
                "conf_high": estimate + half, "dof": dof, "n_obs": 153230, "n_pairs": 15323, "n_units": 254,
                "r2": 0.4123, "r2_within": 0.00023, **keys,
            }
        )  # fmt: skip
    return rows


def sweep(n_cells=3, **options):
    """Cells that add one control after another; policy is 0.07 with a pair error of 0.0117."""
    rows = []
    for cell in range(n_cells):
        used = [f"x{place}" for place in range(cell)]
        keys = {"model.controls": "+".join(used) or "none"}
        rows += coefficient_rows(f"c{cell}", "policy", 0.07, 0.0117, **options, **keys)
        for place, name in enumerate(used):
            rows += coefficient_rows(f"c{cell}", name, -0.5 * (place + 1), 0.01, **options, **keys)
    return pd.DataFrame(rows)


def event_estimates(times=(-3, -2, 0, 1, 2), cell="e0"):
    rows = []
    for time in times:
        rows += coefficient_rows(
            cell, f"policy[{time}]", 0.04 * max(time, 0), 0.0117, estimator="event_study"
        )
    return pd.DataFrame(rows)


def event_study(times=(-3, -2, 0, 1, 2), cell="e0"):
    own = event_estimates(times, cell)
    base = own.drop_duplicates("errors").assign(
        term="policy[-1]", estimate=0.0, std_error=0.0, conf_low=0.0, conf_high=0.0
    )
    both = pd.concat([own, base], ignore_index=True)
    for end in ("low", "high"):
        both[f"band_{end}"] = both["estimate"] + 1.25 * (both[f"conf_{end}"] - both["estimate"])
    both["event_time"] = both["term"].str.extract(r"\[(-?\d+)\]")[0].astype(int)
    return both.sort_values("event_time", kind="stable", ignore_index=True)


def undefined(frame, mask):
    """The same frame with the errors of the masked rows undefined."""
    frame = frame.copy()
    columns = ["std_error", "statistic", "p_value", "conf_low", "conf_high", "band_low", "band_high"]
    frame.loc[mask, [name for name in columns if name in frame]] = np.nan
    return frame
