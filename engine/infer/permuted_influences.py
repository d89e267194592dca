"""Influences of all pairs on a coefficient in every draw of a permutation, added to the draws' dyadic sums.

The table of pair statistics is read once for all cells. The draws are the last axis of every array, so each step is a
matrix product or runs along contiguous draws, and no draw meets another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial, reduce
from itertools import combinations_with_replacement
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from engine.arrays import AnyArray, Array, Integers
from engine.estimate.many_samples import BatchFit, Tested, feature_weights, path_statistics, split_weights
from engine.infer.devices import across_devices, on_all_devices, sum_in_order
from engine.infer.errors.dyadic import drawn_moments
from engine.infer.errors.small_sample import small_sample_factor
from engine.infer.permuted_sums import DrawnReach, PermutedSample, packed_classes
from engine.pairs.moments import Layout


class DyadicSums(NamedTuple):
    """Sums over the pairs of every draw, on the devices.

    Attributes
    ----------
    cities : tuple of float64 ``[n_units, n_draws]``
        City influences by target.
    degree : int32 ``[n_units, n_draws]``
        Pairs of each city.
    products : float64 ``[n_targets, n_targets, n_draws]``
        Products of the pairs' influences.
    """

    cities: tuple[jax.Array, ...]
    degree: jax.Array
    products: jax.Array


class TilePairs(NamedTuple):
    """Pairs of a tile: statistics ``[n_pairs, width]`` and units; they stand at ``start`` of the table and on.

    Those before place ``fresh`` of the table were counted with the tile before.
    """

    features: jax.Array
    i: jax.Array
    j: jax.Array
    start: int
    fresh: int


class DrawnClasses(NamedTuple):
    """Classes ``[n_units, n_draws]`` of the units, and which pairs of the table each draw takes (see `DrawnReach`).

    Attributes
    ----------
    classes : int ``[n_units, n_draws]``
    screens : int32 ``[n_draws]``
    bounds : float64 ``[2, n_draws]`` or None
    value : float64 ``[n_units]`` or None
        Of the split that the bounds are of.
    """

    classes: jax.Array
    screens: jax.Array
    bounds: jax.Array | None = None
    value: jax.Array | None = None


class TermWeights(NamedTuple):
    """Weights with which statistics are a coefficient's influences, see `split_weights`.

    Attributes
    ----------
    common : float64 ``[n_targets, size, n_draws]`` or None
        Of all types; None where no type shares any.
    by_type : float64 ``[n_targets, columns, n_moving, n_draws]``
        Of the moving types alone, on the statistics that ``paths`` makes.
    paths : float64 ``[n_moving, ...]``
        In balanced layouts the types' treatment paths, else `path_statistics`.
    shares : float64 ``[n_types, n_draws]`` or None
        What a pair adds to its cities' sums beside its influence, see `BatchFit.shares`.
    """

    common: jax.Array | None
    by_type: jax.Array
    paths: jax.Array
    shares: jax.Array | None = None


@dataclass(frozen=True)
class KernelShape:
    """Constants of a compiled `add_influences`.

    Attributes
    ----------
    types : tuple of (int, int)
        Types of pairs in the sample.
    moving : tuple of int
        Positions of the types that have weights of their own.
    n_classes, n_targets : int
    layout : Layout
    spans : tuple of int
        Span of years whose statistics each type has.
    """

    types: tuple[tuple[int, int], ...]
    moving: tuple[int, ...]
    n_classes: int
    n_targets: int
    layout: Layout
    spans: tuple[int, ...]

    def in_span(self, features: jax.Array, span: int) -> jax.Array:
        """Statistics ``[n_pairs, size]`` in one of the spans of years."""
        return features[:, span * self.layout.size : (span + 1) * self.layout.size]

    def moving_statistics(self, features: jax.Array, paths: jax.Array | None) -> jax.Array | list[jax.Array]:
        """Statistics of the moving types in their spans, as those of their paths where these are given."""
        if self.layout.balanced and paths is not None:
            return jax.vmap(lambda path: _path_columns(features, path, self.layout))(paths)
        statistics = [self.in_span(features, self.spans[position]) for position in self.moving]
        return statistics if paths is None else jnp.stack(statistics) @ paths

    def choose(self, is_type: list[jax.Array], by_span: dict[int, jax.Array]) -> jax.Array:
        """The values of the span of each pair's type; ``is_type``: pairs of each type, in every draw."""
        spans = iter(by_span.items())
        _, by_pair = next(spans)
        for span, values in spans:
            members = [flags for flags, of_type in zip(is_type, self.spans, strict=True) if of_type == span]
            by_pair = jnp.where(reduce(jnp.logical_or, members), values, by_pair)
        return by_pair


def variance_moments(
    sample: PermutedSample,
    cells: tuple[tuple[BatchFit, Tested], ...],
    classes: Integers,
    reach: DrawnReach,
) -> list[tuple[Array, int]]:
    """Dyadic-robust moments of each cell's tested coefficients, and the draws that are left without a variance.

    Parameters
    ----------
    sample : PermutedSample
    cells : tuple of (BatchFit, Tested)
    classes : int32 ``[n_draws, n_units]``
    reach : DrawnReach

    Returns
    -------
    list of (float64 ``[2, n_draws, n_tested, n_targets, n_targets]``, int)
        City and pair sums, see `drawn_moments`; draws in which city sums stand in for the outcome's variance.
    """
    draws = DrawnClasses(
        across_devices(packed_classes(classes, sample.n_classes)), across_devices(reach.screens)
    )
    if sample.split is not None and reach.bounds is not None:
        value = on_all_devices(sample.split.value)
        draws = draws._replace(bounds=across_devices(reach.bounds), value=value)
    terms = [_term(sample, fit, cell, k) for fit, cell in cells for k in range(len(cell.tested))]
    sums = [_no_sums(sample.pairs.n_units, len(classes), shape.n_targets) for shape, _ in terms]
    for tile in sample.pairs.tiles(int(reach.screens.max())):
        pairs = TilePairs(
            on_all_devices(tile.statistics),
            on_all_devices(tile.i),
            on_all_devices(tile.j),
            tile.start,
            tile.fresh,
        )
        for position, (shape, weights) in enumerate(terms):
            sums[position] = add_influences(sums[position], pairs, draws, weights, shape=shape)
    variances, remaining = [], iter(sums)
    for fit, cell in cells:
        moments, n_replaced = zip(*(_moments(fit, next(remaining)) for _ in cell.tested), strict=True)
        variances.append((np.stack(moments, axis=2), sum(n_replaced)))
    return variances


def _moments(fit: BatchFit, sums: DyadicSums) -> tuple[Array, int]:
    """`studentising_moments` of a term, from its sums on the devices."""
    cities, degree = np.stack(sums.cities), np.asarray(sums.degree)
    city_moments = np.einsum("and,bnd->dab", cities, cities)
    return studentising_moments(
        fit, city_moments, np.asarray(sums.products).transpose(2, 0, 1), (degree > 0).sum(axis=0)
    )


def studentising_moments(
    fit: BatchFit, city_moments: Array, pair_moments: Array, n_cities: AnyArray
) -> tuple[Array, int]:
    """City and pair sums ``[2, n_draws, n_targets, n_targets]`` of a term, and the draws that took city sums alone.

    ``city_moments`` and ``pair_moments`` as in `drawn_moments`; ``n_cities`` ``[n_draws]`` with a pair.
    """
    factor = small_sample_factor(n_cities.astype(np.float64), fit.n_obs, fit.n_parameters)
    matrix, replaced = drawn_moments(city_moments, pair_moments, factor)
    return matrix, int(replaced.sum())


def _term(
    sample: PermutedSample, fit: BatchFit, cell: Tested, position: int
) -> tuple[KernelShape, TermWeights]:
    """Shape and weights of one tested coefficient of a cell."""
    layout, n_targets = sample.pairs.layout, fit.residual.shape[1]
    fit_of_term = fit.of_term(position)
    # A constant path is nothing once pairs are demeaned.
    moving, (t, r) = np.flatnonzero(np.ptp(cell.paths, axis=1).any(axis=1)), cell.paths.shape[1:]
    n_path_columns = len(moving) * r * (t + layout.n_columns + r)
    n_types = len(sample.types)
    common: jax.Array | None = None
    is_smaller = len(set(sample.spans)) * layout.size + n_path_columns < n_types * layout.size
    if fit.type_weights is None and (is_smaller or (layout.balanced and cell.averages is None)):
        for_all, by_type = split_weights(layout, fit_of_term, cell.paths)
        common = _draws_last(for_all[:, 0], (1, 2, 0))
        paths = cell.paths[moving] if layout.balanced else path_statistics(layout, cell.paths[moving])
    else:  # so many terms, or such an estimator, that each type has its own weights of all statistics
        moving = np.arange(n_types)
        by_type, paths = feature_weights(layout, fit_of_term, cell.paths), np.zeros((len(moving), 0, 0))
    weights = _draws_last(by_type[:, 0][:, :, moving], (1, 3, 2, 0))
    shape = KernelShape(
        tuple(sample.types), tuple(moving.tolist()), sample.n_classes, n_targets, layout, sample.spans
    )
    shares = None if fit_of_term.shares is None else _draws_last(fit_of_term.shares[:, 0], (1, 0))
    return shape, TermWeights(common, weights, on_all_devices(paths), shares)


def _draws_last(weights: AnyArray, order: tuple[int, ...]) -> jax.Array:
    return across_devices(np.ascontiguousarray(weights.transpose(order)))


def _no_sums(n_units: int, n_draws: int, n_targets: int) -> DyadicSums:
    """Sums before any pair."""
    return DyadicSums(
        tuple(across_devices(np.zeros((n_units, n_draws))) for _ in range(n_targets)),
        across_devices(np.zeros((n_units, n_draws), dtype=np.int32)),
        across_devices(np.zeros((n_targets, n_targets, n_draws))),
    )


@partial(jax.jit, static_argnames="shape", donate_argnums=0)
def add_influences(
    sums: DyadicSums, pairs: TilePairs, draws: DrawnClasses, weights: TermWeights, *, shape: KernelShape
) -> DyadicSums:
    """Add the influences of a tile's pairs in every draw to city sums, city degrees and sums of products."""
    i, j = pairs.i, pairs.j
    class_i, class_j = (draws.classes[side].astype(np.int32) for side in (i, j))  # their codes are products
    code = jnp.minimum(class_i, class_j) * shape.n_classes + jnp.maximum(class_i, class_j)
    is_type = [code == g * shape.n_classes + h for g, h in shape.types]
    rank = pairs.start + jnp.arange(len(i), dtype=i.dtype)[:, None]
    in_sample = (rank >= pairs.fresh) & (rank < draws.screens[None, :])
    if draws.bounds is not None and draws.value is not None:
        split_sums = (draws.value[i] + draws.value[j])[:, None]
        low, high = draws.bounds[:, None]
        in_sample &= (split_sums > low) & (split_sums <= high)
    observed = {span: shape.in_span(pairs.features, span)[:, :1] > 0 for span in set(shape.spans)}
    in_sample &= reduce(jnp.logical_or, is_type) & shape.choose(is_type, observed)
    influences = [
        jnp.where(in_sample, psi, 0.0) for psi in _influences(pairs.features, weights, is_type, shape)
    ]
    of_cities = influences
    if weights.shares is not None:
        shares = jnp.where(in_sample, _by_type(weights.shares, is_type), 0.0)
        of_cities = [psi + shares for psi in influences]
    cities = tuple(
        city.at[i].add(psi).at[j].add(psi) for city, psi in zip(sums.cities, of_cities, strict=True)
    )
    counted = in_sample.astype(sums.degree.dtype)
    degree = sums.degree.at[i].add(counted).at[j].add(counted)
    products = sums.products
    for a, b in combinations_with_replacement(range(shape.n_targets), 2):
        product = sum_in_order(influences[a] * influences[b])
        for place in {(a, b), (b, a)}:
            products = products.at[place].add(product)
    return DyadicSums(cities, degree, products)


def _influences(
    features: jax.Array, weights: TermWeights, is_type: list[jax.Array], shape: KernelShape
) -> list[jax.Array]:
    """Influences ``[n_pairs, n_draws]`` by target, of pairs outside the sample too."""
    common, by_type = weights.common, weights.by_type
    statistics = shape.moving_statistics(features, weights.paths if common is not None else None)
    influences = []
    for target in range(shape.n_targets):
        psi: jax.Array | float = 0.0
        if common is None:
            moved: jax.Array | list[jax.Array] = [
                columns @ by_type[target][:, position] for position, columns in enumerate(statistics)
            ]
        else:
            moved = jnp.einsum("zpc,czb->zpb", statistics, by_type[target])
            spans = {span: shape.in_span(features, span) @ common[target] for span in set(shape.spans)}
            psi = shape.choose(is_type, spans)
        for position, number in enumerate(shape.moving):
            psi = psi + jnp.where(is_type[number], moved[position], 0.0)
        influences.append(jnp.asarray(psi))
    return influences


def _by_type(values: jax.Array, is_type: list[jax.Array]) -> jax.Array:
    """Values ``[n_types, n_draws]`` of the types of the pairs ``[n_pairs, n_draws]``, zero for pairs of none."""
    of_types = zip(is_type, values, strict=True)
    return sum((jnp.where(members, value[None], 0.0) for members, value in of_types), jnp.zeros(()))


def _path_columns(features: jax.Array, path: jax.Array, layout: Layout) -> jax.Array:
    """[pairs, d'EV] of each pair for a treatment path d ``[T, r]``."""
    ev = features[:, 4 : 4 + layout.n_ev].reshape(-1, layout.n_years, layout.n_columns)
    moved = jnp.einsum("tr,ptm->prm", path, ev).reshape(len(features), -1)
    return jnp.concatenate([features[:, :1], moved], axis=1)
