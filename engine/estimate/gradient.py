"""Estimators as differentiable functions of type sums: what inference needs, from the function alone.

Pairs of one type (the classes of their two cities) share a treatment path, so that an estimator is a function f of
S, the statistics of the pairs summed by type. Then

    influence of a pair of type z     grad f(S) [z] . statistics, exactly the score of least squares
    pair meat                         sum over types of grad f(S) [z] P_z grad f(S) [z]', P_z products of statistics
    leave-one-city-out values         f(S - what the city's pairs contributed)

Closed forms (`engine.estimate.fit`) are faster, and held to this by a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import Array, Integers
from engine.estimate.normal import SMALLEST
from engine.estimate.terms import Regression, Term
from engine.float64 import double_precision
from engine.pairs.moments import CityMoments, Layout, type_of

Evaluated = TypeVar("Evaluated")
Parameters = TypeVar("Parameters")


@dataclass(frozen=True)
class TypeSums:
    """Statistics of pairs summed by type: what an estimator is a function of.

    Attributes
    ----------
    layout : Layout
    terms : tuple of Term
        Regressor columns, then treatment terms.
    paths : float64 ``[n_types, T, r]``
        Treatment path of each type.
    sums : float64 ``[n_types, size]``
        A JAX array, which may be traced.
    """

    layout: Layout
    terms: tuple[Term, ...]
    paths: Array
    sums: Any

    @property
    def n_pairs(self) -> Any:
        """``[n_types]`` pairs of each type."""
        return self.sums[:, 0]

    def matrix(self) -> Any:
        """``[Q, Q]`` moments over [years | columns | terms | outcome], demeaned within pairs."""
        layout, (n_types, t, r) = self.layout, self.paths.shape
        m, start = layout.n_columns, 4 + layout.n_ee
        if layout.balanced:
            ee = self.n_pairs[:, None, None] * (np.eye(t) - 1.0 / t)[None]
        else:
            ee = self.sums[:, 4:start][:, _square(t, layout.year_pairs)]
        ev = self.sums[:, start : start + layout.n_ev].reshape(n_types, t, m)
        vv = self.sums[:, start + layout.n_ev :][:, _square(m, layout.column_pairs)]
        pair_columns = jnp.concatenate(
            [jnp.concatenate([ee, ev], axis=2), jnp.concatenate([jnp.swapaxes(ev, 1, 2), vv], axis=2)], axis=1
        )
        # A term is E d, so that all columns are those of the pair times a matrix of its type.
        expansion = np.zeros((n_types, t + m, t + m + r))
        expansion[:, :t, :t] = np.eye(t)
        expansion[:, :t, t + m - 1 : -1] = self.paths
        expansion[:, t : t + m - 1, t : t + m - 1] = np.eye(m - 1)
        expansion[:, -1, -1] = 1.0
        return jnp.einsum("zpa,zpq,zqb->ab", expansion, pair_columns, expansion)

    def coefficients(self, regression: Regression) -> Any:
        """``[K]`` coefficients with pair and year effects; NaN where the sums do not identify them."""
        t, matrix = self.layout.n_years, self.matrix()
        x, w = (
            np.array([self.terms.index(term) for term in terms])
            for terms in (regression.regressors, regression.instruments or regression.regressors)
        )
        y = -1 if regression.outcome is None else self.terms.index(regression.outcome)
        # Year effects are known up to a constant, which pair effects take: any will do. Years without rows have none.
        size = jnp.diag(matrix)[:t].max()
        empty = jnp.diag(matrix)[:t] < 1e-9 * size
        years = matrix[:t, :t] / size + 1.0 / t + jnp.diag(jnp.where(empty, 1.0, 0.0))
        cross = matrix[:t, t:] / size
        q = matrix[t:, t:] - size * cross.T @ jnp.linalg.solve(years, cross)
        scale = jnp.sqrt(jnp.diag(matrix)[t:])
        scaled = q[w][:, x] / jnp.outer(scale[w], scale[x])
        slopes = jnp.linalg.solve(scaled, q[w, y] / scale[w]) / scale[x]
        smallest = [
            jnp.linalg.svd(jax.lax.stop_gradient(system), compute_uv=False)[-1] for system in (scaled, years)
        ]
        return jnp.where(jnp.minimum(*smallest) > SMALLEST, slopes, jnp.nan)


def _square(n: int, pairs: tuple[Any, Any]) -> Any:
    """``[n, n]`` positions of the entries of a symmetric matrix in its flattened upper triangle."""
    position = np.zeros((n, n), dtype=np.int64)
    position[pairs] = position[pairs[::-1]] = np.arange(len(pairs[0]))
    return position


@dataclass(frozen=True)
class Differentiated:
    """Values of a function of type sums, and what inference needs; names as in `engine.estimate.estimate`.

    Attributes
    ----------
    values : float64 ``[K]``
    jacobian : float64 ``[K, n_types, size]``
        At a pair's type and times its statistics, the pair's influence.
    city_first, city_second, without_city : float64 ``[n_units, K]``
    pair_meat : float64 ``[K, K]``
        NaN where the first pass has no products.
    """

    values: Array
    jacobian: Array
    city_first: Array
    city_second: Array
    without_city: Array
    pair_meat: Array

    def influence(self, types: Integers, statistics: Array) -> Array:
        """``[n_pairs, K]`` influence of pairs of types ``[n_pairs]``, from their statistics ``[n_pairs, size]``."""
        return np.asarray(np.einsum("kpf,pf->pk", self.jacobian[:, types], statistics))


def differentiate(
    function: Callable[[TypeSums], Any],
    moments: CityMoments,
    classes: Integers,
    *,
    terms: tuple[Term, ...],
    table: Array,
) -> Differentiated:
    """Values, influences and leave-one-city-out values of an estimator.

    Parameters
    ----------
    function : callable
        From `TypeSums` to values ``[K]``, in JAX.
    moments : CityMoments
    classes : int ``[n_units]``
    terms, table
        As in `normal.normal_equations`.
    """
    paths = table[np.triu_indices(len(table))]
    contributed = sums_by_type(moments, classes)
    total = contributed[0].sum(axis=0)

    def of_sums(sums: Any) -> Any:
        return function(TypeSums(moments.layout, terms, paths, sums))

    with double_precision():
        values = np.asarray(of_sums(jnp.asarray(total)))
        jacobian = np.asarray(jax.jacrev(of_sums)(jnp.asarray(total)))
        without_city = np.asarray(in_turn(of_sums, jnp.asarray(total - contributed.sum(axis=0))))
    return _with_influences(values, jacobian, without_city, contributed, moments.products)


def sums_by_type(moments: CityMoments, classes: Integers) -> Array:
    """``[2, n_units, n_types, size]`` sums over the pairs in which a city stands first, and second, by `type_of`."""
    n_classes = moments.first.shape[1]
    kind = type_of(classes[:, None], np.arange(n_classes), n_classes)
    by_type = np.zeros((2, len(classes), n_classes * (n_classes + 1) // 2, moments.layout.size))
    for number, of_city in enumerate((moments.first, moments.second)):
        by_type[number, np.arange(len(classes))[:, None], kind] = of_city
    return by_type


def differentiate_sums(
    function: Callable[[Parameters, jax.Array], jax.Array], parameters: Parameters, contributed: Array
) -> Differentiated:
    """As `differentiate`, of a function of plain sums that is compiled once for all parameters of the same shapes.

    Parameters
    ----------
    function : callable
        From parameters (arrays) and sums ``[n_types, size]`` to values ``[K]``, in JAX.
    parameters
        What of an estimator is no statistic of the sample.
    contributed : float64 ``[2, n_units, n_types, size]``
        Sums over the pairs in which a city stands first, and second, by type.
    """
    total = contributed[0].sum(axis=0)
    with double_precision():
        left_out = jnp.asarray(total - contributed.sum(axis=0))
        derivatives = _derivatives(function, parameters, jnp.asarray(total), left_out)
        values, jacobian, without_city = map(np.asarray, derivatives)
    return _with_influences(values, jacobian, without_city, contributed, None)


@partial(jax.jit, static_argnames="function")
def _derivatives(
    function: Callable[[Parameters, jax.Array], jax.Array],
    parameters: Parameters,
    total: jax.Array,
    left_out: jax.Array,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Values and Jacobian at the sums of a sample, and values at those of others."""
    jacobian = jax.jacrev(function, argnums=1)(parameters, total)
    return function(parameters, total), jacobian, in_turn(partial(function, parameters), left_out)


def in_turn(function: Callable[[jax.Array], Evaluated], samples: jax.Array) -> Evaluated:
    """A function that solves systems, of one sample after another ``[n_samples, ...]``.

    Systems of many samples at once are solved in parts on the threads of XLA, each of which waits for its parts: two
    such solvers, on as many threads as there are, wait for each other and never end (jaxlib 0.10).
    """
    return jax.lax.map(function, samples)  # type: ignore[no-any-return]


def _with_influences(
    values: Array, jacobian: Array, without_city: Array, contributed: Array, products: Array | None
) -> Differentiated:
    first, second = np.einsum("kzf,cnzf->cnk", jacobian, contributed, optimize=True)
    pair_meat = np.full((len(values), len(values)), np.nan)
    if products is not None:
        pair_meat = np.einsum("kzf,zfg,lzg->kl", jacobian, products, jacobian, optimize=True)
    return Differentiated(values, jacobian, first, second, without_city, pair_meat)
