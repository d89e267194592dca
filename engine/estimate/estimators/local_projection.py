"""Local projections: at each event year, the change of new adopters less that of clean controls.

    y_p,t+l - y_p,t+base = b_l newly treated_pt + year_t + e_pt ,   rows of new adopters and of clean controls at t

Clean controls are not treated by t + max(l, 0). The coefficient weighs cohorts by the variance of treatment in their
year; with ``weights: equal`` rows of year t count 1 / (share of controls at t), so that it is the average over treated
pairs, as regression adjustment has it, and errors take those weights as fixed.
Source: Dube, Girardi, Jorda and Taylor (2025), Local projections difference-in-differences.
"""

from __future__ import annotations

import numpy as np

from engine.estimate.clean_controls import (
    clean_comparisons,
    cohort_years,
    refuse_unreached,
    shown_event_times,
)
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.pairs.treatment import Terms


def projected_terms(timing: PairTiming) -> Terms:
    """Cohorts by year, each cohort compared at the event years of the window that it reaches.

    Raises
    ------
    InputError
        Where no cohort has clean controls at an event year.
    """
    event_times = shown_event_times(timing)
    until = np.maximum(event_times, 0)
    comparisons = clean_comparisons(timing, event_times, until, timing.comparison.weights)
    refuse_unreached(timing, comparisons)
    return cohort_years(timing, comparisons)


FUNCTIONS = EstimatorFunctions(projected_terms, on_columns_and_terms)
