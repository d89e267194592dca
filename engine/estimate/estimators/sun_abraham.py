"""Interaction-weighted event study: a dummy of every cohort and event year, averaged over cohorts by their rows.

    b_l = sum_c w_cl b_cl,   w_cl = rows of cohort c at event year l / rows of all cohorts at l

A cohort is the adoption year of a pair's treatment. The reference are pairs that are never treated; without them the
last cohort, and rows from its adoption on are left out. As in fixest and pyfixest, errors by pair and two-way city take
the weights as fixed; those of city influences and of samples without cities have the cities' part in them.
Source: Sun and Abraham (2021), equations 27 to 29.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.event_study import rows_in_window
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.estimate.terms import Term
from engine.pairs.treatment import NEVER, Terms, event_name, event_paths


def cohort_terms(timing: PairTiming) -> Terms:
    """Dummies of the event years of the window, each of one cohort, where a pair of the sample has both.

    Raises
    ------
    InputError
        Where a cohort is not seen in the reference period, or there is no cohort beside the reference.
    """
    events, _ = event_paths(
        timing.adopted, timing.years, term=timing.term, base=timing.base, window=timing.window
    )
    rows = timing.exists[:, :, None] & kept_rows(timing)
    names, paths, times = [], [], []
    for cohort in _cohorts(timing):
        members = timing.adopted == cohort
        in_base = np.clip(timing.years - cohort, *timing.window) == timing.base
        if not (rows[members] & in_base).any():
            raise InputError(
                f"pairs that adopt in {cohort:.0f} are not observed in the reference period {timing.base:+d}",
                where="model.base",
                remedy="choose another model.base, begin years earlier, or leave out the cities that adopt then",
            )
        for number, time in enumerate(events.event_times):
            path = events.table[..., number] * members[:, :, None]
            if path[rows].any():
                names.append(f"{timing.term}[{cohort:.0f}][{time:+d}]")
                paths.append(path)
                times.append(time)
    if not paths:
        raise InputError(
            "every pair of the sample is of one cohort, so that none is left to compare it with",
            where="treatment",
            remedy="check the adoption years, treatment.rule and pairs.exclude",
        )
    return Terms(tuple(names), np.stack(paths, axis=-1), tuple(times))


def kept_rows(timing: PairTiming) -> Flags:
    """Those of an event study; without never-treated pairs, before the last cohort adopts."""
    last = timing.adopted[timing.exists].max()
    return rows_in_window(timing) & (timing.years < last)


def average_over_cohorts(name: str, terms: tuple[Term, ...], rows: Array) -> tuple[tuple[Term, ...], Array]:
    """A term an event year, and the weights of its cohorts, by their rows at it."""
    times = np.array([term.event_time for term in terms])
    event_times = np.unique(times)
    weights = np.where(times == event_times[:, None], rows, 0.0)
    reported = tuple(Term(event_name(name, time), terms[0].path_set, time) for time in event_times.tolist())
    return reported, weights / weights.sum(axis=1, keepdims=True)


def _cohorts(timing: PairTiming) -> Array:
    """Adoption years of the sample's pairs but the reference's."""
    adopted = np.unique(timing.adopted[timing.exists])
    return adopted[:-1][adopted[:-1] < NEVER]


FUNCTIONS = EstimatorFunctions(
    cohort_terms, on_columns_and_terms, kept_rows=kept_rows, combination=average_over_cohorts
)
