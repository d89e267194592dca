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

With cohorts by cities g is a type, the adoption years of a pair's two cities, and the effects are ATT(g_i, g_j, t).
Pairs of another type that become treated in the same year are no controls either, so that effects of types, weighted by
their pairs, add up to those of their year. A treatment that changes twice (rules ``count``, and ``exactly_one`` of two
adopters) counts from its first change on, and averages are of years in which it is on.
Source: Callaway and Sant'Anna (2021), equations 2.4, 2.5 and 3.4 to 3.11; cells as in their R package did.
"""

from __future__ import annotations

import numpy as np

from engine.arrays import AnyIntegers, Array, Flags, Integers
from engine.errors import InputError
from engine.estimate.cohorts import Average, CohortRows, Comparisons, Partition
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.estimate.terms import Term
from engine.pairs.treatment import NEVER, Terms, event_name, year_name

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
    partition = timing.partition
    if timing.comparison.control == "never" and partition.changed[-1] < NEVER:
        raise InputError(
            "no pair of the sample is never treated, and never-treated pairs are the controls",
            where="model.options.control",
            remedy="use control: not_yet, or check treatment.rule and pairs.exclude",
        )
    rows = timing.exists[:, :, None] & kept_rows(timing)
    cells: list[Term] = []
    paths = []
    for cohort, adopted in enumerate(partition.changed[:-1].tolist()):
        members = (partition.of_classes == cohort)[:, :, None] & rows
        years = timing.years[members.any(axis=(0, 1))]
        base = _base_period(timing, adopted, years)
        omitted = years[:1] if base is None else base
        for year in years[years != omitted].tolist():
            cells.append(_cell(timing.term, partition, cohort, year))
            paths.append(members & (timing.years == year))
    if not paths:
        raise InputError(
            "every pair of the sample is of one cohort, so that none is left to compare it with",
            where="treatment",
            remedy=_CHECK,
        )
    return Terms(
        tuple(cell.name for cell in cells),
        np.stack(paths, axis=-1).astype(np.float64),
        tuple(cell.event_time for cell in cells if cell.event_time is not None),
        tuple(cell.cohort for cell in cells if cell.cohort is not None),
        tuple(cell.year for cell in cells if cell.year is not None),
    )


def kept_rows(timing: PairTiming) -> Flags:
    """All; without never-treated pairs, those before the last cohort adopts or anticipates."""
    is_kept = timing.years < timing.partition.changed[-1] - timing.comparison.anticipation
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
    places = [
        (cohort, year, base, compared)
        for cohort in np.flatnonzero(has_rows[:-1]).tolist()
        for year, base in _years_and_bases(timing, rows, cohort)
        if (compared := _controls(timing, rows, cohort, year, base)).any()
    ]
    of_cohort, at_year, at_base = (np.array([place[k] for place in places], dtype=np.int32) for k in range(3))
    adopted, years = rows.changed[of_cohort].astype(int), rows.years[at_year].astype(int)
    if not (years >= adopted).any():
        raise InputError(
            "no pair is observed after adoption beside one that is not treated yet",
            where="treatment",
            remedy=_CHECK,
        )
    partition = timing.partition
    cells = tuple(
        _cell(timing.term, partition, cohort, year)
        for cohort, year in zip(of_cohort.tolist(), years.tolist(), strict=True)
    )
    is_on = timing.treatment_of(partition)[of_cohort, at_year] > 0
    controls = np.array([compared for *_, compared in places], dtype=np.float64)
    averages = _averages(timing.term, cells, of_cohort, is_on)
    return Comparisons(cells, of_cohort, at_year, at_base, controls, averages)


def _base_period(timing: PairTiming, adopted: float, years: Array) -> float | None:
    """Last year before a cohort adopts and anticipates; None for a type of pairs that has none."""
    cohort, anticipation = int(adopted), timing.comparison.anticipation
    earlier = years[years + anticipation < adopted]
    if len(earlier):
        return float(earlier.max())
    if timing.comparison.cohorts == "cities":
        return None
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
    adopted, observed = rows.changed[cohort], np.flatnonzero(rows.is_observed[cohort])
    years = rows.years[observed]
    base_period = _base_period(timing, adopted, years)
    if base_period is None:
        return []
    base = int(observed[years == base_period][0])
    if timing.comparison.base_period == "universal":
        return [(year, base) for year in observed.tolist() if year != base]
    previous = zip(observed[1:].tolist(), observed[:-1].tolist(), strict=True)
    return [(year, base if rows.years[year] >= adopted else before) for year, before in previous]


def _controls(timing: PairTiming, rows: CohortRows, cohort: int, year: int, base: int) -> Flags:
    """``[G]`` cohorts that a cell compares with: observed in both years, treated in neither, of another year."""
    if timing.comparison.control == "never":
        is_untreated = rows.changed == NEVER
    else:
        later = max(rows.years[year], rows.years[base]) + timing.comparison.anticipation
        is_untreated = rows.changed > later
    is_other = rows.changed != rows.changed[cohort]
    return np.asarray(is_untreated & is_other & rows.is_observed[:, year] & rows.is_observed[:, base])


def _averages(term: str, cells: tuple[Term, ...], cohorts: Integers, is_on: Flags) -> tuple[Average, ...]:
    """The four averages over cells from adoption on that are treated, and one for every event year.

    ``cohorts``, ``is_on`` ``[n_cells]``: positions of the cells' cohorts, and whether their pairs are treated.
    """
    event = np.array([cell.event_time for cell in cells])
    years = np.array([cell.year for cell in cells])
    is_after = (event >= 0) & is_on

    def blocks(of_cells: AnyIntegers) -> Array:
        values = np.unique(of_cells[is_after])
        return (is_after & (of_cells == values[:, None])).astype(np.float64)

    is_shown = is_after | (event < 0)
    events = [
        Average(Term(event_name(term, time), 0, time), (is_shown & (event == time))[None].astype(np.float64))
        for time in np.unique(event[is_shown]).tolist()
    ]
    return (
        Average(Term(SIMPLE, 0), is_after[None].astype(np.float64)),
        Average(Term(GROUP, 0), blocks(cohorts), by_pairs=True),
        Average(Term(CALENDAR, 0), blocks(years)),
        Average(Term(DYNAMIC, 0), blocks(event)),
        *events,
    )


def _cell(term: str, partition: Partition, cohort: int, year: float) -> Term:
    """The term ``policy[2013][+2]`` of a cohort and year, or ``policy[2013, never][+2]`` of a type of pairs."""
    adopted = partition.changed[cohort]
    time = int(year - adopted)
    of_cohort = [adopted] if partition.cities is None else partition.cities[cohort]
    label = ", ".join(map(year_name, of_cohort))
    return Term(f"{term}[{label}][{time:+d}]", 0, time, cohort, int(year))


FUNCTIONS = EstimatorFunctions(
    cohort_year_terms,
    on_columns_and_terms,
    kept_rows=kept_rows,
    averages=AVERAGES,
    comparisons=comparisons,
)
