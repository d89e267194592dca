"""Comparisons of adopters with clean controls, as estimators choose them, and the terms that stand for cohorts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine.arrays import AnyIntegers
from engine.errors import InputError
from engine.estimate.estimator import PairTiming
from engine.pairs.clean_comparisons import CleanComparisons, CohortWeights, clean_comparisons_of
from engine.pairs.treatment import Terms, event_name

_WINDOW = "model.window"


def clean_comparisons(
    timing: PairTiming, event_times: tuple[int, ...], clean_until: AnyIntegers, weights: CohortWeights
) -> CleanComparisons:
    """Every cohort of a timing at every event year, with the controls that ``model.options.control`` allows.

    Parameters
    ----------
    timing : PairTiming
    event_times : tuple of int
    clean_until : int ``[K]``
        Years after the cohort's adoption through which its controls are not treated.
    weights : str

    Raises
    ------
    InputError
        Where the base is no year before adoption, or nobody is left to be compared with.
    """
    if timing.base >= 0:
        raise InputError(
            f"base {timing.base:+d} is no year before adoption, from which changes are taken",
            where="model.base",
            remedy="use -1, or an earlier year",
        )
    cohorts = np.unique(timing.cohorts)
    comparisons = clean_comparisons_of(
        timing.cohorts,
        cohorts,
        timing.years,
        event_times,
        base=timing.base,
        clean_until=clean_until,
        weights=weights,
    )
    if timing.comparison.control == "never":
        if not np.isinf(cohorts).any():
            raise InputError(
                "every pair of the sample is treated in the end, so that there are no never-treated pairs",
                where="model.options.control",
                remedy="use control: not_yet, or check treatment.rule and pairs.exclude",
            )
        comparisons = replace(comparisons, clean=comparisons.clean & np.isinf(cohorts))
    return comparisons


def shown_event_times(timing: PairTiming) -> tuple[int, ...]:
    """Event years of the window but the base."""
    low, high = timing.window
    return tuple(time for time in range(low, high + 1) if time != timing.base)


def refuse_unreached(timing: PairTiming, comparisons: CleanComparisons) -> None:
    """Raises InputError where no cohort has clean controls at an event year."""
    missing = np.flatnonzero(~comparisons.in_use.any(axis=1))
    if not len(missing):
        return
    names = ", ".join(event_name(timing.term, comparisons.event_times[place]) for place in missing)
    years = f"{timing.years[0]:.0f} to {timing.years[-1]:.0f}"
    raise InputError(
        f"no adopters are observed both at {names} and at {event_name(timing.term, timing.base)} within {years} "
        "beside pairs that are not treated by then",
        where=_WINDOW,
        remedy="narrow the window to event years with clean controls",
    )


def cohort_years(timing: PairTiming, comparisons: CleanComparisons) -> Terms:
    """A dummy of each cohort and year, cohort by cohort, with the comparisons of these."""
    names, paths = [], []
    is_year = np.eye(len(timing.years))
    for cohort in comparisons.cohorts:
        label = f"{cohort:.0f}" if np.isfinite(cohort) else "never"
        members = (timing.adopted == cohort) & timing.exists
        names += [f"{timing.term}[{label}][{year:.0f}]" for year in timing.years]
        paths.append(members[:, :, None, None] * is_year)
    return Terms(tuple(names), np.concatenate(paths, axis=-1), clean_comparisons=comparisons)
