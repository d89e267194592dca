"""Extended two-way fixed effects: a dummy of every cohort and year from adoption on, averaged over cohorts by rows.

    b_l = sum_c w_cl b_c,c+l ,   w_cl = rows of cohort c at event year l / rows of all cohorts at l

A cohort is the adoption year of a pair's treatment. Rows before adoption and never-treated pairs identify pair and year
effects alone, so that no treated row is a control of another. Without controls and without missing rows the estimates
are those of the imputation estimator of Borusyak, Jaravel and Spiess (2024). Where every pair is treated in the end,
rows from the last cohort's adoption on have no control and are left out. Errors by pair and two-way city take the
weights as fixed. Source: Wooldridge (2021), equations 6.33 and 6.37.
"""

from __future__ import annotations

import numpy as np

from engine.errors import InputError
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.sun_abraham import average_over_cohorts, kept_rows
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.pairs.treatment import NEVER, Terms


def cohort_year_terms(timing: PairTiming) -> Terms:
    """Dummies of the years from adoption on, each of one cohort; event years beyond the window count as its last.

    Raises
    ------
    InputError
        Where a cohort is treated in all its years, no pair has a year after adoption, or the window ends before it.
    """
    if timing.window[1] < 0:
        raise InputError(
            f"the window ends {-timing.window[1]} years before adoption, and the effects are those from it on",
            where="model.window",
            remedy="end the window at 0 or later",
        )
    rows = timing.exists[:, :, None] & kept_rows(timing)
    names, paths, times = [], [], []
    for cohort in np.unique(timing.adopted[timing.exists & (timing.adopted < NEVER)]):
        members = (timing.adopted == cohort)[:, :, None] & rows
        before, after = members & (timing.years < cohort), members & (timing.years >= cohort)
        if after.any() and not before.any():
            raise InputError(
                f"pairs that adopt in {cohort:.0f} are not observed before they do",
                where="treatment",
                remedy="ends: drop leaves out the years before the window: begin it earlier, or use ends: bin"
                if timing.ends == "drop"
                else "begin years earlier, or leave out the cities that adopt then",
            )
        for place in np.flatnonzero(after.any(axis=(0, 1))):
            since = int(timing.years[place] - cohort)
            names.append(f"{timing.term}[{cohort:.0f}][{since:+d}]")
            paths.append(after & (np.arange(len(timing.years)) == place))
            times.append(min(since, timing.window[1]))
    if not paths:
        raise InputError(
            "no pair is observed after adoption beside one that is not treated yet",
            where="treatment",
            remedy="check the adoption years, treatment.rule, pairs.exclude and years",
        )
    return Terms(tuple(names), np.stack(paths, axis=-1).astype(np.float64), tuple(times))


FUNCTIONS = EstimatorFunctions(
    cohort_year_terms, on_columns_and_terms, kept_rows=kept_rows, combination=average_over_cohorts
)
