"""Imputation on explicit pair-years: dummies of pairs and years, moment conditions of two stages; never imports engine.

literal_imputation    coefficients, and influences of pairs by the stacked moment conditions of both stages
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

PAIR = ["city_i", "city_j"]
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class LiteralImputation:
    """Coefficients and influences by name and by pair; sizes as the engine counts them."""

    coefficients: pd.Series
    influences: pd.DataFrame
    n_obs: int
    n_parameters: int

    @property
    def ends(self) -> Array:
        return np.array(self.influences.index.to_list())

    @property
    def cities(self) -> list[str]:
        return sorted(set(self.ends.ravel()))

    def factor(self, n_clusters: int) -> float:
        return n_clusters / (n_clusters - 1) * (self.n_obs - 1) / (self.n_obs - self.n_parameters)

    def pair(self) -> Array:
        psi = self.influences.to_numpy()
        return psi.T @ psi * self.factor(len(psi))

    def two_way(self) -> Array:
        psi, meat, counts = self.influences.to_numpy(), [], []
        for side in self.ends.T:
            sums = [psi[side == city].sum(axis=0) for city in sorted(set(side))]
            counts.append(len(sums))
            meat.append(sum(np.outer(of_city, of_city) for of_city in sums))
        return (meat[0] + meat[1] - psi.T @ psi) * self.factor(min(counts))

    def dyadic(self) -> Array:
        """Every two pairs that share a city, one by one."""
        psi, ends = self.influences.to_numpy(), [set(pair) for pair in self.influences.index]
        meat = np.zeros((psi.shape[1],) * 2)
        for p, of_p in enumerate(ends):
            shares = [bool(of_p & of_q) for of_q in ends]
            meat += np.outer(psi[p], psi[shares].sum(axis=0))
        return meat * self.factor(len(self.cities))


def literal_imputation(
    long: pd.DataFrame, columns: Sequence[str], leads: Sequence[int], last: int
) -> LiteralImputation:
    """``long``: rows to use, with y, columns, city_i, city_j, year and the year ``adopted`` of each pair."""
    event = (long["year"] - long["adopted"]).to_numpy()
    is_untreated = event < 0
    x = np.concatenate(
        [
            _dummies(long.groupby(PAIR).ngroup()),
            _dummies(long["year"])[:, 1:],
            long[list(columns)].to_numpy(),
        ],
        axis=1,
    )
    y, k = long["y"].to_numpy(), len(columns)
    first = _Fit.of(x[is_untreated], y[is_untreated], long[is_untreated])
    values = dict(zip(columns, first.slopes[-k:] if k else [], strict=True))
    psi = {name: first.influence(np.eye(x.shape[1])[place - k]) for place, name in enumerate(columns)}
    gap = y - x @ first.slopes
    averages: dict[str, Array] = {"simple": ~is_untreated}
    event_of = np.minimum(event, last)
    for time in sorted(set(event_of[~is_untreated])):
        averages[f"policy[{time:+.0f}]"] = event_of == time
    for name, is_in in averages.items():
        values[name] = gap[is_in].mean()
        second = (
            pd.Series((gap - values[name]) * is_in).groupby([long[side].to_numpy() for side in PAIR]).sum()
        )
        psi[name] = second / is_in.sum() - first.influence(x[is_in].mean(axis=0)).reindex(
            second.index, fill_value=0.0
        )
    if leads:
        with_leads = np.concatenate([x, np.stack([event == time for time in leads], axis=1)], axis=1)
        fit = _Fit.of(with_leads[is_untreated], y[is_untreated], long[is_untreated])
        for place, time in enumerate(leads):
            at = x.shape[1] + place
            values[f"policy[{time:+d}]"] = fit.slopes[at]
            psi[f"policy[{time:+d}]"] = fit.influence(np.eye(with_leads.shape[1])[at])
    names = [*columns, "simple", *(f"policy[{time:+d}]" for time in leads), *list(averages)[1:]]
    n_years = long.loc[is_untreated, "year"].nunique()
    return LiteralImputation(
        pd.Series(values)[names],
        pd.DataFrame(psi)[names].fillna(0.0),
        len(long),
        k + len(averages) - 1 + n_years,
    )


def usable(long: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Rows that have all values, of pairs with two of them and an untreated one among these."""
    rows = long[np.isfinite(long[["y", *columns]].to_numpy()).all(axis=1)]
    rows = rows[rows.groupby(PAIR)["y"].transform("size") > 1]
    is_untreated = rows["year"] < rows["adopted"]
    return rows[is_untreated.groupby([rows[side] for side in PAIR]).transform("any")]


def literal_jackknife(literal: LiteralImputation, long: pd.DataFrame, *arguments: Any) -> Array:
    """Of samples without each city, estimated anew."""
    steps = []
    for city in literal.cities:
        without = long[(long[PAIR] != city).all(axis=1)]
        steps.append(
            literal_imputation(without, *arguments).coefficients.reindex(literal.coefficients.index)
            - literal.coefficients
        )
    products = np.array(steps).T @ np.array(steps)
    return np.asarray((len(steps) - 1) / len(steps) * products)


def literal_interaction(
    long: pd.DataFrame, columns: Sequence[str], leads: Sequence[int], last: int, *, takes_both: bool = False
) -> tuple[Array, Array]:
    """Variances ``[K]`` of the default error and its degrees of freedom, from dummies of every city and year.

    Residuals are those of untreated rows, and of treated ones deviations from the means of their cohort in the year.
    """
    literal = literal_imputation(long, columns, leads, last)
    weight = literal_weights(long, columns, leads, last)
    steps, ends = [], long[PAIR].to_numpy()
    for city in literal.cities:
        without = literal_imputation(long[(ends != city).all(axis=1)], columns, leads, last).coefficients
        steps.append(literal.coefficients - without.reindex(literal.coefficients.index))
    residual = literal_residuals(long, columns)
    in_city = np.stack([(ends == city).any(axis=1) for city in literal.cities]).astype(float)
    by_year = _dummies(long["year"])
    city_year = np.einsum("cn,nt->nct", in_city, by_year).reshape(len(long), -1)
    alpha = np.linalg.lstsq(city_year, residual, rcond=None)[0]
    of_pair = _dummies(long.groupby(PAIR).ngroup()).T
    phi, kappa = of_pair @ (weight * (residual - city_year @ alpha)[:, None]), of_pair @ weight**2
    factor = len(long) / (len(long) - np.linalg.matrix_rank(city_year))
    least = factor * (phi**2).sum(axis=0)
    influence = np.stack(
        [
            literal.influences[[city in pair for pair in literal.influences.index]].sum()
            for city in literal.cities
        ]
    )
    sums = city_year.T @ weight
    gamma = (sums.reshape(len(in_city), -1, weight.shape[1]) ** 2).sum(axis=1)
    of_city = in_city @ weight**2
    total = kappa.sum(axis=0)
    adopting = gamma.sum(axis=0) ** 2 / (gamma**2).sum(axis=0)
    weighted = total**2 / ((of_city**2).sum(axis=0) - (kappa**2).sum(axis=0))
    step = np.where(np.isnan(steps), influence, steps)
    products = (influence * step).sum(axis=0) - least
    if takes_both:
        spread = (kappa**2).sum(axis=0) / total**2
        noise = (sums**2 / np.maximum(city_year.sum(axis=0), 1)[:, None]).sum(axis=0) / total
        shares = influence - in_city @ (weight * residual[:, None])
        of_cities = (sums * alpha[:, None]).reshape(len(in_city), -1, weight.shape[1]).sum(axis=1) + shares
        least = least / (1 - spread)
        products = (of_cities * step).sum(axis=0) + (1 - noise) * least
        weighted = 1 / ((noise / 2) ** 2 * (1 / weighted - spread) + (1 - noise) ** 2 * spread)
    return np.maximum(products, least / 4), np.maximum(1.0, np.minimum(adopting, weighted) - 0.5)


def literal_weights(long: pd.DataFrame, columns: Sequence[str], leads: Sequence[int], last: int) -> Array:
    """Of the outcomes of all rows in the coefficients of `literal_imputation` ``[n, K]``."""
    event = (long["year"] - long["adopted"]).to_numpy()
    is_untreated = event < 0
    pairs, years = _dummies(long.groupby(PAIR).ngroup()), _dummies(long["year"])
    x = np.concatenate([pairs, years, long[list(columns)].to_numpy()], axis=1)

    def slopes(design: Array) -> Array:
        of_rows = np.zeros((design.shape[1], len(long)))
        of_rows[:, is_untreated] = np.linalg.pinv(design[is_untreated], rcond=1e-11)
        return of_rows

    first = slopes(x)
    gap = np.eye(len(long)) - x @ first
    event_of = np.minimum(event, last)
    after = [gap[event_of == time].mean(axis=0) for time in sorted(set(event_of[~is_untreated]))]
    second = slopes(np.concatenate([x, np.stack([event == time for time in leads], axis=1)], axis=1))
    of_leads = second[x.shape[1] :] if leads else []
    of_columns = first[x.shape[1] - len(columns) :] if columns else []
    return np.stack([*of_columns, gap[~is_untreated].mean(axis=0), *of_leads, *after], axis=1)


def literal_residuals(long: pd.DataFrame, columns: Sequence[str]) -> Array:
    """Of untreated rows on dummies of pairs and years; treated ones less the mean of their cohort in the year."""
    is_untreated = (long["year"] < long["adopted"]).to_numpy()
    pairs, years = _dummies(long.groupby(PAIR).ngroup()), _dummies(long["year"])
    x = np.concatenate([pairs, years, long[list(columns)].to_numpy()], axis=1)
    y = long["y"].to_numpy()
    gap = y - x @ np.linalg.lstsq(x[is_untreated], y[is_untreated], rcond=1e-11)[0]
    of_cohort = pd.Series(gap).groupby([long["adopted"].to_numpy(), long["year"].to_numpy()])
    return np.where(is_untreated, gap, gap - of_cohort.transform("mean").to_numpy())


@dataclass(frozen=True)
class _Fit:
    slopes: Array
    bread: Array
    scores: pd.DataFrame

    @classmethod
    def of(cls, x: Array, y: Array, rows: pd.DataFrame) -> _Fit:
        slopes = np.linalg.lstsq(x, y, rcond=1e-11)[0]
        scores = pd.DataFrame(x * (y - x @ slopes)[:, None])
        return cls(
            slopes,
            np.linalg.pinv(x.T @ x, rcond=1e-13, hermitian=True),
            scores.groupby([rows[side].to_numpy() for side in PAIR]).sum(),
        )

    def influence(self, weights: Array) -> pd.Series:
        """On a combination of the slopes, by pair."""
        return self.scores @ (self.bread @ weights)


def _dummies(values: pd.Series) -> Array:
    codes = values.to_numpy()
    return (codes[:, None] == np.unique(codes)).astype(float)
