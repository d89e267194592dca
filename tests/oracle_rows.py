"""The slow and obvious oracle for rows with any fixed effects: dummies, least squares, literal sums. No engine.

Levels are centred in extended precision before anything is squared, so that an offset costs no digits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import reference
from reference import PAIR

Array = np.ndarray[Any, np.dtype[np.float64]]
Effects = Mapping[str, Callable[[pd.DataFrame], pd.DataFrame]]
"""Name of an effect to the levels of each row: one column, or several where a row has several levels of it."""

RANK = 1e-7


def pair(rows: pd.DataFrame) -> pd.DataFrame:
    """Each (ordered) pair."""
    return (rows["city_i"].astype(str) + "|" + rows["city_j"].astype(str)).to_frame()


def year(rows: pd.DataFrame) -> pd.DataFrame:
    """Each year."""
    return rows[["year"]]


def city_by_year(rows: pd.DataFrame) -> pd.DataFrame:
    """Each city in each year, through both ends of a pair."""
    return pd.DataFrame({side: rows[side].astype(str) + "@" + rows["year"].astype(str) for side in PAIR})


def by_year(name: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Each value of a column in each year."""
    return lambda rows: (rows[name].astype(str) + "@" + rows["year"].astype(str)).to_frame()


def of_column(name: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Each value of a column."""
    return lambda rows: rows[[name]]


def used_rows(
    rows: pd.DataFrame, columns: Sequence[str], effects: Effects, weight: str | None
) -> pd.DataFrame:
    """Rows that have all columns and a weight, and are alone in no level, however many rounds that takes."""
    usable = np.isfinite(rows[list(columns)].to_numpy(dtype=float)).all(axis=1)
    if weight is not None:
        usable &= rows[weight].to_numpy() > 0
    rows = rows[usable]
    while True:
        alone = np.zeros(len(rows), dtype=bool)
        for levels in effects.values():
            frame = levels(rows)
            sizes = pd.concat([frame[name] for name in frame]).value_counts()
            for name in frame:
                alone |= (frame[name].map(sizes) == 1).to_numpy()
        if not alone.any():
            return rows
        rows = rows[~alone]


def dummies(rows: pd.DataFrame, effects: Effects) -> Array:
    """All dummies of all effects; a row has a one for each of its levels."""
    blocks = []
    for levels in effects.values():
        frame = levels(rows)
        blocks.append(
            sum(pd.get_dummies(frame[name]).reindex(columns=_levels(frame), fill_value=0) for name in frame)
        )
    return np.hstack([np.asarray(block, dtype=float) for block in blocks])


def _levels(frame: pd.DataFrame) -> list[Any]:
    return sorted(set().union(*(frame[name] for name in frame)))


def within(rows: pd.DataFrame, columns: Sequence[str], effects: Effects, weight: str | None) -> Array:
    """The columns less their weighted projection on all dummies, ``[n_rows, n_columns]``."""
    levels = rows[list(columns)].to_numpy(dtype=np.longdouble)
    spread = np.abs(levels - levels.mean(axis=0)).max(axis=0)
    scaled = ((levels - levels.mean(axis=0)) / np.where(spread > 0, spread, 1)).astype(float)
    root = np.ones((len(rows), 1)) if weight is None else np.sqrt(rows[[weight]].to_numpy(dtype=float))
    design = dummies(rows, effects)
    for _ in range(2):  # the second round takes out what rounding left
        scaled = scaled - design @ np.linalg.lstsq(root * design, root * scaled, rcond=1e-11)[0]
    return scaled * spread.astype(float)


def identified(x: Array, weights: Array) -> bool:
    """Whether columns are linearly independent, of length one each."""
    x = np.sqrt(weights)[:, None] * x
    length = np.sqrt((x**2).sum(axis=0))
    return bool((length > 0).all()) and float(np.linalg.svd(x / length, compute_uv=False)[-1]) > RANK


def n_parameters(rows: pd.DataFrame, effects: Effects) -> int:
    """Degrees of freedom that effects take, as fixest counts them: none for those nested in pairs."""
    pairs = pair(rows).iloc[:, 0]
    total, nested = 0, 0
    for levels in effects.values():
        frame = levels(rows)
        n_levels = len(_levels(frame))
        total += n_levels
        if frame.shape[1] == 1 and frame.iloc[:, 0].groupby(pairs.to_numpy()).nunique().max() == 1:
            nested += n_levels - 1
    return total - (len(effects) - 1) - nested


def fit(
    rows: pd.DataFrame,
    names: Sequence[str],
    effects: Effects,
    *,
    outcome: str = "y",
    weight: str | None = None,
    instrument: tuple[str, str] | None = None,
) -> reference.Estimate | None:
    """Weighted least squares, or two-stage with ``instrument`` (of, by); None where it is not identified."""
    names = list(names)
    extra = [instrument[1]] if instrument else []
    rows = used_rows(rows, [*names, outcome, *extra], effects, weight)
    if len(rows) < len(names) + 2:
        return None
    left = within(rows, [*names, outcome, *extra], effects, weight)
    x, y = left[:, : len(names)], left[:, len(names)]
    w = np.ones(len(rows)) if weight is None else rows[weight].to_numpy(dtype=float)
    w = w / w.mean()
    fitted = x
    if instrument:
        z = x.copy()
        z[:, names.index(instrument[0])] = left[:, -1]
        if not identified(z, w):
            return None
        fitted = z @ np.linalg.solve(z.T @ (w[:, None] * z), z.T @ (w[:, None] * x))
    if not identified(fitted, w):
        return None
    root = np.sqrt(w)
    length = np.sqrt(
        (fitted**2).sum(axis=0)
    )  # columns of one length: units of 1e-6 and 1e6 keep their digits
    coefficients = np.linalg.lstsq(root[:, None] * (fitted / length), root * y, rcond=None)[0] / length
    error = y - x @ coefficients
    scores = rows[PAIR].assign(**dict(zip(names, (w * error * fitted.T), strict=True)))
    scores = scores.groupby(PAIR, as_index=False).sum()
    original = rows[outcome].to_numpy(dtype=np.longdouble)
    centred = original - (w * original).sum() / w.sum()
    return reference.Estimate(
        names=names,
        coefficients=coefficients,
        bread=np.linalg.inv(fitted.T @ (w[:, None] * fitted)),
        scores=scores,
        n_obs=len(rows),
        n_pairs=len(scores),
        n_cities=len(set(rows["city_i"]) | set(rows["city_j"])),
        n_years=n_parameters(rows, effects),
        r2=float(1 - (w * error**2).sum() / (w * centred**2).sum()),
        r2_within=float(1 - (w * error**2).sum() / (w * y**2).sum()),
    )


def jackknife(rows: pd.DataFrame, names: Sequence[str], effects: Effects, **options: Any) -> Array | None:
    """Leave-one-city-out covariance of literal refits; None where one of them is not identified."""
    whole = fit(rows, names, effects, **options)
    assert whole is not None
    extra = [options["instrument"][1]] if options.get("instrument") else []
    columns = [*names, options.get("outcome", "y"), *extra]
    used = used_rows(rows, columns, effects, options.get("weight"))
    cities = sorted(set(used["city_i"]) | set(used["city_j"]))
    total = np.zeros((len(names), len(names)))
    for city in cities:
        without = fit(used[(used["city_i"] != city) & (used["city_j"] != city)], names, effects, **options)
        if without is None:
            return None
        step = without.coefficients - whole.coefficients
        total += np.outer(step, step) * (len(cities) - 1) / len(cities)
    return total
