"""The slow and obvious oracle of regressions with any fixed effects: names of levels, dummies, literal refits.

numpy and pandas only. A row is in one level of an effect, or in two; a dummy is 1 in the rows of its level.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import reference

Array = np.ndarray[Any, np.dtype[np.float64]]
Row = Any
Levels = Callable[[Row], tuple[Any, ...]]


def pair(row: Row) -> tuple[Any, ...]:
    return ((row.city_i, row.city_j),)


def year(row: Row) -> tuple[Any, ...]:
    return (row.year,)


def city_year(row: Row) -> tuple[Any, ...]:
    return (row.city_i, row.year), (row.city_j, row.year)


def province_year(row: Row) -> tuple[Any, ...]:
    """Both ends; a pair within a province has a level of its own."""
    if row.province_i == row.province_j:
        return (("within", row.province_i, row.year),)
    return (row.province_i, row.year), (row.province_j, row.year)


def province_pair_year(row: Row) -> tuple[Any, ...]:
    return ((frozenset([row.province_i, row.province_j]), row.year),)


def column(*names: str) -> Levels:
    return lambda row: (tuple(getattr(row, name) for name in names),)


@dataclass(frozen=True)
class Literal:
    """A regression by brute force; ``long`` has the rows used, ``psi`` ``[pair, K]`` the pairs' influences."""

    long: pd.DataFrame
    names: list[str]
    estimate: Array
    psi: pd.DataFrame
    n_dropped: int
    n_levels: list[int]
    n_parameters: dict[str, int]
    r2: float
    r2_within: float
    n_cities: int

    def covariance(self, kind: str) -> Array:
        """Of fixest's corrections; mended where a variance is not positive, as the README says."""
        s = self.psi[self.names].to_numpy()
        first = self.psi.groupby("city_i")[self.names].sum().to_numpy()
        second = self.psi.groupby("city_j")[self.names].sum().to_numpy()
        n = len(self.long)
        scale = (n - 1) / (n - self.n_parameters["pair" if kind == "pair" else "city"])
        if kind == "pair":
            return s.T @ s * len(s) / (len(s) - 1) * scale
        if kind == "city":
            smallest = min(len(first), len(second))
            two_way = (first.T @ first + second.T @ second - s.T @ s) * smallest / (smallest - 1) * scale
            return reference.non_negative(two_way) if (np.diag(two_way) < 0).any() else two_way
        meat = np.zeros((s.shape[1],) * 2)
        ends = [set(key) for key in self.psi[["city_i", "city_j"]].itertuples(index=False)]
        for one, its in zip(s, ends, strict=True):
            for other, theirs in zip(s, ends, strict=True):
                if its & theirs:
                    meat += np.outer(one, other)
        its_pairs = self.psi[["city_i", "city_j"]].to_numpy()
        sums = [s[(its_pairs == city).any(axis=1)].sum(axis=0) for city in np.unique(its_pairs)]
        instead = np.sum([np.outer(one, one) for one in sums], axis=0)
        np.fill_diagonal(meat, np.where(np.diag(meat) > 0, np.diag(meat), np.diag(instead)))  # term by term
        return meat * self.n_cities / (self.n_cities - 1) * scale


def regression(
    long: pd.DataFrame, names: Sequence[str], effects: Sequence[Levels], *, weight: str | None = None
) -> Literal:
    """Least squares of y on regressors and dummies; singletons and rows with missing values are dropped first."""
    names = list(names)
    usable = long[np.isfinite(long[[*names, "y"]].to_numpy()).all(axis=1)].reset_index(drop=True)
    rows, levels = _without_singletons(usable, effects)
    w = np.ones(len(rows)) if weight is None else rows[weight].to_numpy()
    dummies = np.hstack([_dummies(each) for each in levels])
    columns = rows[[*names, "y"]].to_numpy(dtype=float)
    left = _residuals(columns, dummies, w)
    x, y = left[:, :-1], left[:, -1]
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    estimate = bread @ x.T @ (w * y)
    error = y - x @ estimate
    psi = rows[["city_i", "city_j"]].assign(
        **dict(zip(names, (x * (w * error)[:, None] @ bread).T, strict=True))
    )
    outcome = columns[:, -1] - np.average(columns[:, -1], weights=w)
    return Literal(
        long=rows,
        names=names,
        estimate=estimate,
        psi=psi.groupby(["city_i", "city_j"], as_index=False).sum(),
        n_dropped=len(usable) - len(rows),
        n_levels=[each.shape[1] for each in map(_dummies, levels)],
        n_parameters={
            "pair": len(names) + _degrees(rows, levels, [["city_i", "city_j"]]),
            "city": len(names) + _degrees(rows, levels, [["city_i"], ["city_j"]]),
        },
        r2=1 - (w @ error**2) / (w @ outcome**2),
        r2_within=1 - (w @ error**2) / (w @ y**2),
        n_cities=len(set(rows["city_i"]) | set(rows["city_j"])),
    )


def jackknife(
    long: pd.DataFrame, names: Sequence[str], effects: Sequence[Levels], *, weight: str | None = None
) -> Array:
    """(N-1)/N sum_c (b_(-c) - b)(b_(-c) - b)', each b_(-c) estimated again without the city."""
    whole = regression(long, names, effects, weight=weight)
    cities = sorted(set(whole.long["city_i"]) | set(whole.long["city_j"]))
    out = np.zeros((len(names),) * 2)
    for city in cities:
        rest = whole.long[(whole.long["city_i"] != city) & (whole.long["city_j"] != city)]
        step = regression(rest, names, effects, weight=weight).estimate - whole.estimate
        out += np.outer(step, step) * (len(cities) - 1) / len(cities)
    return out


def _without_singletons(
    rows: pd.DataFrame, effects: Sequence[Levels]
) -> tuple[pd.DataFrame, list[list[tuple[Any, ...]]]]:
    while True:
        levels = [[effect(row) for row in rows.itertuples()] for effect in effects]
        alone = np.zeros(len(rows), dtype=bool)
        for each in levels:
            size = Counter(level for its in each for level in its)
            alone |= np.array([any(size[level] == 1 for level in its) for its in each])
        if not alone.any():
            return rows, levels
        rows = rows[~alone].reset_index(drop=True)


def _dummies(levels: list[tuple[Any, ...]]) -> Array:
    place = {level: k for k, level in enumerate(dict.fromkeys(level for its in levels for level in its))}
    out = np.zeros((len(levels), len(place)))
    for row, its in enumerate(levels):
        for level in its:
            out[row, place[level]] += 1
    return out


def _residuals(columns: Array, dummies: Array, w: Array) -> Array:
    root = np.sqrt(w)[:, None]
    return columns - dummies @ np.linalg.lstsq(root * dummies, root * columns, rcond=1e-11)[0]


def _degrees(rows: pd.DataFrame, levels: list[list[tuple[Any, ...]]], ways: list[list[str]]) -> int:
    """Levels less one for each effect after the first; an effect within the clusters counts one."""
    sizes, nested = [], []
    for each in levels:
        clusters: dict[Any, list[set[Any]]] = {}
        keys = [list(rows[way].itertuples(index=False, name=None)) for way in ways]
        for row, its in enumerate(each):
            for level in its:
                of = clusters.setdefault(level, [set() for _ in ways])
                for way, key in enumerate(keys):
                    of[way].add(key[row])
        sizes.append(len(clusters))
        nested.append(any(all(len(of[way]) == 1 for of in clusters.values()) for way in range(len(ways))))
    return sum(1 if inside else size for size, inside in zip(sizes, nested, strict=True)) - (len(sizes) - 1)
