"""Stacked difference-in-differences: sub-experiments of equal length, with corrective weights.

Cohort g and its clean controls, pairs not treated by the end of the window around g, make a sub-experiment; cohorts
whose window the sample does not hold have none. On all of them, one upon the other, the outcome is regressed on
treatment, event-year dummies and their interaction, where adopters count 1 and controls of g

    Q_g = (adopters of g / all adopters) / (controls of g / all controls)

so that each coefficient is the average of the sub-experiments over adopters, in every event year the same ones. Errors
take the weights as fixed, as that regression does.
Source: Wing, Freedman and Hollingsworth (2024), Stacked difference-in-differences, NBER working paper 32054.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.arrays import Flags
from engine.errors import InputError
from engine.estimate.clean_controls import clean_comparisons, cohort_years, shown_event_times
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.pairs.treatment import Terms


def stacked_terms(timing: PairTiming) -> Terms:
    """Cohorts by year, of which those with a sub-experiment are compared.

    Raises
    ------
    InputError
        Where no cohort has one.
    """
    event_times = shown_event_times(timing)
    until = np.full(len(event_times), max(timing.window[1], 0))
    comparisons = clean_comparisons(timing, event_times, until, "stacked")
    has_window: Flags = np.asarray(comparisons.in_use.all(axis=0))
    if not has_window.any():
        first, last = timing.years[0], timing.years[-1]
        low, high = timing.window
        raise InputError(
            f"no adopters have all event years from {low} to {high} within {first:.0f} to {last:.0f}, "
            "beside pairs that are not treated by the end",
            where="model.window",
            remedy="narrow the window",
        )
    return cohort_years(timing, replace(comparisons, clean=comparisons.clean & has_window[:, None]))


FUNCTIONS = EstimatorFunctions(stacked_terms, on_columns_and_terms)
