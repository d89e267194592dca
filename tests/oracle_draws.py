"""The slow and obvious oracle for draws: deal, rebuild, refit. numpy, pandas and `reference` only.

grid          cities -> every pair of them, with its force
relabelled    adoption dealt anew -> exclusion, strict screen, treatment or event dummies, long frame
resampled     the long frame of a literal resample of cities: copies are cities, same-origin pairs are not
studentised   coefficients and t ratios with literal dyadic sums, none where the regressors are collinear
weighted_fit  the same with a weight a pair, by one dummy a pair and one a year
wild_t        the wild cluster bootstrap by making y* and estimating again
two_way_t     the same on city and pair parts of the residuals, all effects as dummies
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import reference
from reference import PAIR

Array = np.ndarray[Any, np.dtype[np.float64]]

RANK = 1e-7
"""Regressors whose smallest singular value, of columns of length one, lies below are collinear: generic ones
stay above 1e-3, and rounding leaves 1e-15."""


@dataclass(frozen=True)
class Grid:
    """All pairs of cities, eligible or not.

    Attributes
    ----------
    long : DataFrame
        One row a pair and year: city_i, city_j, year, y, controls.
    force : Series or None
        By (city_i, city_j).
    """

    long: pd.DataFrame
    force: pd.Series | None


def grid(cities: pd.DataFrame, *, masses: Sequence[str] = (), **columns: Any) -> Grid:
    """Every pair; ``columns`` go to `reference.pair_panel`. Forces are rounded to 12 digits, so that ties tie."""
    sample = reference.pair_panel(cities, rule="count", **columns)
    long = sample.long.drop(columns=["gap", "policy", "adoption_i", "adoption_j"])
    if not masses:
        return Grid(long, None)
    mass = cities.groupby("city")[list(masses)].mean().prod(axis=1) ** (1 / len(masses))
    place = cities.groupby("city")[["latitude", "longitude"]].first()
    force = {
        (i, j): float(
            f"{mass[i] * mass[j] / reference.great_circle_km(*place.loc[i], *place.loc[j]) ** 2:.12g}"
        )
        for i, j in combinations(sorted(mass.index), 2)
        if tuple(place.loc[i]) != tuple(place.loc[j])
    }
    return Grid(long, pd.Series(force))


def lower_middle(values: Array) -> float:
    """The middle value, or the lower of the two: more than it is more than the median, of those values."""
    return float(np.sort(values)[(len(values) - 1) // 2])


def eligible(pairs: pd.DataFrame, adopted: Mapping[str, float], *, exclude: bool) -> Any:
    """Which rows hold pairs that the exclusion of both-treated pairs leaves."""
    if not exclude:
        return np.ones(len(pairs), dtype=bool)
    both = [np.isfinite(adopted[i]) and np.isfinite(adopted[j]) for i, j in pairs[PAIR].to_numpy()]
    return ~np.array(both)


def relabelled(
    everything: Grid,
    adopted: Mapping[str, float],
    *,
    rule: str = "exactly_one",
    exclude: bool = True,
    threshold: float | None = None,
    event: tuple[int, tuple[int, int]] | None = None,
    ends: str = "bin",
    shift: int = 0,
    drop_treated: bool = False,
    around: int | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The long frame under an adoption (city to year, inf for never), and the names of its treatment terms.

    ``threshold`` is a force that pairs must exceed; None takes the median of the eligible pairs themselves.
    ``event`` is base year and window, ``ends`` what becomes of the years beyond it. ``shift`` moves every adoption;
    ``drop_treated`` leaves out years from the true one of a pair on, ``around`` those farther from the moved one.
    """
    pairs = everything.long[PAIR].drop_duplicates()
    pairs = pairs[eligible(pairs, adopted, exclude=exclude)]
    if everything.force is not None:
        force = everything.force[list(pairs.itertuples(index=False, name=None))].to_numpy()
        pairs = pairs[force > (lower_middle(force) if threshold is None else threshold)]
    long = everything.long.merge(pairs, on=PAIR)
    for side in ("i", "j"):
        long[f"adoption_{side}"] = long[f"city_{side}"].map(adopted)
    if event is not None:
        return reference.event_dummies(long, rule=rule, base=event[0], window=event[1], ends=ends)
    both = long[["adoption_i", "adoption_j"]]
    first = both.max(axis=1) if rule == "both" else both.min(axis=1)
    if drop_treated:
        long = long[long["year"] < first]
    if around is not None:
        since = long["year"] - first - shift
        long = long[np.isinf(first) | (since.abs() <= around)]
    long = long.assign(**{name: both[name] + shift for name in both})
    i, j = (long["year"] >= long[f"adoption_{side}"] for side in ("i", "j"))
    value = {"exactly_one": i ^ j, "both": i & j, "either": i | j, "count": i.astype(int) + j.astype(int)}
    return long.assign(policy=value[rule].astype(float)), ["policy"]


def studentised(
    long: pd.DataFrame, regressors: Sequence[str], tested: Sequence[str], *, city_sums: bool = False
) -> tuple[Array, Array, Array]:
    """Coefficients, t ratios and dyadic errors of some regressors; NaN where the rows do not identify one.

    A variance that is not positive, or any with ``city_sums``, is replaced by the sum of squares of the cities'
    sums.
    """
    x = reference.residuals(long, [*regressors, "y"])[list(regressors)].to_numpy()
    identified, independent = _identified(x)
    estimates = pd.DataFrame(np.nan, index=list(tested), columns=["coefficient", "t", "error"])
    known = [
        name for name, is_known in zip(regressors, identified, strict=True) if is_known and name in tested
    ]
    if known:
        fit = reference.estimate(long, [regressors[k] for k in independent])
        place = [fit.names.index(name) for name in known]
        variance, node = np.diag(fit.dyadic())[place], np.diag(node_sums(fit))[place]
        error = np.sqrt(np.where((variance > 1e-12 * node) & (not city_sums), variance, node))
        coefficient = fit.coefficients[place]
        estimates.loc[known] = np.stack([coefficient, coefficient / error, error], axis=1)
    return estimates["coefficient"].to_numpy(), estimates["t"].to_numpy(), estimates["error"].to_numpy()


def _identified(x: Array) -> tuple[Array, list[int]]:
    """Which columns' coefficients are identified, and columns that span all: those, and as many of the others."""
    length = np.sqrt((x**2).sum(axis=0))
    x = np.where(length < RANK, 0.0, x / np.where(length < RANK, 1.0, length))
    _, size, axes = np.linalg.svd(x, full_matrices=False)
    identified = (axes[size < RANK] ** 2).sum(axis=0) < 1e-6
    independent = list(np.flatnonzero(identified))
    for column in np.flatnonzero(~identified):
        candidates = [*independent, column]
        if length[column] >= RANK and np.linalg.svd(x[:, candidates], compute_uv=False)[-1] >= RANK:
            independent = candidates
    return identified, sorted(int(column) for column in independent)


def city_influences(fit: reference.Estimate) -> pd.DataFrame:
    """Bread times score, summed over the pairs of each city."""
    psi = fit.scores[fit.names].to_numpy() @ fit.bread
    ends = [fit.scores[PAIR[side]].to_numpy() for side in (0, 1)]
    both = [pd.DataFrame(psi, index=end, columns=fit.names) for end in ends]
    return pd.concat(both).groupby(level=0).sum()


def node_sums(fit: reference.Estimate) -> Array:
    """sum_c psi_c psi_c' with the small-sample factors of the dyadic errors."""
    psi = city_influences(fit).to_numpy()
    return psi.T @ psi * fit.n_cities / (fit.n_cities - 1) * fit.parameters


def resampled(long: pd.DataFrame, counts: Mapping[str, int]) -> pd.DataFrame:
    """Each city as often as it was drawn; two copies of one city form no pair. Copies are named city#k."""
    copies = pd.DataFrame(
        [(city, f"{city}#{k}") for city, n in counts.items() for k in range(int(n))], columns=["city", "copy"]
    )
    for side in PAIR:
        long = long.merge(copies.rename(columns={"city": side}), on=side)
        long = long.drop(columns=side).rename(columns={"copy": side})
    return long


def dyadic_variances(psi: Array, ends: Array) -> Array:
    """Sums of psi psi' over every two pairs that share a city, by coefficient; city sums where these are not positive.

    ``psi`` ``[n_pairs, K]`` influences, ``ends`` ``[n_pairs, 2]`` names of cities; without a small-sample factor.
    """
    shared = np.array([[bool(set(p) & set(q)) for q in ends] for p in ends])
    by_city = np.array([psi[(ends == city).any(axis=1)].sum(axis=0) for city in np.unique(ends)])
    variance, node = np.einsum("pk,pq,qk->k", psi, shared, psi), (by_city**2).sum(axis=0)
    return np.where(variance > 1e-12 * node, variance, node)


def weighted_fit(
    long: pd.DataFrame, regressors: Sequence[str], weight: Mapping[str, float]
) -> tuple[Array, Array]:
    """Coefficients and dyadic variances where a row counts w_i w_j times, all effects as dummies.

    A copy of city i sees w_j copies of each j: sum_i w_i (sum_j w_j psi_ij)^2 less sum_p w_i w_j psi_p^2.
    """
    names = list(regressors)
    rows = long[np.isfinite(long[[*names, "y"]].to_numpy()).all(axis=1)]
    w = rows["city_i"].map(weight).to_numpy() * rows["city_j"].map(weight).to_numpy()
    rows, w = rows[w > 0], w[w > 0]
    alone = (rows.groupby(PAIR)["year"].transform("size") < 2).to_numpy()
    rows, w = rows[~alone], w[~alone]
    pair = rows.groupby(PAIR).ngroup().to_numpy()
    years = rows["year"].to_numpy()
    effects = np.hstack(
        [pair[:, None] == np.unique(pair), years[:, None] == np.unique(years)[1:]], dtype=np.float64
    )
    values, root = rows[[*names, "y"]].to_numpy(), np.sqrt(w)[:, None]
    left = values - effects @ np.linalg.lstsq(root * effects, root * values, rcond=None)[0]
    x, y = left[:, :-1], left[:, -1]
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    coefficients = bread @ (x.T @ (w * y))
    own = rows[PAIR].assign(
        **dict(zip(names, ((x * (y - x @ coefficients)[:, None]) @ bread).T, strict=True))
    )
    own = own.groupby(PAIR, as_index=False).sum()
    psi = own[names].to_numpy()
    n = sum(weight[city] for city in set(own["city_i"]) | set(own["city_j"]))
    w_i, w_j = (own[side].map(weight).to_numpy()[:, None] for side in PAIR)
    node = np.zeros(len(names))
    for city, times in weight.items():
        at_i, at_j = (own[side] == city for side in PAIR)
        total = (psi * w_j)[at_i].sum(axis=0) + (psi * w_i)[at_j].sum(axis=0)
        node += times * total**2
    meat = node - (w_i * w_j * psi**2).sum(axis=0)
    n_obs = w.sum()
    factor = (n_obs - 1) / (n_obs - len(names) - len(np.unique(years))) * n / (n - 1)
    return coefficients, meat * factor


def wild_t(
    long: pd.DataFrame, regressors: Sequence[str], tested: str, signs: Mapping[str, Array]
) -> tuple[float, Array]:
    """t ratios, the sample's and the draws', with clusters by first city and the null imposed in each y*.

    ``signs`` has the draws of each city. Errors carry no small-sample factor, which all t ratios share.
    """
    names = list(regressors)
    rows = reference.residuals(long, [*names, "y"])
    original = long.loc[rows.index]
    city = rows["city_i"].to_numpy()
    y = rows["y"].to_numpy()
    others = [name for name in names if name != tested]
    z = rows[others].to_numpy()
    fitted = z @ np.linalg.lstsq(z, y, rcond=None)[0] if others else np.zeros(len(y))
    restricted = y - fitted

    def t_ratio(outcome: Array) -> float:
        again = original[[*PAIR, "year"]].assign(y=outcome, **{name: original[name] for name in names})
        fit = reference.estimate(again, names)
        k = names.index(tested)
        clusters = (fit.scores.groupby("city_i")[names].sum().to_numpy() @ fit.bread)[:, k]
        return float(fit.coefficients[k] / np.sqrt((clusters**2).sum()))

    effects = original["y"].to_numpy() - y  # what the effects fit stays as it is in every y*
    n_draws = len(next(iter(signs.values())))
    assert set(city) <= set(signs), "every first city needs its signs"
    drawn = [
        t_ratio(effects + fitted + np.array([signs[c][b] for c in city]) * restricted) for b in range(n_draws)
    ]
    return t_ratio(original["y"].to_numpy()), np.array(drawn)


def two_way_t(
    rows: pd.DataFrame,
    regressors: Sequence[str],
    tested: str,
    signs: Mapping[str, Array],
    *,
    directed: bool = False,
) -> tuple[float, Array]:
    """t ratios, the sample's and the draws', of u* = v_i a_it + v_j a_jt + v_i v_j w_pt under the null.

    City parts of each year are least squares on dummies of the cities, the smallest ones where those are collinear;
    of directed tables senders and receivers have dummies of their own, and a dyad is one pair. Dyadic errors carry no
    small-sample factor; where one is not positive, city sums stand in.
    """
    i, j = rows["city_i"].to_numpy(), rows["city_j"].to_numpy()
    year, cities = rows["year"].to_numpy(), sorted(set(i) | set(j))
    pair = rows.groupby(PAIR).ngroup().to_numpy()
    dyad = pd.factorize(pd.Series([tuple(sorted(ends)) for ends in zip(i, j, strict=True)]))[0]
    effects = np.hstack(
        [pair[:, None] == np.unique(pair), year[:, None] == np.unique(year)[1:]], dtype=np.float64
    )

    def left(values: Array) -> Array:
        remainder: Array = values - effects @ np.linalg.lstsq(effects, values, rcond=None)[0]
        return remainder

    x = left(rows[list(regressors)].to_numpy(dtype=np.float64))
    k = list(regressors).index(tested)
    bread = np.linalg.inv(x.T @ x)

    def t_ratio(outcome: Array) -> float:
        y = left(outcome)
        b = bread @ (x.T @ y)
        psi = (x @ bread[:, k]) * (y - x @ b)
        of_cities = sum(float(psi[(i == city) | (j == city)].sum() ** 2) for city in cities)
        of_dyads = float((np.bincount(dyad, psi) ** 2).sum())
        variance = of_cities - of_dyads if of_cities - of_dyads > 1e-12 * of_cities else of_cities
        return float(b[k] / np.sqrt(variance))

    y = left(rows["y"].to_numpy(dtype=np.float64))
    others = np.delete(x, k, axis=1)
    fitted = others @ np.linalg.lstsq(others, y, rcond=None)[0] if others.shape[1] else np.zeros(len(y))
    residual = y - fitted
    first, second = (np.array(cities) == end[:, None] for end in (i, j))
    dummies = np.hstack([first, second]) if directed else first.astype(float) + second
    parts = np.zeros((2, len(y)))
    for t in np.unique(year):
        of_year = year == t
        alpha = np.linalg.lstsq(dummies[of_year].astype(float), residual[of_year], rcond=None)[0]
        sides = alpha.reshape(2, -1) if directed else np.stack([alpha, alpha])
        parts[0, of_year], parts[1, of_year] = first[of_year] @ sides[0], second[of_year] @ sides[1]
    own = residual - parts.sum(axis=0)
    drawn = []
    for b in range(len(next(iter(signs.values())))):
        v_i, v_j = (np.array([signs[city][b] for city in end]) for end in (i, j))
        drawn.append(t_ratio(v_i * parts[0] + v_j * parts[1] + v_i * v_j * own))
    return t_ratio(y), np.array(drawn)
