"""From city moments to the normal equations of a regression on year dummies, columns and treatment terms.

A treatment term of classes (g, h) is E d_gh, so its moments are those of the year dummies combined; the
result holds one matrix a city, from which the full sample, every leave-one-city-out sample and every city
score are read off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from engine.arrays import Array, Flags, Integers, check_shape
from engine.errors import InputError
from engine.estimate.terms import Term
from engine.pairs.moments import CityMoments, Layout

SMALLEST = 1e-10  # share of the within-pair variation that must be left of every combination of regressors


@dataclass(frozen=True)
class Normal:
    """Moment matrices by city over the coordinates [years | columns | terms | outcome].

    Attributes
    ----------
    terms : tuple of Term
        Columns and treatment terms, in order (the regressors a cell may choose from).
    n_years : int
    balanced : bool
        No pair-year is missing.
    first, second : float64 ``[n_units, Q, Q]``, Q = n_years + len(terms) + 1
        Sums over the pairs in which a city stands first (second).
    totals : float64 ``[n_units, 2, 4]``
        Pairs, observations, sum and square of the outcome's pair means, by position of the city.
    weight : float
        Sum of the weights of all rows.
    profile : float64 ``[n_years]`` or None
        What was subtracted from the outcome in each year, see `moments.CityMoments`.
    """

    terms: tuple[Term, ...]
    n_years: int
    balanced: bool
    first: Array
    second: Array
    totals: Array
    weight: float
    profile: Array | None = None

    @cached_property
    def total(self) -> Array:
        """``[Q, Q]`` full sample: every pair has one first city."""
        return np.asarray(self.first.sum(axis=0))

    @cached_property
    def of_cities(self) -> Array:
        """``[n_units, Q, Q]`` sums over all pairs of a city."""
        return np.asarray(self.first + self.second)

    @cached_property
    def outcome_variation(self) -> float:
        """Sum of squares of the outcome around its mean over all rows."""
        n_years, total = self.n_years, self.total
        _, _, mean_sum, mean_square = self.totals[:, 0].sum(axis=0)
        within = total[-1, -1]
        if self.profile is not None:
            years = total[:n_years, :n_years] @ self.profile + 2 * total[:n_years, -1]
            within = within + self.profile @ years
        return float(within + mean_square - mean_sum**2 / self.weight)

    def positions(self, terms: Iterable[Term]) -> tuple[int, ...]:
        """Where some terms stand in [columns | terms]."""
        return tuple(self._places[term] for term in terms)

    @cached_property
    def _places(self) -> dict[Term, int]:
        return {term: place for place, term in enumerate(self.terms)}

    @cached_property
    def counts(self) -> dict[str, int]:
        """Rows, pairs and cities of the full sample, by the names that `Estimate` has for them."""
        n_pairs, n_obs = self.totals[:, 0, :2].sum(axis=0)
        present = self.totals[:, :, 0] > 0
        return {
            "n_obs": int(n_obs),
            "n_pairs": int(n_pairs),
            "n_units": int(present.any(axis=1).sum()),
            "n_first": int(present[:, 0].sum()),
            "n_second": int(present[:, 1].sum()),
        }

    @cached_property
    def n_observed_years(self) -> int:
        """Years that have rows."""
        return int((np.diag(self.total)[: self.n_years] > 0).sum())

    def without_city(self) -> Array:
        """``[n_units, Q, Q]`` moments of each leave-one-city-out sample."""
        return np.asarray(self.total - self.first - self.second)


def normal_equations(
    moments: CityMoments, classes: Integers, *, terms: tuple[Term, ...], table: Array
) -> Normal:
    """Moments over [years | columns | terms | outcome] from moments over [years | columns | outcome].

    Parameters
    ----------
    moments : CityMoments
    classes : int ``[n_units]``
    terms : tuple of Term
        Regressor columns (the outcome follows them), then treatment terms.
    table : float64 ``[H, H, T, r]``
        Treatment paths by the classes of the two cities.
    """
    check_shape("classes", classes, (len(moments.first),))
    n_classes, n_years = moments.first.shape[1], moments.layout.n_years
    check_shape("table", table, (n_classes, n_classes, n_years, len(terms) + 1 - moments.layout.n_columns))
    paths = table[classes]
    first, totals_first = expand(moments.layout, moments.first, paths)
    second, totals_second = expand(moments.layout, moments.second, paths)
    return Normal(
        terms=terms,
        n_years=moments.layout.n_years,
        balanced=moments.layout.balanced,
        first=first,
        second=second,
        totals=np.stack([totals_first, totals_second], axis=1),
        weight=moments.weight,
        profile=moments.profile,
    )


def expand(layout: Layout, sums: Array, paths: Array) -> tuple[Array, Array]:
    """Moments over [years | columns | terms | outcome] of samples whose pairs are summed by type.

    Parameters
    ----------
    layout : Layout
    sums : float64 ``[n_samples, n_types, size]``
        Pair statistics summed by type of pair; within a type all pairs share a treatment path.
    paths : float64 ``[n_samples or 1, n_types, T, r]``
        Treatment path of each type.

    Returns
    -------
    float64 ``[n_samples, Q, Q]``, Q = T + columns + r, and the totals ``[n_samples, 4]``.
    """
    totals, ee, ev, vv = layout.split(sums.sum(axis=1))
    t, m, r = layout.n_years, layout.n_columns, paths.shape[-1]
    out = np.empty((len(sums), t + m + r, t + m + r))
    x, d, y = slice(t, t + m - 1), slice(t + m - 1, t + m - 1 + r), -1
    years = slice(0, t)
    out[:, years, years] = ee
    out[:, years, x], out[:, years, y] = ev[:, :, :-1], ev[:, :, -1]
    out[:, x, x], out[:, x, y], out[:, y, y] = vv[:, :-1, :-1], vv[:, :-1, -1], vv[:, -1, -1]
    if r:
        ed, vd, dd = _term_blocks(layout, sums, paths)
        out[:, years, d] = ed
        out[:, x, d] = vd[:, :-1]
        out[:, d, y] = vd[:, -1]
        out[:, d, d] = dd
    lower = np.tril_indices(t + m + r, -1)
    out[:, lower[0], lower[1]] = out[:, lower[1], lower[0]]
    return out, totals


def _term_blocks(layout: Layout, sums: Array, paths: Array) -> tuple[Array, Array, Array]:
    """Blocks [E'D, V'D, D'D] of each sample."""
    if layout.balanced:
        # EE = pairs (I - 11'/T): demeaned paths, weighted by the number of pairs.
        demeaned = np.broadcast_to(paths - paths.mean(axis=2, keepdims=True), (len(sums), *paths.shape[1:]))
        weighted = sums[:, :, 0, None, None] * demeaned
        ed = weighted.sum(axis=1)
        dd = np.einsum("nhtr,nhts->nrs", demeaned, weighted, optimize=True)
        ev = sums[:, :, 4 : 4 + layout.n_ev].reshape(*sums.shape[:2], layout.n_years, layout.n_columns)
    else:
        _, ee, ev, _ = layout.split(sums)
        by_class = ee @ paths
        ed = by_class.sum(axis=1)
        dd = np.einsum("nhtr,nhts->nrs", np.broadcast_to(paths, by_class.shape), by_class, optimize=True)
    wide = np.broadcast_to(paths, (len(sums), *paths.shape[1:]))
    return ed, np.einsum("nhtm,nhtr->nmr", ev, wide, optimize=True), dd


@dataclass(frozen=True)
class Projected:
    """Moments after the years are partialled out.

    Attributes
    ----------
    q : float64 ``[..., q, q]``
        Over [columns | terms | outcome].
    on_years : float64 ``[..., n_years, q]``
        Coefficients of those on the year dummies (zero in the base year).
    """

    q: Array
    on_years: Array

    def paths(
        self,
        values: Array,
        weights: Array,
        *,
        regressors: Sequence[int],
        instruments: Sequence[int],
        outcomes: Sequence[int],
    ) -> tuple[Array, Array]:
        """Coefficients that turn [years | columns | terms | outcome] of a pair into residual and weight paths.

        Parameters
        ----------
        values : float64 ``[..., n_outcomes, K]``
            Coefficients of the regressors.
        weights : float64 ``[..., K, n]``
            What turns the residualised instruments into weights.
        regressors, instruments, outcomes : sequence of int
            Positions in [columns | terms | outcome].

        Returns
        -------
        float64 ``[..., n_outcomes, Q]``, ``[..., Q, n]``
        """
        *lead, t, size = self.on_years.shape
        residual = np.zeros((*lead, len(outcomes), t + size))
        residual[..., range(len(outcomes)), [t + k % size for k in outcomes]] = 1.0
        residual[..., [t + k for k in regressors]] -= values
        fitted = values @ np.swapaxes(self.on_years[..., regressors], -1, -2)
        residual[..., :t] = fitted - np.swapaxes(self.on_years[..., outcomes], -1, -2)
        weight = np.zeros((*lead, t + size, weights.shape[-1]))
        weight[..., [t + k for k in instruments], :] = weights
        weight[..., :t, :] = -self.on_years[..., instruments] @ weights
        return residual, weight


def partial_inverse(scaled: Array) -> tuple[Array, Flags, int]:
    """Generalised inverse of ``[K, K]`` without what is not identified, which axes are ``[K]``, and the rank.

    A coefficient is identified where its axis is orthogonal to the null space.
    """
    eigenvalues, vectors = np.linalg.eigh(scaled)
    live, size = vectors[:, eigenvalues > SMALLEST], eigenvalues[eigenvalues > SMALLEST]
    return (live / size) @ live.T, (live**2).sum(axis=1) > 1 - 1e-6, len(size)


def partial_out_years(matrix: Array, n_years: int, *, balanced: bool) -> Projected:
    """Project moments ``[..., Q, Q]`` off the year dummies; years without observations are left out.

    Balanced samples have EE = W (I - 11'/T) with W pairs, so the projection is a division. Else the first
    year that has observations is the base, and where the year dummies are not identified (years that share
    no pair) the pseudo-inverse is used: fitted values are unique all the same.
    """
    years, rest = slice(0, n_years), slice(n_years, None)
    ee, ev = matrix[..., years, years], matrix[..., years, rest]
    if balanced:
        pairs = ee[..., :1, :1] / (1.0 - 1.0 / n_years)
        on_years = (ev - ev[..., :1, :]) / np.where(pairs > 0, pairs, 1.0)
    else:
        on_years = np.zeros_like(ev)
        seen = np.flatnonzero(np.diagonal(ee, axis1=-2, axis2=-1).reshape(-1, n_years).max(axis=0) > 0)
        if len(seen) > 1:
            free = seen[1:]
            on_years[..., free, :] = _solve(ee[..., free[:, None], free], ev[..., free, :])
    return Projected(matrix[..., rest, rest] - np.swapaxes(ev, -1, -2) @ on_years, on_years)


def _solve(a: Array, b: Array) -> Array:
    """Solve symmetric non-negative systems; the singular ones of the stack by pseudo-inverse.

    One scale serves the stack: what is nothing beside the other matrices is rounding, of either sign.
    """
    largest = np.diagonal(a, axis1=-2, axis2=-1).reshape(-1, a.shape[-1]).max(axis=0)
    scale = np.sqrt(np.maximum(largest, np.finfo(float).tiny))
    scaled = a / scale[:, None] / scale
    smallest = np.linalg.eigvalsh(scaled)[..., 0]
    if (smallest > 1e-10).all():
        return np.asarray(np.linalg.solve(a, b))
    inverse = np.linalg.pinv(scaled, rcond=1e-10, hermitian=True)
    return np.asarray((inverse @ (b / scale[:, None])) / scale[:, None])


def inverse(a: Array, left: Array, right: Array) -> Array:
    """a^{-1} for matrices ``[..., k, k]`` whose rows and columns are of lengths ``left`` and ``right`` ``[k]``.

    Pivots are compared between rows, so that columns of other units would cost digits: they are made of one size first.
    """
    return np.asarray(np.linalg.inv(a / left[:, None] / right) / right[:, None] / left)


def moment_inverse(moments: Array) -> Array:
    """A generalised inverse of moments ``[K, K]``: the inverse, unless years that share no pair leave it singular."""
    size = lengths(np.diag(moments))
    generalised, _, rank = partial_inverse(moments / size[:, None] / size)
    if rank == len(moments):
        return inverse(moments, size, size)
    return np.asarray(generalised / size[:, None] / size)


def lengths(diagonal: Array) -> Array:
    """Square roots of the diagonal of a moment matrix as powers of two, by which division is exact; 1 for zeros."""
    positive = np.where(diagonal > 0, diagonal, 1.0)
    return np.asarray(np.exp2(np.round(0.5 * np.log2(positive))))


def collinear(q: Array, raw: Array, names: tuple[str, ...], tolerance: float = 1e-9) -> list[str]:
    """Names of regressors that those before them, with pair and year effects, explain entirely.

    Parameters
    ----------
    q : float64 ``[k, k]``
        Moments after both effects.
    raw : float64 ``[k]``
        Within-pair sums of squares before the year effects.
    names : tuple of str
    tolerance : float
        Share of the within-pair variation that must be left (fixest's collin.tol has the same size).
    """
    work, out = np.array(q), []
    for k, name in enumerate(names):
        if not work[k, k] > tolerance * raw[k]:
            out.append(name)
            continue
        work -= np.outer(work[:, k], work[k]) / work[k, k]
    return out


def explaining(q: Array, k: int, others: list[int], names: tuple[str, ...]) -> list[str]:
    """Those of the other regressors that explain regressor k, by their share of it."""
    size = lengths(np.diag(q)[others])
    scaled = q[np.ix_(others, others)] / size[:, None] / size
    weights = np.linalg.lstsq(scaled, q[others, k] / size, rcond=1e-12)[0]
    share = weights**2 * np.diag(scaled)
    return [names[n] for n, s in zip(others, share, strict=True) if s > 1e-6 * share.max()]


def refuse_collinear(q: Array, raw: Array, names: tuple[str, ...]) -> None:
    """Raise InputError that names collinear regressors and what they depend on."""
    dropped = collinear(q, raw, names)
    if not dropped:
        return
    name = dropped[0]
    k = names.index(name)
    if not q[k, k] > 1e-9 * raw[k]:
        raise InputError(
            f"'{name}' has no variation left once pair and year effects are removed",
            where="model",
            remedy="it is constant over time in each pair, or moves alike in all of them; leave it out, or check "
            "which pairs the filters keep",
        )
    others = [n for n in range(k) if names[n] not in dropped]
    partners = explaining(q, k, others, names)
    raise InputError(
        f"'{name}' is collinear with {', '.join(partners)} once pair and year effects are removed",
        where="model",
        remedy=f"leave out one of {', '.join([name, *partners])}",
    )
