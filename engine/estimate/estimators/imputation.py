"""Imputation: pair and year effects, and slopes of controls, are fitted on untreated pair-years alone.

The effect of a treated pair-year is its outcome less the imputed one. Reported are the average over all treated rows,
``simple``, and those of event years, the ones beyond the window as its last. Leads test parallel trends: a regression
of untreated rows on dummies of the event years of the window before adoption, with the years before the window as the
reference, or where there are none the first event year that occurs. Where every pair is treated in the end, rows from
the last cohort's adoption on are left out, and it has no leads. Without controls and with all rows the effects are
those of `extended_twfe`.
Sources: Borusyak, Jaravel and Spiess (2024); Gardner (2022). Computed in `engine.estimate.two_stages`.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.extended_twfe import cohort_year_terms
from engine.estimate.estimators.sun_abraham import kept_rows
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.pairs.treatment import NEVER, Terms, event_name

SIMPLE = "simple"


def event_year_terms(timing: PairTiming) -> Terms:
    """Dummies of untreated rows by leads, and of treated rows by event years.

    Raises
    ------
    InputError
        Where a cohort is not observed before adoption, no pair is observed after it, or the window ends before it.
    """
    cells = cohort_year_terms(timing)
    of_cells = np.array(cells.event_times)
    after = {time: cells.table[..., of_cells == time].sum(axis=-1) for time in np.unique(of_cells).tolist()}
    paths = _leads(timing) | after
    names = tuple(event_name(timing.term, time) for time in paths)
    return Terms(names, np.stack(list(paths.values()), axis=-1), tuple(paths))


def _leads(timing: PairTiming) -> dict[int, Array]:
    """Dummies by event year before adoption, but the reference, of cohorts with treated rows."""
    rows = timing.exists[:, :, None] & kept_rows(timing)
    last = timing.adopted[timing.exists].max()
    has_effect = timing.adopted < min(last, NEVER)
    event = timing.years - np.where(has_effect, timing.adopted, 0.0)[:, :, None]
    is_before = rows & has_effect[:, :, None] & (event < 0)
    occurring = np.unique(event[is_before]).astype(int).tolist()
    first = timing.window[0]
    reference = occurring[0] if occurring and occurring[0] >= first else first - 1
    return {
        time: (is_before & (event == time)).astype(np.float64)
        for time in occurring
        if time >= first and time != reference
    }


FUNCTIONS = EstimatorFunctions(
    event_year_terms, on_columns_and_terms, kept_rows=kept_rows, averages=(SIMPLE,)
)
