"""The table of truth of estimators: how often the coefficients of each reject a true null, by kind of error.

Panels are those of the table of truth (`truth_worlds`), so that the page is the same for any number of processes.

Run: make truth     (rewrites truth_of_estimators.md too; two hours on two cores)
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import estimator_trial
import numpy as np
import trial
import truth
import truth_worlds
from processes_of_panels import in_processes
from truth import Case

from engine.infer.summary import permutation_p

Array = np.ndarray[Any, np.dtype[np.float64]]

PAGE = Path(__file__).with_name("truth_of_estimators.md")
CITIES = (20, 30, 50)
SHARE = 50


@dataclass(frozen=True)
class Sizes:
    """Shares of a case's panels, and coefficients, in which a true null is rejected.

    Attributes
    ----------
    errors : float64 ``[ESTIMATORS, KINDS]``
    permutation : float
        By the studentised permutation of adoption, of the two-way fixed-effects coefficient.
    """

    errors: Array
    permutation: float


def cases() -> list[Case]:
    """The main designs, with usual and few adopters."""
    return [
        Case(design, cities, adopters)
        for design in truth.MAIN
        for adopters in truth_worlds.ADOPTERS
        for cities in CITIES
    ]


def rejections(case: Case, first: int, count: int) -> Array:
    """``[count, ESTIMATORS * KINDS + 1]`` of some panels of a case; the permutation last."""
    return np.array([_of_panel(case, number) for number in range(first, first + count)])


def _of_panel(case: Case, number: int) -> Array:
    shares = estimator_trial.shares(case.design, case.cities, case.adopters, number)
    panel = truth_worlds.panel(case.design, case.cities, case.adopters, number)
    statistic = trial.permuted(panel, number, invert=False).statistic[0][:, 0]
    p = permutation_p(statistic[0], statistic[1:]).value
    return np.append(shares.ravel(), float(p <= truth.LEVEL))


def simulated(chosen: list[Case], panels: int = truth.PANELS) -> dict[Case, Sizes]:
    """Sizes of some cases."""
    tasks = [
        (case, start, min(SHARE, panels - start)) for case in chosen for start in range(0, panels, SHARE)
    ]
    found = in_processes(rejections, tasks)
    shape = len(estimator_trial.ESTIMATORS), len(trial.KINDS)
    sizes = {}
    for case in chosen:
        parts = [part for task, part in zip(tasks, found, strict=True) if task[0] == case]
        mean = np.concatenate(parts).mean(axis=0)
        sizes[case] = Sizes(mean[:-1].reshape(shape), float(mean[-1]))
    return sizes


def page(found: dict[Case, Sizes], panels: int) -> str:
    """The table as Markdown."""
    header = ["estimator", "design", "cities", "adopters", *truth.HEADS, "permutation"]
    lines = ["| " + " | ".join(header) + " |", "| --- | --- |" + " ---: |" * (len(header) - 2)]

    def line(estimator: str, case: Case, cells: list[str]) -> str:
        adopters = sum(truth_worlds.ADOPTERS[case.adopters][case.cities])
        row = [estimator, case.design, str(case.cities), str(adopters), *cells]
        return f"| {' | '.join(row)} |"

    for number, estimator in enumerate(estimator_trial.ESTIMATORS):
        for case, sizes in found.items():
            lines.append(
                line(estimator, case, [*(f"{100 * share:.1f}" for share in sizes.errors[number]), ""])
            )
    empty = [""] * len(truth.HEADS)
    for case, sizes in found.items():
        lines.append(line("TWFE", case, [*empty, f"{100 * sizes.permutation:.1f}"]))
    table, error = "\n".join(lines), 100 * np.sqrt(truth.LEVEL * (1 - truth.LEVEL) / panels)
    return f"""\
# Table of truth: estimators

Written by `make truth`. Rejections of a true null of no effect at the 5 % level, in %, of {panels:,} panels each: the
share of an estimator's coefficients that are tested (event years, averages); the Monte Carlo standard error of a single
one is {error:.1f} points at 5 %. Designs, cities and adopters are those of [truth.md](truth.md); `permutation` is the
studentised one of adoption, {trial.REPS} draws. The instrument of 2SLS and of the Anderson-Rubin test is a sum of two
cities' series that rise when a city adopts. An error that a panel leaves undefined counts as no rejection.

{table}
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--panels", type=int, default=truth.PANELS)
    asked = parser.parse_args()
    PAGE.write_text(page(simulated(cases(), asked.panels), asked.panels), encoding="utf-8")


if __name__ == "__main__":
    main()
