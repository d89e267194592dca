"""Effects that differ by cohort and grow: whether estimators find theirs, and how often intervals and bands have them.

Fifty cities, ten years, pairs of two adopters excluded; which cities adopt is dealt at random. The outcome of a pair of
an adopter of year g and a city that never adopts rises, l years after adoption, by

    effect(g, l) = 0.3 (1.5 - 0.1 (g - 2015)) (1 + 0.3 min(l, 4))

Every term has the average of these that its estimator states (`true_values`), from counts of pairs alone.

Run: make truth     (rewrites heterogeneous_effects.md too; half an hour on two cores)
"""

from __future__ import annotations

import argparse
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import truth_worlds
import worlds
from estimator_trial import estimate, simulated_cell
from processes_of_panels import in_processes

from engine.report.outputs.joint_tests import BEFORE
from engine.spec import Cell
from engine.stages.frames import estimates_frame, event_study_frame
from engine.stages.joint_tests import joint_frame

Array = np.ndarray[Any, np.dtype[np.float64]]

PAGE = Path(__file__).with_name("heterogeneous_effects.md")
PANELS, SHARE, LEVEL = 2000, 50, 0.05
DESIGNS = ("V1", "V2")
COUNTS = (6, 5, 5, 4)
"""Cities that adopt in each of the years of `worlds.COHORTS`."""
N_CITIES = 50
YEARS = [int(year) for year in worlds.YEARS]
COHORTS = [int(year) for year in worlds.COHORTS]
CONTROLS = (
    (N_CITIES - sum(COUNTS)) * (N_CITIES - sum(COUNTS) - 1) // 2
)  # pairs of two cities that never adopt
PAIRS = {year: count * (N_CITIES - sum(COUNTS)) for year, count in zip(COHORTS, COUNTS, strict=True)}
"""Pairs of an adopter of a year and a city that never adopts."""

TWFE, EVENT_STUDY = "TWFE", "event study"
MODELS: dict[str, dict[str, Any]] = {
    TWFE: {"estimator": "twfe"},
    EVENT_STUDY: {"estimator": "event_study", "window": [-3, 4]},
    "Sun-Abraham": {"estimator": "sun_abraham", "window": [-3, 4]},
    "Callaway-Sant'Anna": {"estimator": "callaway_santanna", "options": {"base_period": "universal"}},
    "extended TWFE": {"estimator": "extended_twfe", "window": [0, 4]},
    "imputation": {"estimator": "imputation", "window": [-3, 4]},
    "stacked": {"estimator": "stacked", "window": [-2, 1]},
    "local projection": {"estimator": "local_projection", "window": [-2, 1]},
    "de Chaisemartin-D'Haultfoeuille": {"estimator": "de_chaisemartin", "window": [-3, 4]},
}


def effect(cohort: int, since: int) -> float:
    """Of a pair, so many years after its adoption; zero before it."""
    return 0.3 * (1.5 - 0.1 * (cohort - 2015)) * (1 + 0.3 * min(since, 4)) if since >= 0 else 0.0


def mean_effect(cells: list[tuple[int, int]], weights: dict[int, float] | None = None) -> float:
    """Of cohorts and years since adoption, by their pairs unless weights of cohorts are given."""
    by_cohort = PAIRS if weights is None else weights
    total = sum(by_cohort[cohort] for cohort, _ in cells)
    return sum(by_cohort[cohort] * effect(cohort, since) for cohort, since in cells) / total


def true_value(model: str, term: str) -> float:
    """The average of effects that an estimator states for a term."""
    last = YEARS[-1]
    treated = [(cohort, since) for cohort in COHORTS for since in range(last - cohort + 1)]
    of_cohorts = {cohort: mean_effect([cell for cell in treated if cell[0] == cohort]) for cohort in COHORTS}
    of_years = [
        mean_effect([(cohort, year - cohort) for cohort in COHORTS if cohort <= year])
        for year in range(COHORTS[0], last + 1)
    ]
    of_event_years = [
        mean_effect([cell for cell in treated if cell[1] == since]) for since in range(last - COHORTS[0] + 1)
    ]
    named = {
        "policy": mean_effect(treated),
        "simple": mean_effect(treated),
        "average_total_effect": mean_effect(treated),
        "group": sum(PAIRS[cohort] * of_cohorts[cohort] for cohort in COHORTS) / sum(PAIRS.values()),
        "calendar": float(np.mean(of_years)),
        "dynamic": float(np.mean(of_event_years)),
    }
    if term in named:
        return named[term]
    matched = re.fullmatch(r"(policy|normalised)\[([+-]\d+)\]", term)
    assert matched is not None, term
    since = int(matched[2])
    if since < 0:
        return 0.0
    if matched[1] == "normalised":  # by the years of treatment so far
        return of_event_years[since] / (since + 1)
    reached = [(cohort, since) for cohort in COHORTS if cohort + since <= last]
    if model == "stacked":  # cohorts that are seen in all of the window
        return mean_effect([cell for cell in reached if cell[0] + MODELS[model]["window"][1] <= last])
    if model == "local projection":  # by the variance of treatment among new adopters and clean controls
        weights = {}
        for cohort, _ in reached:
            clean = CONTROLS + sum(PAIRS[later] for later in COHORTS if later > cohort + since)
            weights[cohort] = PAIRS[cohort] * clean / (PAIRS[cohort] + clean)
        return mean_effect(reached, weights)
    return of_event_years[since]


def panel(design: str, number: int) -> worlds.Panel:
    """A panel of a design of `truth_worlds`, with effects; a function of its name and number alone."""
    rng = np.random.default_rng([DESIGNS.index(design), 18, number])
    dealt = np.repeat(np.arange(5, dtype=np.int32), [*COUNTS, N_CITIES - sum(COUNTS)])
    classes = rng.permutation(dealt)
    outcome = truth_worlds.DESIGNS[design].outcome(rng, classes < len(COUNTS))
    of_classes = np.array(
        [[effect(cohort, year - cohort) for year in YEARS] for cohort in COHORTS] + [[0.0] * len(YEARS)]
    )
    # Pairs of two adopters, whose effect this is not, leave the sample.
    first, second = worlds.pairs_of(N_CITIES)
    return worlds.Panel(classes, outcome + of_classes[np.minimum(classes[first], classes[second])])


@cache
def cell_of(model: str) -> Cell:
    """Of a job with the default error."""
    return simulated_cell(MODELS[model], ["dyadic_cr2"], {})


@dataclass(frozen=True)
class Found:
    """Results of an estimator on n panels of a design.

    Attributes
    ----------
    terms : tuple of str
    estimates : float64 ``[n, K]``
    covered : float64 ``[n, K]``
        Whether the 95% interval has the true value.
    together : float64 ``[n]``
        Whether the band over all event years has all of their true values; NaN without event years.
    lead_p : float64 ``[n]``
        p-values of the joint test of the event years before adoption; NaN without two.
    """

    terms: tuple[str, ...]
    estimates: Array
    covered: Array
    together: Array
    lead_p: Array

    def joined(self, later: Found) -> Found:
        """These panels and more."""
        assert self.terms == later.terms
        pairs = ((getattr(self, name), getattr(later, name)) for name in _PARTS)
        return Found(self.terms, *(np.concatenate(parts) for parts in pairs))


_PARTS = ("estimates", "covered", "together", "lead_p")


def found(model: str, design: str, first: int, count: int) -> Found:
    """Of some panels of a design."""
    return joined([_of_panel(model, design, number) for number in range(first, first + count)])


def joined(parts: list[Found]) -> Found:
    """Of all their panels."""
    whole = parts[0]
    for part in parts[1:]:
        whole = whole.joined(part)
    return whole


def _of_panel(model: str, design: str, number: int) -> Found:
    estimated = [estimate(panel(design, number), cell_of(model))]
    rows = estimates_frame(estimated, "truth")
    true = rows["term"].map(lambda term: true_value(model, term)).to_numpy(dtype=float)
    events, together = event_study_frame(estimated, rows), np.nan
    if len(events):
        of_events = events["term"].map(lambda term: true_value(model, term)).to_numpy(dtype=float)
        has_them = (events["band_low"] <= of_events) & (of_events <= events["band_high"])
        together = float(has_them.all())
    joint = joint_frame(estimated, "truth")
    leads = joint[joint["test"] == BEFORE]
    return Found(
        tuple(rows["term"]),
        rows["estimate"].to_numpy()[None],
        ((rows["conf_low"] <= true) & (true <= rows["conf_high"])).to_numpy(dtype=float)[None],
        np.array([together]),
        np.array([leads["p_value"].iloc[0] if len(leads) else np.nan]),
    )


def simulated(panels: int = PANELS) -> dict[tuple[str, str], Found]:
    """Of every estimator and design."""
    cases = [(model, design) for model in MODELS for design in DESIGNS]
    tasks = [
        (*case, start, min(SHARE, panels - start)) for case in cases for start in range(0, panels, SHARE)
    ]
    parts = in_processes(found, tasks)
    return {
        case: joined([part for task, part in zip(tasks, parts, strict=True) if task[:2] == case])
        for case in cases
    }


@dataclass(frozen=True)
class Line:
    """A line of the page: of the terms of an estimator.

    Attributes
    ----------
    bias : float
        The farthest mean from the true value, in Monte Carlo standard errors.
    least, most : float
        Coverage of the intervals, in %.
    together, size : float
        Coverage of the band, and rejections of parallel trends at the 5% level, in %; NaN where there are none. A test
        needs as many degrees of freedom as there are leads.
    """

    bias: float
    least: float
    most: float
    together: float
    size: float

    @classmethod
    def of(cls, model: str, of_panels: Found) -> Line:
        true = np.array([true_value(model, term) for term in of_panels.terms])
        error = of_panels.estimates.std(axis=0, ddof=1) / np.sqrt(len(of_panels.estimates))
        bias = np.abs(of_panels.estimates.mean(axis=0) - true) / error
        coverage = 100 * of_panels.covered.mean(axis=0)
        tested = ~np.isnan(of_panels.lead_p)
        rejected = float((of_panels.lead_p[tested] <= LEVEL).sum()) / max(int(tested.sum()), 1)
        return cls(
            float(bias.max()),
            float(coverage.min()),
            float(coverage.max()),
            100 * float(of_panels.together.mean()),
            100 * rejected if tested.any() else np.nan,
        )


def page(lines: dict[tuple[str, str], Line], panels: int) -> str:
    """The table as Markdown."""
    header = ["estimator", "design", "bias", "least", "most", "band", "leads"]
    table = ["| " + " | ".join(header) + " |", "| --- | --- |" + " ---: |" * (len(header) - 2)]
    for (model, design), line in lines.items():
        cells = [f"{value:.1f}" if np.isfinite(value) else "" for value in vars(line).values()]
        table.append(f"| {model} | {design} | {' | '.join(cells)} |")
    rows, error = "\n".join(table), 100 * np.sqrt(LEVEL * (1 - LEVEL) / panels)
    return f"""\
# Effects that differ by cohort and grow

Written by `make truth`: {panels:,} panels of {N_CITIES} cities, of which {", ".join(map(str, COUNTS))} adopt in
{", ".join(map(str, COHORTS))}; ten years, designs V1 and V2 of [truth.md](truth.md), pairs of two adopters excluded.
The effect on a pair is 0.3 (1.5 - 0.1 (g - 2015)) (1 + 0.3 min(l, 4)), l years after adoption in g. The true value of a
term is the average of these that the estimator states. `bias`: the farthest mean estimate from it, in Monte Carlo
standard errors of its own; `least`, `most`: coverage of the terms' 95 % intervals under `dyadic_cr2`, in %; `band`:
coverage of the simultaneous band of all event years; `leads`: rejections of parallel trends, which hold, at the 5 %
level. Monte Carlo standard error at 5 or 95 %: {error:.1f} points.

{rows}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--panels", type=int, default=PANELS)
    panels = parser.parse_args().panels
    lines = {case: Line.of(case[0], of_panels) for case, of_panels in simulated(panels).items()}
    PAGE.write_text(page(lines, panels), encoding="utf-8")


if __name__ == "__main__":
    main()
