"""Effects of treatments that switch from the definition, pair by pair on a wide table; never imports engine.

Weights of pairs may be complex, as in `literal_cohorts`: the imaginary part of an effect over that of a weight is the
pair's influence.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from literal_cohorts import STEP

Array = np.ndarray[Any, np.dtype[Any]]


class Switches:
    """Pairs and years of a long frame with columns city_i, city_j, year, policy and y."""

    def __init__(self, long: pd.DataFrame) -> None:
        index = ["city_i", "city_j"]
        wide = long.pivot(index=index, columns="year", values=["policy", "y"])
        self.years = np.array(sorted(long["year"].unique()), dtype=int)
        self.treatment = wide["policy"][self.years].to_numpy()
        self.y = wide["y"][self.years].to_numpy()
        self.ends = wide.index.to_frame().to_numpy()
        self.cities = np.unique(self.ends)
        change = self.treatment != self.treatment[:, :1]
        self.first = np.where(change.any(axis=1), self.years[change.argmax(axis=1)].astype(float), np.inf)

    def rows(self, chosen: Array) -> Switches:
        """Some of the pairs."""
        part = object.__new__(Switches)
        part.years = self.years
        for name in ("treatment", "y", "ends", "first"):
            setattr(part, name, getattr(self, name)[chosen])
        part.cities = np.unique(part.ends)
        return part

    def paths(self, window: tuple[int, int]) -> list[tuple[float, ...]]:
        """Treatment in the first year, first change, and doses from then to the end of the window, of each pair."""
        paths = []
        for first, path in zip(self.first, self.treatment, strict=True):
            doses = [d - path[0] for d, year in zip(path, self.years, strict=True)
                     if first <= year <= first + window[1]]  # fmt: skip
            paths.append((path[0], first, *doses))
        return paths

    def n_parameters(self, window: tuple[int, int]) -> int:
        """Means of every cohort and year, one cohort and one year of each apart, and year effects."""
        return (len(set(self.paths(window))) - 1) * (len(self.years) - 1) + len(self.years)

    def factor(self, window: tuple[int, int], n_clusters: int) -> float:
        """Small-sample factor of errors with so many clusters."""
        n_obs = self.y.size
        return n_clusters / (n_clusters - 1) * (n_obs - 1) / (n_obs - self.n_parameters(window))

    def effects(
        self, window: tuple[int, int], weight: Array | None = None, *, control: str = "not_yet"
    ) -> dict[str, Any]:
        """Reported terms by name; those that the pairs do not have are missing. ``weight`` ``[..., P]``."""
        weight = np.ones(len(self.y)) if weight is None else weight
        by_event, normalised, total, total_dose = {}, {}, 0.0, 0.0
        for time in range(window[0], window[1] + 1):
            if time == -1:
                continue
            effect, dose, count = self._sums(time, weight, control)
            if not np.any(count):
                continue
            by_event[f"policy[{time:+d}]"] = effect / count
            if time >= 0:
                cumulative = self._doses(time, weight, control)
                normalised[f"normalised[{time:+d}]"] = effect / cumulative
                total, total_dose = total + effect, total_dose + dose
        return {"average_total_effect": total / total_dose, **by_event, **normalised}

    def switchers(self, time: int, control: str) -> list[tuple[int, int, int, float, Array]]:
        """Pair, positions of year and base, sign and controls of those that are compared at an event year."""
        place = {year: position for position, year in enumerate(self.years.tolist())}
        compared = []
        for pair in np.flatnonzero(np.isfinite(self.first)):
            first = int(self.first[pair])
            until = first + time if time >= 0 else first - 1 + (-1 - time)
            if any(year not in place for year in (first - 1, first + time, until)):
                continue
            last = np.inf if control == "never" else until
            same = self.treatment[:, 0] == self.treatment[pair, 0]
            controls = same & ((self.first > last) | np.isinf(self.first))
            if controls.any():
                sign = np.sign(self.treatment[pair, place[first]] - self.treatment[pair, 0])
                compared.append((pair, place[first + time], place[first - 1], sign, controls))
        return compared

    def _sums(self, time: int, weight: Array, control: str) -> tuple[Any, Any, Any]:
        """Signed effects, doses of the year, and number of the switchers, each by its weight."""
        effect, dose, count = 0.0, 0.0, 0.0
        for pair, at, base, sign, controls in self.switchers(time, control):
            change = self.y[:, at] - self.y[:, base]
            of_controls = (weight * change)[..., controls].sum(axis=-1) / weight[..., controls].sum(axis=-1)
            effect = effect + weight[..., pair] * sign * (change[pair] - of_controls)
            dose = dose + weight[..., pair] * sign * (self.treatment[pair, at] - self.treatment[pair, 0])
            count = count + weight[..., pair]
        return effect, dose, count

    def _doses(self, time: int, weight: Array, control: str) -> Any:
        """Sum over switchers of what their treatment has added since it changed."""
        total = 0.0
        for pair, at, base, sign, _ in self.switchers(time, control):
            added = self.treatment[pair, base + 1 : at + 1] - self.treatment[pair, 0]
            total = total + weight[..., pair] * sign * added.sum()
        return total

    def vector(self, names: list[str], window: tuple[int, int], **options: Any) -> Array:
        """Effects in an order; NaN for those that the pairs do not have."""
        values = self.effects(window, **options)
        return np.array([values.get(name, np.nan) for name in names])

    def influences(self, names: list[str], window: tuple[int, int], **options: Any) -> Array:
        """``[P, K]`` by complex steps of the pairs' weights."""
        weight = np.ones((len(self.y), len(self.y))) + 1j * STEP * np.eye(len(self.y))
        values = self.effects(window, weight, **options)
        return np.array([values[name].imag / STEP for name in names]).T

    def dyadic(self, influence: Array) -> tuple[Array, Array]:
        """Variances by literal double sums over pairs that share a city, and sums of squares of the cities' sums."""
        shares = np.array([[bool(set(p) & set(q)) for q in self.ends] for p in self.ends])
        by_city = np.array([influence[(self.ends == city).any(axis=1)].sum(axis=0) for city in self.cities])
        return np.einsum("pk,pq,qk->k", influence, shares, influence), (by_city**2).sum(axis=0)
