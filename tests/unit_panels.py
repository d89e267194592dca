"""Estimators that compare cohorts on a panel of units in place of pairs: each unit is one pair of a city of its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from engine.estimate.cohort_effects import cohort_effects
from engine.estimate.cohorts import CohortRows
from engine.estimate.estimator import Comparison, PairTiming
from engine.estimate.estimators import ESTIMATORS
from engine.estimate.gradient import differentiate_sums
from engine.pairs.treatment import Adoption

Array = np.ndarray[Any, np.dtype[Any]]


def effects_of_units(y: Array, adopted: Array, years: Array, **options: Any) -> pd.DataFrame:
    """Estimate and standard error, clustered by unit without a small-sample factor, by name.

    Parameters
    ----------
    y : ``[n, T]``
    adopted : ``[n]``
        Inf for never.
    years : ``[T]``
    options
        Of `Comparison`.
    """
    cohorts = np.unique(np.append(adopted, np.inf))
    classes = np.searchsorted(cohorts, adopted)
    of_cities = np.zeros((2, len(y), len(cohorts), 1 + len(years)))
    within = y - y.mean(axis=1, keepdims=True)
    of_cities[0, np.arange(len(y)), classes] = np.concatenate([np.ones((len(y), 1)), within], axis=1)
    timing = PairTiming(
        adoption=Adoption(cohorts, classes.astype(np.int32)),
        exists=np.isinf(cohorts[:, None]) | np.isinf(cohorts),
        years=years.astype(float),
        rule="exactly_one",
        term="policy",
        comparison=Comparison(**options),
    )
    functions = ESTIMATORS["callaway_santanna"].functions
    functions.paths(timing)  # refuses what has no comparison
    assert functions.comparisons is not None
    observed = np.ones((len(cohorts), len(years)), dtype=bool)
    comparisons = functions.comparisons(timing, CohortRows(timing.years, timing.partition, observed))
    effects = differentiate_sums(cohort_effects, comparisons.arrays(), of_cities)
    errors = np.sqrt((effects.city_first**2).sum(axis=0))
    names = [term.name for term in comparisons.terms]
    # An average and a cell may have one name: `policy[+0]` and `policy[2004][+0]` differ.
    return pd.DataFrame({"estimate": effects.values, "std_error": errors}, index=names)
