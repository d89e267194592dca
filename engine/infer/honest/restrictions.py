"""Sets of differences in trends, as unions of polyhedra A delta <= d.

delta has one element a coefficient, in the order of event time; the reference period, where it is zero, has none.
Source: Rambachan and Roth (2023), A More Credible Approach to Parallel Trends, Review of Economic Studies 90(5).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.arrays import Array, Flags

Kind = Literal["relative_magnitudes", "smoothness"]
Direction = Literal["positive", "negative"] | None
Course = Literal["increasing", "decreasing"] | None


@dataclass(frozen=True)
class EventTimes:
    """Event times of the coefficients, and where effects may begin.

    Attributes
    ----------
    times : tuple of int
        Of the coefficients, ascending; with the reference they follow each other without a gap.
    reference : int
    first_effect : int
        First event time in which an effect is possible, 0 without anticipation.
    """

    times: tuple[int, ...]
    reference: int
    first_effect: int = 0

    @property
    def consecutive(self) -> bool:
        """Whether differences from year to year can be formed."""
        years = sorted((*self.times, self.reference))
        return years == list(range(years[0], years[0] + len(years)))

    @property
    def effects(self) -> tuple[int, ...]:
        """Times in which an effect is possible."""
        return tuple(time for time in self.times if time >= self.first_effect)

    @property
    def after(self) -> Flags:
        """Coefficients in which an effect is possible, ``[n]``."""
        return np.array(self.times) >= self.first_effect

    def differences(self, order: int) -> tuple[Array, Flags]:
        """Differences of delta from year to year of this order ``[n - order + 1, n]``, and which end with an effect."""
        years = np.array(sorted((*self.times, self.reference)))
        path = np.delete(np.eye(len(years)), np.searchsorted(years, self.reference), axis=1)
        return np.diff(path, order, axis=0), years[order:] >= self.first_effect


@dataclass(frozen=True)
class Polyhedron:
    """Differences in trends delta with ``rows @ delta <= bounds``, float64 ``[m, n]`` and ``[m]``."""

    rows: Array
    bounds: Array


@dataclass(frozen=True)
class Restriction:
    """An assumption on a difference in trends.

    Attributes
    ----------
    kind : str
        ``relative_magnitudes``: no change from a year to the next is, from adoption on, more than so many times the
        largest before; ``smoothness``: no change of the slope is larger.
    direction : str or None
        Of delta after adoption.
    course : str or None
        Of delta over all years.
    """

    kind: Kind
    direction: Direction = None
    course: Course = None

    @property
    def smooth_alone(self) -> bool:
        """Nothing but smoothness is assumed."""
        return self.kind == "smoothness" and self.direction is None and self.course is None

    def polyhedra(self, years: EventTimes, size: float) -> list[Polyhedron]:
        """The set for a size: a multiple of the largest change before adoption, or the largest change of the slope."""
        further = self._further(years)
        if self.kind == "smoothness":
            second, _ = years.differences(2)
            rows = np.concatenate([second, -second, further])
            return [Polyhedron(rows, np.repeat([size, 0.0], [2 * len(second), len(further)]))]
        first, with_effect = years.differences(1)
        before, after = first[~with_effect], first[with_effect]
        polyhedra = []
        for largest in (sign * change for change in before for sign in (1.0, -1.0)):
            rows = np.concatenate(
                [
                    before - largest,
                    -before - largest,
                    after - size * largest,
                    -after - size * largest,
                    further,
                ]
            )
            rows = rows[np.abs(rows).max(axis=1) > 0]
            polyhedra.append(Polyhedron(rows, np.zeros(len(rows))))
        return polyhedra

    def _further(self, years: EventTimes) -> Array:
        """Rows of direction and course ``[k, n]``, whose bounds are zero."""
        parts = [np.zeros((0, len(years.times)))]
        if self.direction is not None:
            parts.append(
                np.eye(len(years.times))[years.after] * (-1.0 if self.direction == "positive" else 1.0)
            )
        if self.course is not None:
            parts.append(years.differences(1)[0] * (-1.0 if self.course == "increasing" else 1.0))
        return np.concatenate(parts)
