"""Effects of a treatment that may switch off or have doses, by year since it first changes in a pair.

Let D_p be the treatment of pair p, F_p the first year in which it differs from D_p1, that of the sample's first year,
s_p the sign of that change, and C(p, t) the pairs with the treatment of p in the first year that have not changed by t.
Against the status quo, in which the treatment of the first year goes on, the effect of event year e = 0, 1, ... is

    DID_e = mean over p of s_p DID_pe ,    DID_pe = Y_p,F+e - Y_p,F-1 - mean over C(p, F+e) of (Y_F+e - Y_F-1)

over the pairs that are observed in F + e beside some of C(p, F + e). Placebos are of the same pairs and controls as
the effect as many years after the year before the change, e = -1 - l with C(p, F - 1 + l), l = 1, 2, ... . Further,

    normalised_e            DID_e / mean over p of s_p sum_k=0..e (D_p,F+k - D_p1) ,
    average total effect    sum_e sum_p s_p DID_pe / sum_e sum_p s_p (D_p,F+e - D_p1) ,

the effect of a unit of treatment, of the event year's own and of earlier years, and that of all event years from the
change to the end of the window. Pairs count equally, and doses as estimated, like the shares of cohorts elsewhere.

A cohort is the pairs with one treatment in the first year, one year of the first change, and one path from then to the
end of the window: its dose is one number, and outcomes are compared by cohort as those of adopters are.
Source: de Chaisemartin and D'Haultfoeuille (2024), section 3; numbers as in their package did_multiplegt_dyn,
which takes the doses as fixed in its errors.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.arrays import Array, Flags, Integers
from engine.errors import InputError
from engine.estimate.cohorts import Average, CohortRows, Comparisons, Partition
from engine.estimate.estimator import EstimatorFunctions, PairTiming
from engine.estimate.estimators.twfe import on_columns_and_terms
from engine.estimate.terms import Term
from engine.pairs.treatment import NEVER, Terms, event_name, policy_paths

AVERAGE, NORMALISED = "average_total_effect", "normalised"
_BASE = -1
_CHECK = "check the adoption years, treatment.rule, pairs.exclude and years"


@dataclass(frozen=True)
class Switchers:
    """Cohorts of pairs whose treatment takes one path, G of them; the last do not change, where there are such.

    Attributes
    ----------
    partition : Partition
        The last cohort is that of classes without pairs, too.
    initial : float64 ``[G]``
        Treatment in the first year.
    doses : float64 ``[G, T]``
        Treatment less that of the first year, from the first change to the end of the window; zero elsewhere.
    """

    partition: Partition
    initial: Array
    doses: Array

    @property
    def changed(self) -> Array:
        """``[G]`` year of the first change; ``inf`` for never."""
        return self.partition.changed

    @cached_property
    def signs(self) -> Array:
        """``[G]`` of the first change; 0 for never."""
        first = (self.doses != 0).argmax(axis=1)
        return np.sign(self.doses[np.arange(len(first)), first])

    def label(self, cohort: int) -> str:
        """Year and direction of the first change: ``2013 (1 -> 0)``."""
        first = self.doses[cohort, (self.doses[cohort] != 0).argmax()]
        status_quo = self.initial[cohort]
        return f"{self.changed[cohort]:.0f} ({status_quo:g} -> {status_quo + first:g})"


def switchers_of(timing: PairTiming) -> Switchers:
    """The cohorts of a timing's pairs."""
    paths = policy_paths(timing.adoption, timing.years, timing.rule)
    changes = paths - paths[:, :, :1]
    has_changed = changes != 0
    changed = np.where(has_changed.any(axis=2), timing.years[has_changed.argmax(axis=2)], NEVER)
    is_counted = timing.years - changed[:, :, None] <= timing.window[1]
    keys = np.concatenate([changed[:, :, None], -paths[:, :, :1], np.where(is_counted, changes, 0.0)], axis=2)
    cohorts, number = np.unique(keys[timing.exists], axis=0, return_inverse=True)
    of_classes = np.full(timing.exists.shape, len(cohorts) - 1)
    of_classes[timing.exists] = number.ravel()
    return Switchers(Partition(of_classes, cohorts[:, 0], by_path=True), -cohorts[:, 1], cohorts[:, 2:])


def cohorts_of(timing: PairTiming) -> Partition:
    """Cohorts of one path each, by the years of their first change."""
    return switchers_of(timing).partition


def reported_names(treatment: str, window: tuple[int, int]) -> tuple[str, ...]:
    """The average total effect, the event years of the window but the base, and the normalised effects."""
    return (
        AVERAGE,
        *(event_name(treatment, time) for time in _event_times(window)),
        *(event_name(NORMALISED, time) for time in range(window[1] + 1)),
    )


def cohort_year_terms(timing: PairTiming) -> Terms:
    """Dummies of every cohort but the last in every year but the first: regressors of cohort means.

    Raises
    ------
    InputError
        Where the window lacks the year of the first change, no pair of the sample changes, or an event year has no
        pairs beside controls.
    """
    low, high = timing.window
    if not low <= 0 <= high:
        raise InputError(
            f"the window [{low}, {high}] leaves out event year 0, in which a pair's treatment first changes",
            where="model.window",
            remedy="begin it at 0 or earlier, and end it at 0 or later",
        )
    switchers = switchers_of(timing)
    n_cohorts, n_years = switchers.doses.shape
    comparisons(
        timing, CohortRows(timing.years, switchers.partition, np.ones((n_cohorts, n_years), dtype=bool))
    )
    years = timing.years.astype(int).tolist()
    numbers = np.arange(n_cohorts - 1)[:, None, None]
    members = (switchers.partition.of_classes == numbers) & timing.exists  # [G - 1, H, H]
    is_year = np.eye(n_years)[:, 1:]
    table = np.einsum("ghk,ty->hktgy", members.astype(np.float64), is_year)
    return Terms(
        tuple(
            f"{timing.term}[path {cohort}][{year}]" for cohort in range(n_cohorts - 1) for year in years[1:]
        ),
        table.reshape(*timing.exists.shape, n_years, -1),
        cohorts=tuple(cohort for cohort in range(n_cohorts - 1) for _ in years[1:]),
        years=tuple(years[1:]) * (n_cohorts - 1),
    )


def comparisons(timing: PairTiming, rows: CohortRows) -> Comparisons:
    """The cells of cohorts that change and have controls, and what is reported of them.

    Raises
    ------
    InputError
        Where no pair changes, none has controls, or an event year of the window has no cell.
    """
    switchers = switchers_of(timing)
    is_there = rows.is_observed.any(axis=1) & np.isfinite(switchers.changed)
    if not is_there.any():
        raise InputError(
            f"the treatment of no pair of the sample changes after {timing.years[0]:.0f}",
            where="treatment",
            remedy=_CHECK,
        )
    present = np.flatnonzero(is_there)
    cells = [cell for cohort in present.tolist() for cell in _cells(timing, rows, switchers, cohort)]
    _refuse_unreached(timing, {cell.event_time for cell in cells})
    of_cohort, events, at_year, at_base = np.array([cell.places for cell in cells], dtype=np.int32).T
    compared = switchers.signs[of_cohort], switchers.doses[of_cohort]
    return Comparisons(
        tuple(cell.term(timing.term) for cell in cells),
        of_cohort,
        at_year,
        at_base,
        np.array([cell.controls for cell in cells], dtype=np.float64),
        _averages(timing, events, *compared, at_year),
        left_out=tuple(dict.fromkeys(map(switchers.label, np.setdiff1d(present, of_cohort).tolist()))),
    )


@dataclass(frozen=True)
class _Cell:
    """A cohort at an event year: positions of its year and of the base, and the cohorts ``[G]`` it is compared with."""

    cohort: int
    event_time: int
    year: int
    base: int
    controls: Flags

    @property
    def places(self) -> tuple[int, int, int, int]:
        """Cohort, event year, and positions of its year and of the base."""
        return self.cohort, self.event_time, self.year, self.base

    def term(self, treatment: str) -> Term:
        """Term of the effect."""
        name = f"{treatment}[path {self.cohort}][{self.event_time:+d}]"
        return Term(name, 0, self.event_time, self.cohort)


def _cells(timing: PairTiming, rows: CohortRows, switchers: Switchers, cohort: int) -> Iterator[_Cell]:
    """The event years at which a cohort and its controls are observed."""
    changed, place = (
        switchers.changed[cohort],
        {year: position for position, year in enumerate(rows.years.tolist())},
    )
    base = place.get(changed + _BASE)
    for time in _event_times(timing.window):
        until = changed + max(time, 2 * _BASE - time)  # a placebo mirrors the effect as far from the base
        year = place.get(changed + time)
        if base is None or year is None or until not in place:
            continue
        is_observed = rows.is_observed[:, year] & rows.is_observed[:, base]
        is_unchanged = switchers.changed > until
        if timing.comparison.control == "never":
            is_unchanged = np.isinf(switchers.changed)
        controls = is_observed & is_unchanged & (switchers.initial == switchers.initial[cohort])
        if is_observed[cohort] and controls.any():
            yield _Cell(cohort, time, year, base, controls)


def _refuse_unreached(timing: PairTiming, reached: set[int]) -> None:
    """Raises InputError where no cohort has controls, or none has at an event year of the window."""
    first, last = timing.years[0], timing.years[-1]
    if 0 not in reached:
        never = timing.comparison.control == "never"
        raise InputError(
            f"no pair whose treatment changes is beside one with the same treatment in {first:.0f} that "
            f"{'never changes' if never else 'changes later or never'}",
            where="model.options.control" if never else "treatment",
            remedy="use control: not_yet, or check treatment.rule and pairs.exclude" if never else _CHECK,
        )
    missing = [time for time in _event_times(timing.window) if time not in reached]
    if missing:
        names = ", ".join(event_name(timing.term, time) for time in missing)
        raise InputError(
            f"no pair is observed at {names} and at {event_name(timing.term, _BASE)} within {first:.0f} to {last:.0f} "
            "beside pairs with the same treatment in the first year that has not changed by then",
            where="model.window",
            remedy="narrow the window to event years with controls; a placebo needs those of the effect as many years "
            "after the base",
        )


def _event_times(window: tuple[int, int]) -> tuple[int, ...]:
    """Event years of the window but the base."""
    return tuple(time for time in range(window[0], window[1] + 1) if time != _BASE)


def _averages(
    timing: PairTiming, events: Integers, signs: Array, doses: Array, at_year: Integers
) -> tuple[Average, ...]:
    """Reported terms, of cells with these event years, signs, paths ``[n_cells, T]`` and positions of years."""
    is_after = events >= 0
    cells = np.arange(len(events))
    dose = signs * doses[cells, at_year]
    cumulative = signs * doses.cumsum(axis=1)[cells, at_year]

    def of_event_year(name: str, time: int, divisors: Array, event_time: int | None = None) -> Average:
        is_time = events == time
        term = Term(event_name(name, time), 0, event_time)
        return Average(term, (signs * is_time)[None], divisors=(divisors * is_time)[None])

    return (
        Average(Term(AVERAGE, 0), (signs * is_after)[None], divisors=dose[None]),
        *(
            of_event_year(timing.term, time, np.ones(len(events)), time)
            for time in _event_times(timing.window)
        ),
        *(of_event_year(NORMALISED, time, cumulative) for time in range(timing.window[1] + 1)),
    )


FUNCTIONS = EstimatorFunctions(
    cohort_year_terms,
    on_columns_and_terms,
    comparisons=comparisons,
    cohorts=cohorts_of,
    reported_names=reported_names,
)
