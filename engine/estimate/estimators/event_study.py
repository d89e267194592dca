"""Event study: the outcome on controls and a dummy of each event year but the base."""

from __future__ import annotations

import numpy as np

from engine.arrays import Flags
from engine.errors import InputError
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.pairs.treatment import Terms, event_paths


def event_terms(timing: PairTiming) -> Terms:
    """Dummies of the event years of the window, see `engine.pairs.treatment.event_paths`.

    Raises
    ------
    InputError
        Where an event year is never seen.
    """
    terms, _ = _events(timing)
    occurs = np.asarray(terms.table[timing.exists].any(axis=(0, 1)))
    unseen = [name for name, present in zip(terms.names, occurs, strict=True) if not present]
    if unseen:
        raise InputError(
            f"no pair of the sample is ever observed at {', '.join(unseen)}",
            where="model.window",
            remedy="narrow the window to event years that occur",
        )
    return terms


def rows_in_window(timing: PairTiming) -> Flags:
    """All pair-years, or under ``ends: drop`` those whose event year lies in the window."""
    in_window = _events(timing)[1]
    return in_window if timing.ends == "drop" else np.ones_like(in_window)


def _events(timing: PairTiming) -> tuple[Terms, Flags]:
    return event_paths(timing.adopted, timing.years, term=timing.term, base=timing.base, window=timing.window)


FUNCTIONS = EstimatorFunctions(event_terms, on_columns_and_terms, kept_rows=rows_in_window)
