"""Stacked and local-projection regressions on explicit rows: numpy least squares, row by row, without the engine.

stacked_rows, projection_rows    the rows of each regression, one upon the other, from the pair-year table
literal_comparisons              coefficients and influences of every pair, by the event year
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

PAIR = ["city_i", "city_j"]
Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class LiteralComparisons:
    """Coefficients ``[K]`` by event year, influences by pair (``city_i, city_j``, a column an event year), sizes."""

    event_times: list[int]
    coefficients: Array
    influences: pd.DataFrame
    n_obs: int
    n_pairs: int
    n_years: int
    weights: pd.DataFrame
    """By pair and year: what a coefficient gains where the outcome of the row is higher by one."""

    @property
    def cities(self) -> list[str]:
        return sorted({*self.influences["city_i"], *self.influences["city_j"]})

    def factor(self, n_clusters: int) -> float:
        parameters = len(self.event_times) + self.n_years
        return n_clusters / (n_clusters - 1) * (self.n_obs - 1) / (self.n_obs - parameters)

    def pair(self) -> Array:
        psi = self.influences[self.event_times].to_numpy()
        return psi.T @ psi * self.factor(len(psi))

    def dyadic(self) -> Array:
        """Every two pairs that share a city, one by one."""
        psi, ends = self.influences[self.event_times].to_numpy(), self.influences[PAIR].to_numpy()
        meat = np.zeros((psi.shape[1],) * 2)
        for p in range(len(psi)):
            for q in range(len(psi)):
                if set(ends[p]) & set(ends[q]):
                    meat += np.outer(psi[p], psi[q])
        return meat * self.factor(len(self.cities))


def literal_comparisons(
    long: pd.DataFrame, kind: str, window: tuple[int, int], *, base: int = -1, never_only: bool = False
) -> LiteralComparisons:
    """``kind``: stacked, variance or equal; ``long`` has ``y`` and the ``adopted`` year of each pair."""
    event_times = [time for time in range(window[0], window[1] + 1) if time != base]
    read: list[pd.DataFrame] = []
    coefficients: list[float] = []
    scores: dict[int, pd.Series] = {}
    weights: dict[int, pd.Series] = {}
    stack = stacked_rows(long, window, never_only) if kind == "stacked" else None
    for time in event_times:
        if stack is not None:
            rows, x = _stacked_design(stack, event_times, time)
        else:
            rows, x = _projection_design(long, time, base, kind, never_only)
        coefficient, psi, on_rows = weighted_least_squares(x, rows)
        coefficients.append(coefficient)
        scores[time] = psi
        shifts = {0: 1.0} if stack is not None else {time: 1.0, base: -1.0}
        weights[time] = sum_by_row(rows, on_rows, shifts)
        read += _rows_read(rows, time, base, stack is not None)
    used = pd.concat(read).drop_duplicates()
    influences = pd.DataFrame(scores).fillna(0.0).rename_axis(PAIR).reset_index()
    return LiteralComparisons(
        event_times,
        np.array(coefficients),
        influences,
        len(used),
        len(used[PAIR].drop_duplicates()),
        used["year"].nunique(),
        pd.DataFrame(weights).fillna(0.0),
    )


def stacked_rows(long: pd.DataFrame, window: tuple[int, int], never_only: bool) -> pd.DataFrame:
    """Sub-experiments one upon the other, with corrective weights."""
    years, parts = set(long["year"]), []
    for cohort in sorted(set(long["adopted"])):
        if not np.isfinite(cohort) or not set(np.arange(cohort + window[0], cohort + window[1] + 1)) <= years:
            continue
        is_treated = long["adopted"] == cohort
        is_clean = long["adopted"] > (1e9 if never_only else cohort + max(window[1], 0))
        rows = long[(is_treated | is_clean) & long["year"].between(cohort + window[0], cohort + window[1])]
        if is_treated.any() and is_clean.any():
            rows = rows.assign(cohort=cohort, d=is_treated[rows.index].astype(float))
            parts.append(rows.assign(time=(rows["year"] - cohort).astype(int)))
    stack = pd.concat(parts, ignore_index=True)
    counts = stack.drop_duplicates([*PAIR, "cohort"]).groupby(["cohort", "d"]).size().unstack()
    shares = counts / counts.sum()
    weight = shares[1.0] / shares[0.0]
    return stack.assign(w=np.where(stack["d"] == 1, 1.0, stack["cohort"].map(weight)))


def _stacked_design(stack: pd.DataFrame, event_times: list[int], time: int) -> tuple[pd.DataFrame, Array]:
    """The coefficient of interest first."""
    order = [time, *(other for other in event_times if other != time)]
    dummies = np.stack([stack["time"] == other for other in order], axis=1).astype(float)
    treated = stack["d"].to_numpy()[:, None]
    return stack, np.concatenate([dummies * treated, dummies, treated, np.ones_like(treated)], axis=1)


def _projection_design(
    long: pd.DataFrame, time: int, base: int, kind: str, never_only: bool
) -> tuple[pd.DataFrame, Array]:
    """Long differences of new adopters and clean controls, year by year."""
    wide = long.pivot(index=PAIR, columns="year", values="y")
    adopted = long.groupby(PAIR)["adopted"].first()
    parts = []
    for year in wide.columns:
        if year + time not in wide.columns or year + base not in wide.columns:
            continue
        is_clean = np.isinf(adopted) if never_only else adopted > year + max(time, 0)
        rows = pd.DataFrame(
            {"y": wide[year + time] - wide[year + base], "d": (adopted == year).astype(float), "year": year}
        )[(adopted == year) | is_clean]
        if 0 < rows["d"].sum() < len(rows):
            share = 1 - rows["d"].mean()
            parts.append(rows.assign(w=1 / share if kind == "equal" else 1.0))
    rows = pd.concat(parts).reset_index()
    dummies = (rows["year"].to_numpy()[:, None] == rows["year"].unique()).astype(float)
    return rows, np.concatenate([rows["d"].to_numpy()[:, None], dummies], axis=1)


def sum_by_row(rows: pd.DataFrame, values: Array, shifts: dict[int, float]) -> pd.Series:
    """Values of rows added by the pair-years that these read, each shifted and times a factor."""
    parts = [
        rows[PAIR].assign(year=rows["year"] + shift, value=factor * values)
        for shift, factor in shifts.items()
    ]
    return pd.concat(parts).groupby([*PAIR, "year"])["value"].sum()


def weighted_least_squares(x: Array, rows: pd.DataFrame) -> tuple[float, pd.Series, Array]:
    """The first coefficient, its influence by pair, and what each row's outcome weighs in it."""
    y, w = rows["y"].to_numpy(), rows["w"].to_numpy()
    root = np.sqrt(w)
    slopes = np.linalg.lstsq(root[:, None] * x, root * y, rcond=None)[0]
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    on_rows = (x @ bread)[:, 0] * w
    score = pd.Series(on_rows * (y - x @ slopes))
    return float(slopes[0]), score.groupby([rows["city_i"], rows["city_j"]]).sum(), on_rows


def _rows_read(rows: pd.DataFrame, time: int, base: int, is_stack: bool) -> list[pd.DataFrame]:
    """Pair-years of the panel behind the rows of a regression."""
    if is_stack:
        return [rows[[*PAIR, "year"]]]
    return [rows[PAIR].assign(year=rows["year"] + shift) for shift in (time, base)]
