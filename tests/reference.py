"""The slow and obvious oracle: from a table of cities to four kinds of standard error, without the engine.

numpy and pandas only. Pairs are rows of a long frame ``city_i, city_j, year, y, ...``, one after the other;
formulas are the textbook's, not the stable or the fast ones; effects are dummies; who correlates with whom
is looked up pair by pair; a city is left out by leaving it out. Read it beside the paper.

    pair_panel      cities -> pairs -> exclusion -> median screen -> outcome, controls, treatment
    event_dummies   the long frame with one dummy an event year
    estimate        least squares with pair and year effects; pair, two-way, dyadic errors
    jackknife       the same sample estimated again without each city
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray[Any, np.dtype[np.float64]]

EARTH_RADIUS_KM = 6371.0088
PAIR = ["city_i", "city_j"]


def entropy_index(frame: pd.DataFrame, indicators: Sequence[str], negative: Sequence[str] = ()) -> pd.Series:
    """Development index of every row; weights pooled over the rows that have all indicators."""
    pool = frame[list(indicators)].dropna()
    scaled, divergence = {}, {}
    for name in indicators:
        low, high = pool[name].min(), pool[name].max()
        x = (high - pool[name]) / (high - low) if name in negative else (pool[name] - low) / (high - low)
        share = x / x.sum()
        share = share[share > 0]  # 0 ln 0 = 0
        entropy = -(share * np.log(share)).sum() / np.log(len(pool))
        scaled[name], divergence[name] = x, 1 - entropy
    total = sum(divergence.values())
    index = sum(scaled[name] * divergence[name] / total for name in indicators)
    return index.reindex(frame.index)


def great_circle_km(lat_i: float, lon_i: float, lat_j: float, lon_j: float) -> float:
    """Haversine distance of two points given in degrees."""
    phi_i, phi_j = np.radians(lat_i), np.radians(lat_j)
    half = np.sin((phi_j - phi_i) / 2) ** 2
    half += np.cos(phi_i) * np.cos(phi_j) * np.sin(np.radians(lon_j - lon_i) / 2) ** 2
    return float(2 * EARTH_RADIUS_KM * np.arcsin(np.sqrt(half)))


def synchronization(
    one: Array, other: Array, *, inside: Any | None = None, clip: float | None = None
) -> tuple[Array, Array]:
    """rho' of two series, year by year, and the distance of the standardised values behind it.

    Missing where either series is. Standardised over the years that both have, of those ``inside``; where
    ``inside`` leaves out years, rho has no lower bound and the transform no 2T - 3. Extended precision where
    the platform has it, because the textbook's 1 - rho loses the digits of close series.
    """
    both = ~np.isnan(one) & ~np.isnan(other)
    standard = both if inside is None else both & inside
    n = int(standard.sum())
    rho, distance = np.full(len(one), np.nan), np.full(len(one), np.nan)
    if n < 3:
        return rho, distance
    z = []
    for series in (one, other):
        series = series.astype(np.longdouble)
        mean = series[standard].sum() / n
        z.append((series - mean) / np.sqrt(((series[standard] - mean) ** 2).sum() / n))
    gap = np.abs(z[0] - z[1])
    bounded = inside is None or bool(np.all(inside))
    if clip is not None:
        gap = np.maximum(gap, clip)
        gap = np.minimum(gap, 2 * np.sqrt(np.longdouble(n - 1)) - clip) if bounded else gap
    index = 1 - gap**2 / 2
    with np.errstate(divide="ignore"):
        if bounded:
            transformed = np.log((1 + index / (2 * n - 3)) / (1 - index)) / 2
        else:
            transformed = np.log(1 / (1 - index)) / 2
    rho[both], distance[both] = transformed[both], gap[both]
    return rho, distance


@dataclass(frozen=True)
class Gravity:
    """The screen: masses are columns of the city table, averaged over the sample years."""

    masses: Sequence[str]


@dataclass(frozen=True)
class Sample:
    """Pairs after each filter, and the long frame of the last one; ``gap`` is |z_i - z_j| of each row."""

    n_all: int
    n_eligible: int
    n_kept: int
    long: pd.DataFrame


def pair_panel(
    cities: pd.DataFrame,
    *,
    series: str,
    adoption: str,
    rule: str,
    term: str = "policy",
    controls: Mapping[str, tuple[str, bool]] | None = None,
    exclude_both_treated: bool = False,
    gravity: Gravity | None = None,
    window: str = "full",
    clip: float | None = None,
    earlier: int = 0,
) -> Sample:
    """Every pair of cities in every year.

    Parameters
    ----------
    cities : DataFrame
        Columns city, year and what the other arguments name; the years of the sample only. A city-year that
        is not there, or has no value, is missing.
    series : str
        Column whose synchronization is the outcome y.
    adoption, rule, term : str
        Column with the adoption year, rule, and the name of the treatment term.
    controls : mapping
        Name to a city column and whether logs are taken: -|a_i - a_j| or -|ln a_i - ln a_j|.
    earlier : int
        Years by which a false timing moves every adoption, also into the sample from the years after it.
    """
    years = np.array(sorted(cities["year"].unique()))
    names = sorted(cities["city"].unique())
    adopted = cities.groupby("city")[adoption].first()
    adopted = adopted.where(adopted - earlier <= years[-1], np.inf)
    pairs = pd.DataFrame(list(combinations(names, 2)), columns=PAIR)
    n_all = len(pairs)
    g_i, g_j = adopted[pairs["city_i"]].to_numpy(), adopted[pairs["city_j"]].to_numpy()
    pairs["adoption_i"], pairs["adoption_j"] = g_i, g_j
    if exclude_both_treated:
        pairs = pairs[~(np.isfinite(g_i) & np.isfinite(g_j))]
    n_eligible = len(pairs)
    if gravity is not None:
        force = _force(pairs, cities, gravity)
        pairs = pairs[force > np.median(force)]
    long = pairs.merge(pd.DataFrame({"year": years}), how="cross")
    wide = cities.pivot(index="city", columns="year", values=series)
    inside = None if window == "full" else years < adopted.min()
    found = [
        synchronization(wide.loc[i].to_numpy(), wide.loc[j].to_numpy(), inside=inside, clip=clip)
        for i, j in pairs[PAIR].itertuples(index=False)
    ]
    long["y"] = np.concatenate([y for y, _ in found])
    long["gap"] = np.concatenate([gap for _, gap in found])
    columns = sorted({column for column, _ in (controls or {}).values()})
    for side in ("i", "j"):
        own = cities[["city", "year", *columns]].rename(columns={"city": f"city_{side}"})
        own = own.rename(columns={column: f"{column}_{side}" for column in columns})
        long = long.merge(own, how="left", on=[f"city_{side}", "year"], validate="many_to_one")
    for name, (column, logged) in (controls or {}).items():
        a, b = long[f"{column}_i"], long[f"{column}_j"]
        long[name] = -(np.log(a) - np.log(b)).abs() if logged else -(a - b).abs()
    on_i = (long["year"] >= long["adoption_i"] - earlier).astype(int)
    on_j = (long["year"] >= long["adoption_j"] - earlier).astype(int)
    long[term] = {
        "exactly_one": on_i ^ on_j,
        "both": on_i & on_j,
        "either": on_i | on_j,
        "count": on_i + on_j,
    }[rule].astype(float)
    kept = [*PAIR, "year", "y", "gap", *(controls or {}), term, "adoption_i", "adoption_j"]
    return Sample(n_all, n_eligible, len(pairs), long[kept])


def _force(pairs: pd.DataFrame, cities: pd.DataFrame, gravity: Gravity) -> Array:
    """F_ij = (P_i G_i S_i A_i)^(1/4) (P_j G_j S_j A_j)^(1/4) / D_ij^2."""
    mean = cities.groupby("city")[list(gravity.masses)].mean()
    mass = mean.prod(axis=1) ** (1 / len(gravity.masses))
    place = cities.groupby("city")[["latitude", "longitude"]].first()
    force = [
        mass[i] * mass[j] / great_circle_km(*place.loc[i], *place.loc[j]) ** 2
        for i, j in pairs[PAIR].itertuples(index=False)
    ]
    return np.array(force)


def event_dummies(
    long: pd.DataFrame, *, rule: str, base: int, window: tuple[int, int], ends: str, term: str = "policy"
) -> tuple[pd.DataFrame, list[str]]:
    """The long frame with a dummy for each event year but the base, and their names.

    ``ends: bin`` lets years outside the window join its ends; ``drop`` removes their rows.
    """
    ends_of_pair = long[["adoption_i", "adoption_j"]]
    adopted = ends_of_pair.max(axis=1) if rule == "both" else ends_of_pair.min(axis=1)
    event = (long["year"] - adopted).where(np.isfinite(adopted))  # missing: never treated
    if ends == "drop":
        stays = event.isna() | event.between(*window)
        long, event = long[stays], event[stays]
    event = event.clip(*window)
    shown = [time for time in range(window[0], window[1] + 1) if time != base]
    dummies = {f"{term}[{time:+d}]": (event == time).astype(float) for time in shown}
    return long.assign(**dummies), list(dummies)


@dataclass(frozen=True)
class Estimate:
    """Least squares with pair and year effects.

    Attributes
    ----------
    names : list of str
    coefficients : float64 ``[K]``
    bread : float64 ``[K, K]``
    scores : DataFrame
        One row a pair: city_i, city_j, and r'e summed over its years in K further columns.
    n_obs, n_pairs, n_cities, n_years : int
    r2, r2_within : float
    """

    names: list[str]
    coefficients: Array
    bread: Array
    scores: pd.DataFrame
    n_obs: int
    n_pairs: int
    n_cities: int
    n_years: int
    r2: float
    r2_within: float

    @property
    def parameters(self) -> float:
        """(n - 1) / (n - K), K counting coefficients and year effects; pair effects are nested in clusters."""
        return (self.n_obs - 1) / (self.n_obs - len(self.names) - self.n_years)

    def sandwich(self, meat: Array, n_clusters: int) -> Array:
        """Bread, meat, bread, with both small-sample factors."""
        return self.bread @ meat @ self.bread * n_clusters / (n_clusters - 1) * self.parameters

    def pair(self) -> Array:
        """Covariance with clusters by pair."""
        s = self.scores[self.names].to_numpy()
        return self.sandwich(s.T @ s, len(s))

    def two_way(self) -> Array:
        """Covariance with clusters by first and by second city (Cameron, Gelbach and Miller 2011)."""
        s = self.scores[self.names].to_numpy()
        first = self.scores.groupby("city_i")[self.names].sum().to_numpy()
        second = self.scores.groupby("city_j")[self.names].sum().to_numpy()
        return self.sandwich(first.T @ first + second.T @ second - s.T @ s, min(len(first), len(second)))

    def dyadic(self) -> Array:
        """Covariance where two pairs may correlate if a city, in whatever position, is in both."""
        s = self.scores[self.names].to_numpy()
        ends = list(self.scores[PAIR].itertuples(index=False))
        pairs_of: dict[str, list[int]] = {}
        for p, (i, j) in enumerate(ends):
            pairs_of.setdefault(i, []).append(p)
            pairs_of.setdefault(j, []).append(p)
        meat = np.zeros((len(self.names),) * 2)
        for p, (i, j) in enumerate(ends):
            related = np.union1d(pairs_of[i], pairs_of[j])
            meat += np.outer(s[p], s[related].sum(axis=0))
        return self.sandwich(meat, self.n_cities)

    def city_sums(self) -> Array:
        """The dyadic covariance without its subtraction: what stands in where a variance is not positive."""
        s = self.scores[self.names].to_numpy()
        ends = self.scores[PAIR].to_numpy()
        sums = np.stack([s[(ends == city).any(axis=1)].sum(axis=0) for city in np.unique(ends)])
        return self.sandwich(sums.T @ sums, self.n_cities)


def residuals(long: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Each column less its projection on pair and year dummies: pair means first, then the year dummies.

    Rows with a missing or infinite value are not used, nor are those alone in their pair or year, until there are
    none (fixest's rule).
    """
    usable = np.isfinite(long[list(columns)].to_numpy()).all(axis=1)
    rows = long[usable]
    while True:
        together = rows.groupby(PAIR)["year"].transform("size") > 1
        together &= rows.groupby("year")["year"].transform("size") > 1
        if together.all():
            break
        rows = rows[together]
    pair = rows.groupby(PAIR, sort=False).ngroup().to_numpy()
    size = np.bincount(pair)

    def within_pair(values: Array) -> Array:
        means = np.stack([np.bincount(pair, column) / size for column in values.T], axis=1)
        return values - means[pair]

    dummies = within_pair((rows["year"].to_numpy()[:, None] == np.unique(rows["year"])).astype(float))
    values = within_pair(rows[list(columns)].to_numpy())
    fitted = dummies @ np.linalg.lstsq(dummies, values, rcond=None)[0]
    return rows[[*PAIR, "year"]].assign(**dict(zip(columns, (values - fitted).T, strict=True)))


def estimate(long: pd.DataFrame, regressors: Sequence[str], outcome: str = "y") -> Estimate:
    """Least squares of the outcome on the regressors with pair and year effects."""
    names = list(regressors)
    rows = residuals(long, [*names, outcome])
    x, y = rows[names].to_numpy(), rows[outcome].to_numpy()
    coefficients = np.linalg.lstsq(x, y, rcond=None)[0]
    error = y - x @ coefficients
    scores = rows[PAIR].assign(**dict(zip(names, (x * error[:, None]).T, strict=True)))
    scores = scores.groupby(PAIR, as_index=False).sum()
    original = long.loc[rows.index, outcome].to_numpy()
    return Estimate(
        names=names,
        coefficients=coefficients,
        bread=np.linalg.inv(x.T @ x),
        scores=scores,
        n_obs=len(rows),
        n_pairs=len(scores),
        n_cities=len(set(rows["city_i"]) | set(rows["city_j"])),
        n_years=rows["year"].nunique(),
        r2=1 - error @ error / ((original - original.mean()) ** 2).sum(),
        r2_within=1 - error @ error / (y @ y),
    )


def jackknife(long: pd.DataFrame, models: Iterable[Sequence[str]], outcome: str = "y") -> list[Array]:
    """Leave-one-city-out covariance of each model: (N-1)/N sum_c (b_(-c) - b)(b_(-c) - b)'.

    The models share one sample: rows lacking any of their columns are out for all of them.
    """
    models = [list(names) for names in models]
    columns = list(dict.fromkeys([*(name for names in models for name in names), outcome]))

    def coefficients(rows: pd.DataFrame) -> list[Array]:
        left = residuals(rows, columns)
        y = left[outcome].to_numpy()
        return [np.linalg.lstsq(left[names].to_numpy(), y, rcond=None)[0] for names in models]

    used = residuals(long, columns)
    names = sorted(set(used["city_i"]) | set(used["city_j"]))
    whole = coefficients(long)
    out = [np.zeros((len(model), len(model))) for model in models]
    for city in names:
        without = coefficients(long[(long["city_i"] != city) & (long["city_j"] != city)])
        for n, (one, full) in enumerate(zip(without, whole, strict=True)):
            out[n] += np.outer(one - full, one - full) * (len(names) - 1) / len(names)
    return out


def non_negative(matrix: Array) -> Array:
    """The covariance with its negative eigenvalues set to zero, terms of positive variance keeping theirs."""
    values, vectors = np.linalg.eigh(matrix)
    clipped = vectors @ np.diag(np.maximum(values, 0)) @ vectors.T
    back = np.sqrt(np.where(np.diag(matrix) > 0, np.diag(matrix) / np.diag(clipped), 1.0))
    return clipped * np.outer(back, back)


def guarded_errors(covariance: Array, instead: Array) -> Array:
    """Standard errors; of a term whose variance is not positive those of the other covariance."""
    return standard_errors(np.where(np.diag(covariance) > 0, covariance, instead))


def standard_errors(covariance: Array) -> Array:
    """Square roots of the diagonal."""
    return np.sqrt(np.diag(covariance))
