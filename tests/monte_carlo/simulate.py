"""Size and coverage of every kind of inference where the truth is known, as the table `size_table.md`.

Panels are functions of their number, and so are the draws of each, so the table is the same for any number of
processes. `size_counts.csv` has the rejections and the covering intervals of each hundred panels, so that a test can
make some hundreds again and compare them to the last panel.

Run: make truth, or python tests/monte_carlo/simulate.py     (rewrites both; ten minutes on two cores)
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trial
import worlds
from processes_of_panels import in_processes

Array = np.ndarray[Any, np.dtype[np.float64]]

TABLE = Path(__file__).with_name("size_table.md")
COUNTS = Path(__file__).with_name("size_counts.csv")
PANELS = 2000
LEVEL, BAND = 0.05, 0.015

SHARE = 100
"""Panels of one task, and of one row of the counts."""
SIZE, COVERAGE = "p_values", "confidence_intervals"

_NAMES = {
    "pair": "pair clusters",
    "city": "two-way city",
    "dyadic_cr2": "dyadic CR2",
    "dyadic": "dyadic-robust",
    "jackknife": "jackknife CRV3",
    "permutation_coefficient": "permutation, coefficient",
    "permutation": "permutation, studentised",
    "node_bootstrap": "node bootstrap, percentile-t",
}


_KINDS = tuple(_NAMES)
KINDS_OF = {SIZE: trial.P_VALUES, COVERAGE: trial.INTERVALS}
"""Kinds of inference in the order of the arrays."""


@dataclass(frozen=True)
class Simulated:
    """What the panels gave, one entry a design.

    Attributes
    ----------
    p_values : dict of float64 ``[n_panels, P_VALUES]``
        Without an effect.
    intervals : dict of float64 ``[n_panels, INTERVALS, 2]``
        With `worlds.EFFECT`, in as many other panels.
    """

    p_values: dict[str, Array]
    intervals: dict[str, Array]

    def rejected(self, design: str) -> dict[str, float]:
        """Share of panels in which a true null is rejected at the nominal level."""
        return self._shares(SIZE, self.p_values[design])

    def covered(self, design: str) -> dict[str, float]:
        """Share of panels in which the interval holds the effect."""
        return self._shares(COVERAGE, self.intervals[design])

    @staticmethod
    def _shares(what: str, panels: Array) -> dict[str, float]:
        shares = [count / len(panels) for count in counted(what, panels)]
        return dict(zip(KINDS_OF[what], shares, strict=True))

    def length(self, design: str) -> dict[str, float]:
        """Median length of the interval."""
        low, high = np.moveaxis(self.intervals[design], 2, 0)
        return dict(zip(trial.INTERVALS, np.median(high - low, axis=0).tolist(), strict=True))


def simulate(panels: int = PANELS) -> Simulated:
    """Size from the first panels of every design, coverage from as many that follow; in processes."""
    starts = range(0, panels, SHARE)
    tasks = [
        (what, design, first + start, min(SHARE, panels - start))
        for what, first in ((SIZE, 0), (COVERAGE, panels))
        for design in worlds.DESIGNS
        for start in starts
    ]
    found = in_processes(some_panels, tasks)

    def of(what: str) -> dict[str, Array]:
        return {
            design: np.concatenate(
                [part for task, part in zip(tasks, found, strict=True) if task[:2] == (what, design)]
            )
            for design in worlds.DESIGNS
        }

    return Simulated(of(SIZE), of(COVERAGE))


def some_panels(what: str, design: str, first: int, count: int) -> Array:
    """p-values ``[count, P_VALUES]`` or intervals ``[count, INTERVALS, 2]`` of some panels of a design."""
    return np.stack([getattr(trial, what)(design, number) for number in range(first, first + count)])


def counted(what: str, panels: Array) -> list[int]:
    """Of some panels, how often each kind rejects a true null, or its interval holds the effect."""
    if what == SIZE:
        counts = (panels <= LEVEL).sum(axis=0)
    else:
        counts = ((panels[..., 0] <= worlds.EFFECT) & (panels[..., 1] >= worlds.EFFECT)).sum(axis=0)
    return [int(count) for count in counts]


def write_counts(simulated: Simulated) -> None:
    """`size_counts.csv`: a row for each hundred panels of a design."""
    with COUNTS.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["of", "design", "hundred", *_KINDS])
        for what, of_designs in ((SIZE, simulated.p_values), (COVERAGE, simulated.intervals)):
            kinds = KINDS_OF[what]
            for design, panels in of_designs.items():
                for number, start in enumerate(range(0, len(panels), SHARE)):
                    counts = dict(zip(kinds, counted(what, panels[start : start + SHARE]), strict=True))
                    writer.writerow([what, design, number, *(counts.get(kind, "") for kind in _KINDS)])


def read_counts() -> dict[tuple[str, str], np.ndarray[Any, np.dtype[np.int64]]]:
    """``[n_hundreds, kinds]`` of each of `SIZE` and `COVERAGE` and each design, as the file has them."""
    with COUNTS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        (what, design): np.array(
            [
                [int(row[kind]) for kind in KINDS_OF[what]]
                for row in rows
                if (row["of"], row["design"]) == (what, design)
            ]
        )
        for what in KINDS_OF
        for design in worlds.DESIGNS
    }


def text(found: Simulated) -> str:
    """The table as a page."""
    panels = len(next(iter(found.p_values.values())))
    size = _rows({one: found.rejected(one) for one in worlds.DESIGNS}, 100 * LEVEL)
    cover = _rows({one: found.covered(one) for one in worlds.DESIGNS}, 100 * (1 - LEVEL))
    length = _rows({one: found.length(one) for one in worlds.DESIGNS}, None)
    cohorts = ", ".join(f"{n} in {year:.0f}" for year, n in worlds.COHORTS.items())
    designs = "\n".join(f"- **{name}**: {what}." for name, what in worlds.DESIGNS.items())
    without = sum(int(np.isnan(values).any(axis=1).sum()) for values in found.p_values.values())
    error = 100 * np.sqrt(LEVEL * (1 - LEVEL) / panels)
    return f"""\
# Size and coverage where the truth is known

Written by `make truth`; `test_size.py` makes some of the panels again and fails where a single one differs.

{panels:,} panels a design for the size and as many others for the coverage, of {worlds.N_CITIES} cities and \
{len(worlds.YEARS)} years. {sum(worlds.COHORTS.values())} cities, dealt
at random, adopt: {cohorts}. Pairs of two adopters are excluded; there are no controls
and no gravity screen. {trial.REPS} permutations and {trial.REPS} node-bootstrap draws a panel. A panel whose two-way
variance is negative has no p-value there and counts as no rejection: {without} of all.

{designs}

**Bold** is within {100 * BAND:g} points of nominal. The Monte Carlo standard error is {error:.1f} points at \
{100 * LEVEL:.0f} %, at most {50 / np.sqrt(panels):.1f}.

## Rejections of a true null of no effect at the {100 * LEVEL:.0f} % level, in %

{size}

## Coverage of {100 * (1 - LEVEL):.0f} % intervals for an effect of {worlds.EFFECT:g} on treated pairs, in %

{cover}

## Median length of these intervals

{length}

## Reading

- Pair clusters reject a true null in V1, V2 and V4 seven times too often and more. They are right in V3 alone,
  where pairs that share a city have nothing in common.
- Two-way and dyadic-robust errors are too small here: they need many cities, also among the treated.
- Dyadic CR2 errors, with degrees of freedom from the adopting cities, are right in all four.
- The jackknife is right in V1, V2 and V4. In V3 it hardly ever rejects, by construction: it estimates the sum of
  squared city influences, which under independent pair noise is twice the variance.
- The studentised permutation test is right in all four. Of the coefficient alone it is exact where cities are
  exchangeable, and wrong in V4, where those that adopt are more volatile.
- Percentile-t intervals of the node bootstrap cover somewhat too rarely in V3, where the influence of a single city
  vanishes and its theory does not hold.
"""


def _rows(values: dict[str, dict[str, float]], nominal: float | None) -> str:
    """A Markdown table, one row a design; shares in percent where there is a nominal one."""
    columns = list(next(iter(values.values())))
    lines = [
        "| | " + " | ".join(_NAMES[column] for column in columns) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for design, row in values.items():
        cells = [
            f"{row[column]:.2f}" if nominal is None else _percent(row[column], nominal) for column in columns
        ]
        lines.append(f"| {design} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _percent(share: float, nominal: float) -> str:
    inside = abs(100 * share - nominal) <= 100 * BAND + 1e-9
    return f"**{100 * share:.1f}**" if inside else f"{100 * share:.1f}"


if __name__ == "__main__":
    every_panel = simulate()
    TABLE.write_text(text(every_panel), encoding="utf-8")
    write_counts(every_panel)
