"""Errors of near cities by literal arithmetic on rows of pairs, refitting samples without neighbourhoods."""

from __future__ import annotations

import numpy as np
import oracle_draws as oracle
import pandas as pd
import reference

CITIES = ["city_i", "city_j"]


def refit(long: pd.DataFrame, regressors: list[str], left_out: set[str]) -> np.ndarray:
    """Coefficients without the rows of some cities; NaN where one is not identified."""
    rows = long[~long["city_i"].isin(left_out) & ~long["city_j"].isin(left_out)]
    try:
        left = reference.residuals(rows, [*regressors, "y"])
    except ValueError:  # no row is left
        return np.full(len(regressors), np.nan)
    x, y = left[regressors].to_numpy(), left["y"].to_numpy()
    identified, _ = oracle._identified(x)
    return np.where(identified, np.linalg.lstsq(x, y, rcond=1e-9)[0], np.nan)


def literal(
    long: pd.DataFrame,
    regressors: list[str],
    names: list[str],
    distance: np.ndarray,
    radii: dict[float, float],
) -> dict[str, np.ndarray]:
    """Standard errors and degrees of freedom; ``radii``: weights of uniform kernels."""
    left = reference.residuals(long, [*regressors, "y"])
    rows = long.loc[left.index]
    x, y = left[regressors].to_numpy(), left["y"].to_numpy()
    bread = np.linalg.inv(x.T @ x)
    b = bread @ x.T @ y
    residual, weight = y - x @ b, x @ bread
    first, second = (rows[side].map(names.index).to_numpy() for side in CITIES)
    pair, year = (
        np.unique(code, return_inverse=True)[1]
        for code in (first * len(names) + second, rows["year"].to_numpy())
    )
    n_years = year.max() + 1
    ends = np.zeros((len(rows), len(names) * n_years))
    for side in (first, second):
        ends[np.arange(len(rows)), side * n_years + year] += 1.0
    without_ends = residual - ends @ np.linalg.lstsq(ends, residual, rcond=None)[0]
    of_pair = np.eye(pair.max() + 1)[pair].T
    phi, kappa = of_pair @ (weight * without_ends[:, None]), of_pair @ weight**2
    i, j = (np.array([side[pair == p][0] for p in range(pair.max() + 1)]) for side in (first, second))
    kernel = sum(share * (distance <= radius) for radius, share in radii.items())
    factor = len(rows) / (len(rows) - np.linalg.matrix_rank(ends))
    interaction = factor * ((1 + 2 * kernel[i, j])[:, None] * phi**2).sum(axis=0)
    in_city = np.array([(first == unit) | (second == unit) for unit in range(len(names))])
    influence = in_city @ (weight * residual[:, None])
    alone = np.array([b - refit(long, regressors, {name}) for name in names])
    alone = np.where(np.isnan(alone), influence, alone)
    step = np.zeros_like(influence)
    for radius, share in radii.items():
        for unit in range(len(names)):
            near = np.flatnonzero(distance[unit] <= radius)
            of_radius = b - refit(long, regressors, {names[k] for k in near})
            step[unit] += share * np.where(np.isnan(of_radius), alone[near].sum(axis=0), of_radius)
    plain = factor * (phi**2).sum(axis=0)
    variance = np.maximum((influence * step).sum(axis=0) - interaction, plain / 4)
    a = np.array([[weight[rows_of & (year == t)].sum(axis=0) for t in range(n_years)] for rows_of in in_city])
    effective = []
    for k in range(len(b)):
        product = kernel @ (kernel * (a[:, :, k] @ a[:, :, k].T))
        effective.append(np.trace(product) ** 2 / np.trace(product @ product))
    of_city = in_city @ weight**2
    weighted = kappa.sum(axis=0) ** 2 / ((of_city**2).sum(axis=0) - (kappa**2).sum(axis=0))
    dof = np.maximum(1.0, np.minimum(effective, weighted) - 0.5)
    return {"std_error": np.sqrt(variance), "dof": dof}
