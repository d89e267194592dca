"""Effects by cohort and year and their averages from the definition, on a wide table of pairs; never imports engine.

A pair's weight may be complex: the imaginary part of an effect over that of the weight is the pair's influence, to
the last digits (a complex step has no difference to cancel).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
STEP = 1e-30


def cells(
    years: Array,
    adopted: Array,
    y: Array,
    weight: Array,
    *,
    control: str,
    base_period: str,
    anticipation: int,
) -> dict[tuple[int, int], Any]:
    """Effects by cohort and year. ``adopted`` ``[P]``, inf for never; ``y`` ``[P, T]``; ``weight`` ``[..., P]``."""
    effects = {}
    for cohort in sorted(set(adopted[np.isfinite(adopted)])):
        treated = adopted == cohort
        last_before = max(t for t in range(len(years)) if years[t] + anticipation < cohort)
        for t, year in enumerate(years):
            base = last_before if year >= cohort or base_period == "universal" else t - 1
            if base in (t, -1):
                continue
            if control == "never":
                compared = np.isinf(adopted)
            else:
                compared = (adopted > max(year, years[base]) + anticipation) & ~treated
            if not compared.any():
                continue
            change = weight * (y[:, t] - y[:, base])
            of_treated, of_compared = (
                change[..., rows].sum(axis=-1) / weight[..., rows].sum(axis=-1)
                for rows in (treated, compared)
            )
            effects[int(cohort), int(year)] = of_treated - of_compared
    return effects


def averages(effects: Mapping[tuple[int, int], Any], size: Mapping[int, Any]) -> dict[str, Any]:
    """The four averages, and those by event year; ``size`` is the weight of each cohort."""

    def weighed(chosen: list[tuple[int, int]]) -> Any:
        return sum(size[g] * effects[g, t] for g, t in chosen) / sum(size[g] for g, _ in chosen)

    def mean(values: list[Any]) -> Any:
        return sum(values) / len(values)

    after = [(g, t) for g, t in effects if t >= g]
    cohorts = sorted({g for g, _ in after})
    by_cohort = {g: mean([effects[cell] for cell in after if cell[0] == g]) for g in cohorts}
    by_year = [weighed([cell for cell in after if cell[1] == year]) for year in sorted({t for _, t in after})]
    by_event = {
        event: weighed([(g, t) for g, t in effects if t - g == event])
        for event in sorted({t - g for g, t in effects})
    }
    return {
        "simple": weighed(after),
        "group": sum(size[g] * by_cohort[g] for g in cohorts) / sum(size[g] for g in cohorts),
        "calendar": mean(by_year),
        "dynamic": mean([value for event, value in by_event.items() if event >= 0]),
        **{f"policy[{event:+d}]": value for event, value in by_event.items()},
    }


def named(
    years: Array, adopted: Array, y: Array, weight: Array, **options: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Averages, and cells as ``policy[2013][+2]``, by name."""
    effects = cells(years, adopted, y, weight, **options)
    size = {int(g): weight[..., adopted == g].sum(axis=-1) for g in set(adopted[np.isfinite(adopted)])}
    return averages(effects, size), {f"policy[{g}][{t - g:+d}]": value for (g, t), value in effects.items()}


def vectors(
    names: tuple[list[str], list[str]], years: Array, adopted: Array, y: Array, weight: Array, **options: Any
) -> tuple[Array, Array]:
    """Averages and cells in an order; NaN for those that the pairs do not have."""
    values = named(years, adopted, y, weight, **options)
    unknown = np.full(weight.shape[:-1], np.nan)
    averaged, by_cell = (
        np.array([part.get(name, unknown) for name in order]).T
        for part, order in zip(values, names, strict=True)
    )
    return averaged, by_cell


def influences(
    names: tuple[list[str], list[str]], years: Array, adopted: Array, y: Array, **options: Any
) -> tuple[Array, Array]:
    """Influence of each pair on averages ``[P, K]`` and cells ``[P, n_cells]``, by complex steps of its weight."""
    weight = np.ones((len(y), len(y))) + 1j * STEP * np.eye(len(y))
    averaged, by_cell = (part.imag / STEP for part in vectors(names, years, adopted, y, weight, **options))
    return averaged, by_cell
