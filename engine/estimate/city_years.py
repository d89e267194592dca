"""City-year effects of residuals, on the graph of each year's pairs: what cities leave of them is the pairs' own.

With E_ct the sum of the residuals of the pairs of city c in year t, least squares of the residuals on a_it + a_jt is

    (Deg_t + Adj_t) alpha_t = E_t

with the degrees and the adjacency of the cities that the pairs of the year connect, each pair counted by the weight of
its row (by least squares with those weights, as the regression itself is). A bipartite component of the graph
leaves one number free (what one side gains the other loses), which no residual shows. In directed tables a city has
one effect where it stands first and another where it stands second, so that there are twice as many, and pairs are
dyads: their two directions together. Source: `dyadic_cr2`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import linalg, sparse
from scipy.sparse.csgraph import connected_components

from engine.arrays import AnyArray, Array, check_shape
from engine.estimate.absorbed_fit import RowStage, row_paths
from engine.estimate.estimate import CityParts, Estimate, Interaction
from engine.estimate.normal import Normal
from engine.float64 import double_precision
from engine.pairs.map_reduce import PairGraph

_NOTHING = 1e-16
_ENDED, _ROUNDS = 1e-15, 400


@dataclass(frozen=True)
class CityYears:
    """Equations of the city-year effects of a sample.

    Attributes
    ----------
    graph : PairGraph
        Of a directed table with second cities numbered on, from the number of cities.
    n_units, n_years : int
        Cities, twice as many for a directed table.
    """

    graph: PairGraph
    n_units: int
    n_years: int
    _solved: list[tuple[Array, Array]] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, graph: PairGraph, n_units: int, n_years: int, *, directed: bool) -> CityYears:
        """Those of pairs of ``n_units`` cities."""
        if directed:
            graph, n_units = replace(graph, j=graph.j + np.int32(n_units)), 2 * n_units
        return cls(graph, n_units, n_years)

    @cached_property
    def _every_year(self) -> _Year:
        """Pairs of all years, where each has the same."""
        return _Year(self.graph.i, self.graph.j, np.ones(len(self.graph.i)), self.n_units)

    def _years(self) -> Iterator[_Year]:
        """Pairs of each year, one year at a time; a single one where all years have the same."""
        graph = self.graph
        if graph.weights is None:
            yield self._every_year
            return
        for weights in graph.weights.T:
            there = weights > 0
            yield _Year(graph.i[there], graph.j[there], weights[there].astype(np.float64), self.n_units)

    @cached_property
    def rank(self) -> int:
        """Of all effects together: city-years with a row, less one for each bipartite component."""
        of_years = [year.rank for year in self._years()]
        return sum(of_years) * (self.n_years if self.graph.weights is None else 1)

    def factor(self, n_obs: int) -> float:
        """n / (n - rank); 0 where nothing is left of any residual."""
        n_free = n_obs - self.rank
        return n_obs / n_free if n_free > 0 else 0.0

    @cached_property
    def n_pairs(self) -> Array:
        """Pairs of each city in each year ``[n_units, T]``, each counted by the weight of its row."""
        per_year = [
            np.bincount(year.i, year.weights, self.n_units) + np.bincount(year.j, year.weights, self.n_units)
            for year in self._years()
        ]
        return np.broadcast_to(np.stack(per_year, axis=1), (self.n_units, self.n_years))

    def solve(self, sums: Array) -> Array:
        """Effects ``[n_units, T, n]`` from the cities' sums of n residuals ``[n_units, T, n]``.

        The last ones are remembered: spatial and network errors solve the same equations as the default error.
        """
        check_shape("sums", sums, (self.n_units, self.n_years, None))
        for solved_sums, effects in self._solved:
            if np.array_equal(solved_sums, sums):
                return effects
        effects = self._effects(sums)
        self._solved[:] = [(sums, effects)]
        return effects

    def _effects(self, sums: Array) -> Array:
        if self.graph.weights is None:
            return self._every_year.solve(sums.reshape(self.n_units, -1)).reshape(sums.shape)
        return np.stack([year.solve(sums[:, t]) for t, year in enumerate(self._years())], axis=1)

    def smallest(self, effects: Array) -> Array:
        """The same effects, with the number that a bipartite component leaves free such that they are smallest."""
        smallest = effects.copy()
        for t, year in enumerate(self._years()):
            places = slice(None) if self.graph.weights is None else slice(t, t + 1)
            for side in year.sides:
                size = np.tensordot(side, effects[:, places], axes=1) / (side @ side)
                smallest[:, places] -= side[:, None, None] * size
        return smallest


@dataclass(frozen=True)
class _Year:
    """Pairs with a row in a year; ``weights`` of the rows."""

    i: AnyArray
    j: AnyArray
    weights: Array
    n_units: int

    @cached_property
    def sides(self) -> list[Array]:
        """Of each bipartite component with a pair, 1 on one side and -1 on the other, ``[n_units]``.

        In the double cover, where each city stands twice and each pair joins copies of different kind, the two copies
        of a city are connected unless its component is bipartite.
        """
        n_units = self.n_units
        ends = np.concatenate([self.i, self.j]), np.concatenate([self.j, self.i]) + n_units
        cover = sparse.coo_array((np.ones(len(ends[0])), ends), shape=(2 * n_units, 2 * n_units))
        component = connected_components(cover, directed=False)[1]
        first, second = component[:n_units], component[n_units:]
        has_pair = np.zeros(n_units, dtype=bool)
        has_pair[self.i] = has_pair[self.j] = True
        numbers = np.unique(np.minimum(first, second)[has_pair & (first != second)])
        return [(first == number) * 1.0 - (second == number) * 1.0 for number in numbers]

    @property
    def rank(self) -> int:
        """Cities with a pair, less one for each bipartite component."""
        return len(np.union1d(self.i, self.j)) - len(self.sides)

    def solve(self, sums: Array) -> Array:
        """Effects ``[n_units, n]``; those of cities without a pair are zero, and so are, or may be, what is free.

        By conjugate gradients, which take some twenty rounds on a dense graph; on one that is nearly bipartite they
        may not end, and the equations are solved.
        """
        matrix = np.zeros((self.n_units, self.n_units))
        np.add.at(matrix, (self.i, self.j), self.weights)
        matrix += matrix.T
        degree = matrix.sum(axis=1)
        diagonal = np.where(degree > 0, degree, 1.0)
        with double_precision():
            effects, has_ended = conjugate_gradients(*map(jnp.asarray, (matrix, diagonal[:, None], sums)))
            if bool(has_ended):
                return np.asarray(effects)
        matrix[np.diag_indices(self.n_units)] += diagonal
        for side in self.sides:
            cities = np.flatnonzero(side)
            size = degree[cities].mean() / len(cities)
            matrix[np.ix_(cities, cities)] += np.outer(side[cities], side[cities]) * size
        return np.asarray(linalg.solve(matrix, sums, assume_a="pos", overwrite_a=True))


class _Rounds(NamedTuple):
    """Conjugate gradients after some rounds; ``[N, n]``, ``square`` of the residuals ``[1, n]``."""

    rounds: jax.Array
    solution: jax.Array
    residual: jax.Array
    direction: jax.Array
    square: jax.Array


@jax.jit
def conjugate_gradients(
    matrix: jax.Array, diagonal: jax.Array, sums: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Solutions ``[N, n]`` of (matrix + diagonal) x = sums, both positive, and whether all columns have ended.

    Preconditioned by the diagonal ``[N, 1]``; a column has ended where its residual is `_ENDED` of what it was.
    """

    size = jnp.abs(sums).max(0, keepdims=True)
    sums = sums / jnp.where(size > 0, size, 1.0)  # no square of what is left may overflow, or vanish

    def product(left: jax.Array, right: jax.Array) -> jax.Array:
        return (left * right).sum(0, keepdims=True)

    scaled = sums / diagonal
    start = _Rounds(jnp.zeros(()), jnp.zeros_like(sums), sums, scaled, product(sums, scaled))
    enough = _ENDED**2 * start.square

    def goes_on(at: _Rounds) -> jax.Array:
        return (at.rounds < _ROUNDS) & (at.square > enough).any()

    def improved(at: _Rounds) -> _Rounds:
        moved = matrix @ at.direction + diagonal * at.direction
        curvature = product(at.direction, moved)
        step = jnp.where(curvature > 0, at.square / curvature, 0.0)
        residual = at.residual - step * moved
        scaled = residual / diagonal
        square = product(residual, scaled)
        direction = scaled + jnp.where(at.square > 0, square / at.square, 0.0) * at.direction
        return _Rounds(at.rounds + 1, at.solution + step * at.direction, residual, direction, square)

    end = jax.lax.while_loop(goes_on, improved, start)
    return end.solution * size, (end.square <= enough).all()


def interaction(
    normal: Normal,
    estimate: Estimate,
    city_years: CityYears,
    *,
    products: Array,
    kappa_squares: Array,
    kappa: Array | None,
    effects: Array,
) -> Interaction:
    """`Interaction` of an estimate from type sums, from sums over its pairs (`map_reduce.interaction_sums`).

    ``products`` ``[K, K]``, ``kappa_squares`` ``[K]``, ``kappa`` ``[n_units, K]`` where rows have weights; ``effects``
    ``[n_units, T]`` of the residuals, empty where the estimate has no city parts.
    """
    moved = normal.of_cities @ estimate.weight_path
    weight_sums = moved[:, : normal.n_years]  # [n_units, T, K]
    if kappa is None:
        kappa = (estimate.weight_path * moved).sum(axis=1)
    return interaction_of_sums(estimate, city_years, products, weight_sums, kappa, kappa_squares, effects)


def residual_sums(normal: Normal, estimate: Estimate, *, directed: bool) -> Array:
    """Sums of the residuals of each city's pairs by year, ``[n_units, T]``; twice as many rows where directed."""
    sides = [side[:, : normal.n_years] @ estimate.residual_path for side in (normal.first, normal.second)]
    return np.concatenate(sides) if directed else sides[0] + sides[1]


def row_city_years(stage: RowStage, n_units: int, n_years: int, *, directed: bool) -> CityYears:
    """Equations of the city-year effects of a stage's rows, for all estimates of it."""
    rows = stage.problem.rows
    weights = np.zeros((len(rows.i), n_years))
    weights[rows.pair, rows.year] = rows.weights
    graph = PairGraph(rows.i, rows.j, None if (weights == 1).all() else weights)
    return CityYears.of(graph, n_units, n_years, directed=directed)


def row_interaction(stage: RowStage, estimate: Estimate, city_years: CityYears) -> Interaction:
    """`Interaction` of an estimate from its rows, `row_paths` of its stage, and their `row_city_years`."""
    rows, n_units, n_years = stage.problem.rows, len(estimate.city_first), city_years.n_years
    directed = city_years.n_units > n_units
    residual, weight = row_paths(stage, estimate)
    first = rows.first * n_years + rows.year
    second = (rows.second + (n_units if directed else 0)) * n_years + rows.year

    def by_city_year(values: Array) -> Array:
        size = city_years.n_units * n_years
        sums = [np.bincount(first, column, size) + np.bincount(second, column, size) for column in values.T]
        return np.stack(sums, axis=1).reshape(city_years.n_units, n_years, -1)

    def by_pair(values: Array) -> Array:
        of_pairs = [np.bincount(rows.pair, column, len(rows.i)) for column in values.T]
        sums: Array = np.stack(of_pairs, axis=1).astype(np.float64)
        return sums[0::2] + sums[1::2] if directed else sums

    effects = city_years.solve(by_city_year((rows.weights * residual)[:, None]))[:, :, 0]
    phi = by_pair(weight * (residual - effects.ravel()[first] - effects.ravel()[second])[:, None])
    weight_sums, kappa = by_city_year(weight), by_city_year(weight**2).sum(axis=1)
    if directed:
        weight_sums, kappa = (sums[:n_units] + sums[n_units:] for sums in (weight_sums, kappa))
    kappa_squares = (by_pair(weight**2) ** 2).sum(axis=0)
    return interaction_of_sums(estimate, city_years, phi.T @ phi, weight_sums, kappa, kappa_squares, effects)


def interaction_of_sums(
    estimate: Estimate,
    city_years: CityYears,
    products: Array,
    weight_sums: Array,
    kappa: Array,
    kappa_squares: Array,
    effects: Array,
) -> Interaction:
    """From sums over pairs, and the cities' sums ``[n_units, T, K]`` of weights and ``[n_units, K]`` of kappa."""
    gamma = (weight_sums**2).sum(axis=1)
    # Where city x year is among the effects, rounding is all that a city's weights add up to.
    is_rounding = gamma.sum(axis=0) <= _NOTHING * kappa.sum(axis=0)
    gamma[:, is_rounding] = 0.0
    total = kappa.sum(axis=0) / 2
    parts = None
    if estimate.takes_both:
        weight_sums = np.where(is_rounding, 0.0, weight_sums)
        of_rows = weight_sums / np.sqrt(np.maximum(city_years.n_pairs, 1.0))[:, :, None]
        parts = CityParts(
            values=np.einsum("ctk,ct->ck", weight_sums, effects),
            noise=np.einsum("ctk,ctl->kl", of_rows, of_rows) / np.sqrt(np.outer(total, total)),
            weighted_pairs=_effective(total, kappa_squares),
        )
    return Interaction(
        matrix=products * city_years.factor(estimate.n_obs),
        adopting_cities=_effective(gamma.sum(axis=0), (gamma**2).sum(axis=0)),
        weighted_cities=_effective(total, (kappa**2).sum(axis=0) - kappa_squares),
        city_parts=parts,
    )


def _effective(total: Array, squares: Array) -> Array:
    """Infinite where there is nothing to count."""
    return np.asarray(np.divide(total**2, squares, out=np.full_like(total, np.inf), where=squares > 0))
