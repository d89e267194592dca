"""The table of truth: how often each standard-error type rejects a true null, by design, cities and adopters.

Panels are functions of their names and number, so the page is the same for any number of processes.

Run: make truth     (rewrites truth.md; half an hour on two cores)
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import trial
import truth_worlds
from processes_of_panels import in_processes

from engine.infer.intervals import intervals

Array = np.ndarray[Any, np.dtype[np.float64]]

PAGE = Path(__file__).with_name("truth.md")
PANELS, SHARE, LEVEL = 2000, 100, 0.05
MAIN = ("V1", "V2", "V3", "V4")
"""Designs of which every number of cities is tried; of the others 30 and 50."""
_NAMES = {"city": "two-way", "dyadic_cr2": "dyadic CR2"}
HEADS = tuple(_NAMES.get(kind, kind) for kind in trial.KINDS)
RULES: tuple[Literal["exactly_one", "both"], ...] = ("exactly_one", "both")


@dataclass(frozen=True)
class Case:
    """A design with its number of cities and of adopters, and which pairs are treated."""

    design: str
    cities: int
    adopters: str
    rule: Literal["exactly_one", "both"] = "exactly_one"


def cases() -> list[Case]:
    """Of the main designs every number of cities, with usual and few adopters; of the others 30 and 50.

    A screen may leave no pair of two adopters: under rule both there is none.
    """
    return [
        Case(design, cities, adopters, rule)
        for rule in RULES
        for design in truth_worlds.DESIGNS
        for adopters in truth_worlds.ADOPTERS
        for cities in truth_worlds.CITIES
        if (design in MAIN or cities in (30, 50))
        and not (rule == "both" and truth_worlds.DESIGNS[design].has_screen)
    ]


def p_values(case: Case, first: int, count: int) -> Array:
    """``[count, KINDS]`` of some panels of a case, and the effective adopting cities."""
    rows = []
    for number in range(first, first + count):
        panel = truth_worlds.panel(case.design, case.cities, case.adopters, number, case.rule)
        estimate, errors = trial.estimated(panel)
        effective = next(error.effective_adopters for error in errors if error.effective_adopters is not None)
        p = [float(intervals(estimate, error, trial.CONFIDENCE).p_value[0]) for error in errors]
        rows.append([*p, float(effective[0])])
    return np.array(rows)


def simulated(chosen: list[Case], panels: int = PANELS) -> dict[Case, Array]:
    """p-values of all panels of some cases, and the effective adopting cities, ``[panels, KINDS + 1]``."""
    tasks = [
        (case, start, min(SHARE, panels - start)) for case in chosen for start in range(0, panels, SHARE)
    ]
    found = in_processes(p_values, tasks)
    return {
        case: np.concatenate([part for task, part in zip(tasks, found, strict=True) if task[0] == case])
        for case in chosen
    }


def rejected(p: Array) -> Array:
    """``[KINDS]`` share of the panels in which a true null is rejected; one without a p-value does not reject."""
    return np.asarray((p[:, :-1] <= LEVEL).mean(axis=0))


def page(found: dict[Case, Array]) -> str:
    """The tables as Markdown."""
    panels = len(next(iter(found.values())))
    exactly_one, both = (table({case: p for case, p in found.items() if case.rule == rule}) for rule in RULES)
    designs = "\n".join(f"- **{name}**: {design.text}." for name, design in truth_worlds.DESIGNS.items())
    error = 100 * np.sqrt(LEVEL * (1 - LEVEL) / panels)
    return f"""\
# Table of truth

Written by `make truth`. Rejections of a true null of no effect at the {100 * LEVEL:.0f} % level, in %, of {panels:,}
panels each; the Monte Carlo standard error is {error:.1f} points at {100 * LEVEL:.0f} %. Ten years, adopting cities
dealt at random, pairs of two adopters excluded, no controls; `effective` is the median of the effective adopting
cities.

{designs}

{exactly_one}

## Pairs whose two cities have adopted

The designs without a screen, with all pairs, treated where both cities have adopted (rule `both`).

{both}
"""


def table(found: dict[Case, Array]) -> str:
    """Lines of some cases."""
    header = ["design", "cities", "adopters", "effective", *HEADS]
    lines = ["| " + " | ".join(header) + " |", "| --- |" + " ---: |" * (len(header) - 1)]
    for case, p in found.items():
        counts = truth_worlds.ADOPTERS[case.adopters][case.cities]
        size = " | ".join(f"{100 * share:.1f}" for share in rejected(p))
        row = f"| {case.design} | {case.cities} | {sum(counts)} | {np.median(p[:, -1]):.1f} | {size} |"
        lines.append(row)
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--panels", type=int, default=PANELS)
    asked = parser.parse_args()
    PAGE.write_text(page(simulated(cases(), asked.panels)), encoding="utf-8")


if __name__ == "__main__":
    main()
