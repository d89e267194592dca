"""Effects by cohort and year, each from a comparison of its own with pairs that are not treated, and their averages.

    ATT(g, t) = (m[g, t] - m[g, s]) - (m[C, t] - m[C, s])

m is the mean outcome of a cohort g, the pairs that become treated in one year, and of the controls C: never-treated
pairs, or all that are not treated by t (nor by s) and the years of anticipation after it. From adoption on s is the
last year before adoption and anticipation; before it, too, under a universal base period, and the previous year under
a varying one. Averages over the cells from adoption on weigh cohorts by their pairs, which count as estimated:

    simple      all cells
    group       the mean over the years of each cohort, then over cohorts
    calendar    over the cohorts of each year, then the mean over years
    dynamic     over the cohorts of each event year, then the mean over event years

Without never-treated pairs the last cohort is never treated in the rows, which end before it adopts or anticipates.
Source: Callaway and Sant'Anna (2021), equations 2.4, 2.5 and 3.4 to 3.11; cells as in their R package did.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import Array, Flags
from engine.errors import InputError
from engine.estimate.cohorts import Average, CohortRows, Comparisons
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.estimate.terms import Term
from engine.pairs.treatment import NEVER, Terms, event_name

SIMPLE, GROUP, CALENDAR, DYNAMIC = AVERAGES = ("simple", "group", "calendar", "dynamic")
_CHECK = "check the adoption years, treatment.rule, pairs.exclude and years"


def cohort_year_terms(timing: PairTiming) -> Terms:
    """Dummies of every cohort and year but the base period and those of the reference: regressors of cohort means.

    Raises
    ------
    InputError
        Where never-treated pairs are the controls and there are none, there is no cohort beside the reference, or one
        has no year before adoption and anticipation.
    """
    cohorts, reference = timing.cohorts, timing.cohorts.max()
    if timing.comparison.control == "never" and reference < NEVER:
        raise InputError(
            "no pair of the sample is never treated, and never-treated pairs are the controls",
            where="model.options.control",
            remedy="use control: not_yet, or check treatment.rule and pairs.exclude",
        )
    rows = timing.exists[:, :, None] & kept_rows(timing)
    names, paths, times, of_cohorts = [], [], [], []
    for cohort in np.unique(cohorts[cohorts < reference]).astype(int).tolist():
        members = (cohorts == cohort)[:, :, None] & rows
        years = timing.years[members.any(axis=(0, 1))]
        base = _base_period(cohort, years, timing.comparison.anticipation)
        for year in years[years != base].astype(int).tolist():
            names.append(_cell_name(timing.term, cohort, year))
            paths.append(members & (timing.years == year))
            times.append(year - cohort)
            of_cohorts.append(cohort)
    if not paths:
        raise InputError(
            "every pair of the sample is of one cohort, so that none is left to compare it with",
            where="treatment",
            remedy=_CHECK,
        )
    return Terms(tuple(names), np.stack(paths, axis=-1).astype(np.float64), tuple(times), tuple(of_cohorts))


def kept_rows(timing: PairTiming) -> Flags:
    """All; without never-treated pairs, those before the last cohort adopts or anticipates."""
    is_kept = timing.years < timing.cohorts.max() - timing.comparison.anticipation
    return np.broadcast_to(is_kept, (*timing.exists.shape, len(timing.years)))


def comparisons(timing: PairTiming, rows: CohortRows) -> Comparisons:
    """The cells that some controls identify, and their averages.

    Raises
    ------
    InputError
        Where there are no pairs of the reference, or no cell from adoption on.
    """
    has_rows = np.asarray(rows.is_observed.any(axis=1))
    if not has_rows[-1]:
        raise InputError(
            "the filters of pairs leave none that is never treated to compare with",
            where="pairs",
            remedy="check pairs.gravity, pairs.split and treatment.rule",
        )
    places, controls = [], []
    for cohort in np.flatnonzero(has_rows[:-1]).tolist():
        for year, base in _years_and_bases(timing, rows, cohort):
            compared = _controls(timing, rows, cohort, year, base)
            if compared.any():
                places.append((cohort, year, base))
                controls.append(compared)
    of_cohort, at_year, at_base = np.array(places, dtype=np.int32).reshape(-1, 3).T
    adopted, years = rows.adopted[of_cohort].astype(int), rows.years[at_year].astype(int)
    if not (years >= adopted).any():
        raise InputError(
            "no pair is observed after adoption beside one that is not treated yet",
            where="treatment",
            remedy=_CHECK,
        )
    cells = tuple(
        Term(_cell_name(timing.term, cohort, year), 0, year - cohort, cohort)
        for cohort, year in zip(adopted.tolist(), years.tolist(), strict=True)
    )
    return Comparisons(
        cells,
        of_cohort,
        at_year,
        at_base,
        np.array(controls, dtype=np.float64),
        _averages(timing.term, adopted, years),
    )


def _base_period(cohort: int, years: Array, anticipation: int) -> float:
    """Last year before a cohort adopts and anticipates."""
    earlier = years[years + anticipation < cohort]
    if len(earlier):
        return float(earlier.max())
    if not anticipation:
        raise InputError(
            f"pairs that adopt in {cohort} are not observed before they do",
            where="treatment",
            remedy="begin years earlier, or leave out the cities that adopt then",
        )
    raise InputError(
        f"pairs that adopt in {cohort} are not observed before {cohort - anticipation}, when effects may begin",
        where="model.options.anticipation",
        remedy="shorten it, begin years earlier, or leave out the cities that adopt then",
    )


def _years_and_bases(timing: PairTiming, rows: CohortRows, cohort: int) -> list[tuple[int, int]]:
    """Positions of the years of a cohort's cells, and of their base periods."""
    adopted, observed = rows.adopted[cohort], np.flatnonzero(rows.is_observed[cohort])
    years = rows.years[observed]
    base_period = _base_period(int(adopted), years, timing.comparison.anticipation)
    base = int(observed[years == base_period][0])
    if timing.comparison.base_period == "universal":
        return [(year, base) for year in observed.tolist() if year != base]
    previous = zip(observed[1:].tolist(), observed[:-1].tolist(), strict=True)
    return [(year, base if rows.years[year] >= adopted else before) for year, before in previous]


def _controls(timing: PairTiming, rows: CohortRows, cohort: int, year: int, base: int) -> Flags:
    """``[G]`` cohorts that a cell compares with: observed in both years, and treated in neither."""
    if timing.comparison.control == "never":
        is_untreated = rows.adopted == NEVER
    else:
        later = max(rows.years[year], rows.years[base]) + timing.comparison.anticipation
        is_untreated = rows.adopted > later
    is_other = np.arange(len(rows.adopted)) != cohort
    return np.asarray(is_untreated & is_other & rows.is_observed[:, year] & rows.is_observed[:, base])


def _averages(term: str, adopted: Array, years: Array) -> tuple[Average, ...]:
    """The four averages over cells from adoption on, and one for every event year."""
    is_after, event = years >= adopted, years - adopted

    def blocks(of_cells: Array) -> Array:
        values = np.unique(of_cells[is_after])
        return (is_after & (of_cells == values[:, None])).astype(np.float64)

    events = [
        Average(Term(event_name(term, time), 0, time), (event == time)[None].astype(np.float64))
        for time in np.unique(event).tolist()
    ]
    return (
        Average(Term(SIMPLE, 0), is_after[None].astype(np.float64)),
        Average(Term(GROUP, 0), blocks(adopted), by_pairs=True),
        Average(Term(CALENDAR, 0), blocks(years)),
        Average(Term(DYNAMIC, 0), blocks(event)),
        *events,
    )


def _cell_name(term: str, cohort: int, year: int) -> str:
    return f"{term}[{cohort}][{year - cohort:+d}]"


FUNCTIONS = EstimatorFunctions(
    cohort_year_terms,
    on_columns_and_terms,
    kept_rows=kept_rows,
    averages=AVERAGES,
    comparisons=comparisons,
)
