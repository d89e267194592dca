"""The tile kernels, in JAX, float64, compiled once per shape.

`moments`: pair columns -> pair statistics -> sums by city and partner class.
`score_products`: pair columns -> influence of each pair on each coefficient -> sums of their products.
`pair_statistics` and `rows`: the statistics, and the columns, of each pair.

Sums run in a fixed order (scatter and leading-axis reductions, no threaded dot products over pairs), so a
chunk gives the same bits on one thread and on many.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from engine.arrays import AnyArray
from engine.pairs.design import Chunk
from engine.pairs.moments import Layout
from engine.pairs.outcomes import OUTCOMES
from engine.pairs.regressors import REGRESSORS
from engine.pairs.standardisation import Standardisation
from engine.pairs.within import column_products, demean, weight_squares

CityArrays = dict[str, Array]
"""City arrays of a pass by name: ``classes``, and for panels ``series``, ``window`` and ``levels``; where the design
has them ``weight``, ``kept_rows``, ``observed`` (a treatment path by class), and ``split`` with ``split_bounds`` (a
pair stays where its sum is within); for pair tables ``centre`` ``[m]`` and ``profile`` ``[T, m]``
(`design.TableDesign`)."""


@dataclass(frozen=True)
class KernelOptions:
    """Static arguments of a kernel: it is compiled once for each set of them.

    Attributes
    ----------
    layout : Layout
    n_classes, edge : int
        Adoption classes; rows of the city sums of one call.
    look_ahead : bool
        All years standardise the series, so that the index has its lower bound (not for pair tables).
    clip : float
        Smallest distance of standardised values; 0 for none.
    directed : bool
        Consecutive rows are the two directions of one dyad.
    outcome : str
        Name in `OUTCOMES` (not for pair tables).
    regressors : tuple of str
        Name in `REGRESSORS` of each column of ``levels``; empty: differences throughout.
    lag : int
        Years by which columns of standardised regressors are lagged; other levels are lagged before.
    """

    layout: Layout
    n_classes: int
    edge: int
    look_ahead: bool
    clip: float
    directed: bool
    outcome: str = "synchronization"
    regressors: tuple[str, ...] = ()
    lag: int = 0


class PairChunk(NamedTuple):
    """Pairs of one kernel call.

    Attributes
    ----------
    i, j : int32 ``[chunk]``
        Unit positions.
    n : int
        Pairs that count.
    values : float64 ``[chunk, T, m]`` or None
        Columns of a pair table.
    weights : float64 ``[chunk, T]`` or None
        Weights of the rows; not with a balanced layout.
    """

    i: AnyArray
    j: AnyArray
    n: int
    values: AnyArray | None = None
    weights: AnyArray | None = None


def arrays_of(chunk: Chunk) -> PairChunk:
    """The part of a design's chunk that a kernel takes."""
    return PairChunk(chunk.i, chunk.j, chunk.n, chunk.values, chunk.weights)


def outcome_values(options: KernelOptions, arrays: CityArrays, i: AnyArray, j: AnyArray) -> Array:
    """Outcome of pairs ``[chunk, n_years]``; not finite where missing."""
    series, weight = arrays["series"], arrays.get("weight")
    w_i, w_j = (None, None) if weight is None else (weight[i], weight[j])
    formula = OUTCOMES[options.outcome].pair_values
    y: Array = formula(series[i], series[j], w_i, w_j, _standardisation(options, arrays))
    return y


def _regressor_values(options: KernelOptions, arrays: CityArrays, i: AnyArray, j: AnyArray) -> Array:
    """Pair columns of the city levels ``[chunk, n_years, k]``."""
    levels, standardisation = arrays["levels"], _standardisation(options, arrays)
    names = options.regressors or ("neg_abs_diff",) * levels.shape[2]
    formulas = dict.fromkeys(REGRESSORS[name].formula for name in names)
    if len(formulas) <= 1:  # no column is moved
        return REGRESSORS[names[0]].pair_values(levels[i], levels[j], standardisation) if names else levels[i]
    parts, order = [], []
    for formula in formulas:
        columns = np.array([k for k, name in enumerate(names) if REGRESSORS[name].formula == formula])
        kind, x = REGRESSORS[names[columns[0]]], levels[:, :, columns]
        parts.append(kind.pair_values(x[i], x[j], standardisation))
        order += columns.tolist()
    return jnp.concatenate(parts, axis=2)[:, :, np.argsort(order)]


def _standardisation(options: KernelOptions, arrays: CityArrays) -> Standardisation:
    return Standardisation(
        window=arrays["window"],
        in_advance=options.layout.balanced,
        look_ahead=options.look_ahead,
        clip=options.clip,
        lag=options.lag,
    )


def _columns(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk
) -> tuple[Array, Array, Array, Array]:
    """Columns ``[chunk, T, m]`` (zero where missing), row weights ``[chunk, T]``, pair used ``[chunk]``, counts.

    A row's weight is 1, or that of the chunk, and 0 where it is missing.
    """
    i, j, n, values, weights = chunk
    eligible = jnp.arange(len(i)) < n
    if "split" in arrays:
        split_sum = arrays["split"][i] + arrays["split"][j]
        eligible &= (split_sum > arrays["split_bounds"][0]) & (split_sum <= arrays["split_bounds"][1])
    if values is not None:
        v = jnp.asarray(values - arrays["centre"][None, None] if "centre" in arrays else values)
    else:
        parts = [_regressor_values(options, arrays, i, j), outcome_values(options, arrays, i, j)[:, :, None]]
        if "observed" in arrays:  # draws that ask about the treatment that happened have it as a column
            parts.insert(1, arrays["observed"][arrays["classes"][i], arrays["classes"][j]][:, :, None])
        v = jnp.concatenate(parts, axis=2)
    stays = eligible[:, None]
    if "kept_rows" in arrays:
        stays = stays & arrays["kept_rows"][arrays["classes"][i], arrays["classes"][j]]
    infinite = (jnp.isinf(v).any(2) & stays).sum().astype(v.dtype)
    if options.layout.balanced:
        row = jnp.broadcast_to(eligible[:, None], v.shape[:2]).astype(v.dtype)
        counts = jnp.concatenate([jnp.array([infinite, 0, row.sum()]), row.sum(0)])
        return jnp.where(eligible[:, None, None], v, 0.0), row, eligible, counts
    observed = jnp.isfinite(v).all(2) & stays
    if weights is not None:
        observed &= weights > 0
    years = observed.sum(1)
    informative = years >= 2
    observed &= informative[:, None]
    row = observed.astype(v.dtype) if weights is None else jnp.where(observed, weights, 0.0)
    singletons = (years == 1).sum().astype(v.dtype)
    counts = jnp.concatenate([jnp.array([infinite, singletons, row.sum()]), observed.sum(0).astype(v.dtype)])
    return jnp.where(observed[:, :, None], v, 0.0), row, informative, counts


def _deviations(
    options: KernelOptions, arrays: CityArrays, v: Array, row: Array
) -> tuple[Array, Array, Array]:
    """Columns without their pair means (and the outcome without its profile), the means, sums of weights."""
    return demean(v, row, balanced=options.layout.balanced, profile=arrays.get("profile"))


def _pair_statistics(options: KernelOptions, arrays: CityArrays, chunk: PairChunk) -> tuple[Array, Array]:
    """Statistics of each pair ``[chunk, size]`` in the order of the layout, and counts as in `moments`."""
    layout, weights = options.layout, chunk.weights
    v, row, informative, counts = _columns(options, arrays, chunk)
    demeaned, mean, years = _deviations(options, arrays, v, row)
    pair = informative.astype(v.dtype)
    outcome = mean[:, -1]
    rows = pair * years if weights is None else (row > 0).sum(1).astype(v.dtype)
    totals = jnp.stack([pair, rows, pair * years * outcome, pair * years * outcome**2], axis=1)
    parts = [totals]
    if not layout.balanced:
        a, b = layout.year_pairs
        is_diagonal = (a == b).astype(v.dtype)[None]
        parts.append(row[:, a] * (is_diagonal - row[:, b] / years[:, None]))
    weighted = demeaned if weights is None else row[:, :, None] * demeaned
    parts.append(weighted.reshape(len(v), -1))
    parts.append(column_products(weighted, demeaned, layout.column_pairs))
    return jnp.concatenate(parts, axis=1), counts


pair_statistics = partial(jax.jit, static_argnames="options")(_pair_statistics)
"""`_pair_statistics`, compiled on its own: for draws that keep the statistics of every pair."""


@partial(jax.jit, static_argnames="options")
def rows(options: KernelOptions, arrays: CityArrays, chunk: PairChunk) -> tuple[Array, Array, Array]:
    """The columns themselves ``[chunk, T, m]``, weights of their rows ``[chunk, T]``, counts; as in `moments`."""
    v, row, _, counts = _columns(options, arrays, chunk)
    return v, row, counts


@partial(jax.jit, static_argnames="options")
def moments(
    options: KernelOptions,
    arrays: CityArrays,
    chunk: PairChunk,
    offset: Array,
    type_blocks: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array, Array | None]:
    """Sums of pair statistics by city and partner class, and of their products by type of pair.

    Parameters
    ----------
    options : KernelOptions
    arrays : dict
        See `CityArrays`.
    chunk : PairChunk
    offset : int32 ``[2]``
        Unit positions at which the rows and the columns of the tile start.
    type_blocks : int32 ``[n_blocks, length]``, int32 ``[n_blocks]``, optional
        Positions of pairs of one type, the chunk's length standing for none, and the type; where products of
        the statistics are wanted.

    Returns
    -------
    first, second : float64 ``[edge, n_classes, size]``
    counts : float64 ``[3 + T]``
        Infinite outcomes, singleton pairs, sum of the weights of the rows that count, number of those by year.
    products : float64 ``[n_types, size, size]`` or None
    """
    layout = options.layout
    statistics, counts = _pair_statistics(options, arrays, chunk)
    classes = arrays["classes"]
    shape = (options.edge, options.n_classes, layout.size)

    def sums(city: Array, partner: AnyArray) -> Array:
        segment = city * options.n_classes + classes[partner]
        return jax.ops.segment_sum(statistics, segment, options.edge * options.n_classes).reshape(shape)

    # Padding has zero statistics, so it may fall on any row that exists.
    row = jnp.clip(chunk.i - offset[0], 0, options.edge - 1)
    col = jnp.clip(chunk.j - offset[1], 0, options.edge - 1)
    products = None
    if type_blocks is not None:
        members, block_type = type_blocks
        of_block = jnp.concatenate([statistics, jnp.zeros_like(statistics[:1])])[members]
        block_products = jnp.einsum("bpf,bpg->bfg", of_block, of_block)
        n_types = options.n_classes * (options.n_classes + 1) // 2
        products = jax.ops.segment_sum(block_products, block_type, n_types)
    return sums(row, chunk.j), sums(col, chunk.i), counts, products


@partial(jax.jit, static_argnames="options")
def score_products(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array]:
    """Sums over pairs of the products of pair influences, for a block of cells.

    A pair's influence on the coefficients of a cell is psi = sum_t r_t e_t, with residual e and residualised
    regressors r, both linear in the pair's columns; the bread is inside r.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    cells : dict
        ``terms`` ``[H, H, T, r]`` treatment paths by class; ``residual`` ``[T + m + r, C]`` and ``influence``
        ``[T + m + r, C * K]``, coefficients on years, columns and terms.

    Returns
    -------
    pair_meat : float64 ``[C, K, K]``
        Sum over pairs of psi psi'.
    reciprocal_meat : float64 ``[C, K, K]``
        Directed tables: sum over dyads of psi_ij psi_ji' and its transpose; zero otherwise.
    """
    columns, row, path = _cell_paths(options, arrays, chunk, cells)
    return _meats(options, _influences(options, chunk, columns, row, path, cells["influence"]))


def _cell_paths(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array, Array]:
    """Columns and terms ``[chunk, T, m + r]``, row weights ``[chunk, T]``, paths of the residuals ``[chunk, T, C]``."""
    v, row, _, _ = _columns(options, arrays, chunk)
    # Of levels far from zero the sums below would keep no digits.
    v, _, _ = _deviations(options, arrays, v, row)
    classes, n_years = arrays["classes"], v.shape[1]
    columns = jnp.concatenate([v, cells["terms"][classes[chunk.i], classes[chunk.j]]], axis=2)
    return columns, row, columns @ cells["residual"][n_years:] + cells["residual"][None, :n_years]


def _influences(
    options: KernelOptions, chunk: PairChunk, columns: Array, row: Array, path: Array, influence: Array
) -> Array:
    """Sums over years of weights times residuals ``[chunk, C, K]``, whose pair means do not matter."""
    residual, _, _ = demean(jnp.where(row[:, :, None] > 0, path, 0.0), row, balanced=options.layout.balanced)
    return _scores(chunk, columns, row, residual, influence)


def _scores(chunk: PairChunk, columns: Array, row: Array, residual: Array, influence: Array) -> Array:
    """`_influences` of residuals without their pair means, zero where there is no row."""
    if chunk.weights is not None:
        residual = row[:, :, None] * residual
    # Scores on every column, summed over years; then the few that a cell has are combined.
    moved = jnp.concatenate([residual, jnp.einsum("ptm,ptc->pmc", columns, residual)], axis=1)
    n_cells = residual.shape[2]
    by_cell = influence.reshape(len(influence), n_cells, -1)
    return jnp.stack([moved[:, :, cell] @ by_cell[:, cell] for cell in range(n_cells)], axis=1)


def _meats(options: KernelOptions, psi: Array) -> tuple[Array, Array]:
    """Sums of psi psi' over the pairs, and over the two directions of each dyad."""
    pair_meat = (psi[:, :, :, None] * psi[:, :, None, :]).sum(0)
    if not options.directed:
        return pair_meat, jnp.zeros_like(pair_meat)
    there, back = psi[0::2], psi[1::2]
    cross = (there[:, :, :, None] * back[:, :, None, :]).sum(0)
    return pair_meat, cross + jnp.swapaxes(cross, 1, 2)


@partial(jax.jit, static_argnames="options")
def row_weights(options: KernelOptions, arrays: CityArrays, chunk: PairChunk) -> Array:
    """Weights of the rows of pairs, zero for those that do not count, float64 ``[chunk, T]``."""
    return _columns(options, arrays, chunk)[1]


@partial(jax.jit, static_argnames="options")
def interaction_sums(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, cells: dict[str, Array]
) -> tuple[Array, Array, Array, Array, Array | None]:
    """`score_products`, and sums over pairs of what city-year effects leave of their influences.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    cells : dict
        As in `score_products`, with ``city_years`` ``[n_units, T, C]``, effects of the cells' residuals; of directed
        tables those of second cities follow, and phi and kappa are those of dyads.

    Returns
    -------
    pair_meat, reciprocal_meat : float64 ``[C, K, K]``
    products : float64 ``[C, K, K]``
        Sum of phi phi' with phi = sum_t r_t (e_t - a_it - a_jt).
    squares : float64 ``[C, K]``
        Sum of kappa^2 with kappa = sum_t r_t^2.
    of_cities : float64 ``[n_units, C, K]`` or None
        Sums of kappa over the pairs of each city, where rows have weights; else they follow from the moments.
    """
    columns, row, path = _cell_paths(options, arrays, chunk, cells)
    psi = _influences(options, chunk, columns, row, path, cells["influence"])
    classes, city_years, (i, j) = arrays["classes"], cells["city_years"], (chunk.i, chunk.j)
    if options.layout.balanced:
        city_years = city_years - city_years.mean(1, keepdims=True)
    of_ends = city_years[i] + city_years[j + (len(city_years) - len(classes))]
    of_ends = jnp.where(row[:, :, None] > 0, of_ends, 0.0)
    if not options.layout.balanced:
        of_ends, _, _ = demean(of_ends, row, balanced=False)
    phi = psi - _scores(chunk, columns, row, of_ends, cells["influence"])
    kappa = weight_squares(columns, row, cells["influence"], balanced=options.layout.balanced)
    kappa = kappa.reshape(phi.shape)
    of_cities = None
    if chunk.weights is not None:
        of_cities = jnp.zeros((len(classes), *kappa.shape[1:])).at[i].add(kappa).at[j].add(kappa)
    if options.directed:
        phi, kappa = phi[0::2] + phi[1::2], kappa[0::2] + kappa[1::2]
    products = (phi[:, :, :, None] * phi[:, :, None, :]).sum(0)
    return *_meats(options, psi), products, (kappa * kappa).sum(0), of_cities


@partial(jax.jit, static_argnames="options")
def interaction_products(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk, columns: dict[str, Array]
) -> Array:
    """Sums over pairs of products from which the ``products`` of `interaction_sums` follow for any number of cells.

    With x_ft the columns of a pair and z_gt what city-year effects leave of them, phi is the sum over f and g of
    weight_f residual_g n_fg with n_fg = sum_t x_ft z_gt; years leave nothing. For complete undirected pairs.

    Parameters
    ----------
    options, arrays, chunk
        As in `moments`.
    columns : dict
        ``terms`` ``[H, H, T, r]``; ``city_years`` ``[n_units, T, m + r]``, effects of the columns (the outcome the last
        of m), then of the terms.

    Returns
    -------
    float64 ``[D, D]``
        D = (T + m - 1 + r) (m + r): first [years | columns | terms], then [columns | outcome | terms].
    """
    v, row, _, _ = _columns(options, arrays, chunk)
    v, _, _ = _deviations(options, arrays, v, row)
    classes, city_years = arrays["classes"], columns["city_years"]
    terms = columns["terms"][classes[chunk.i], classes[chunk.j]]
    left = jnp.concatenate([v, terms], axis=2) - city_years[chunk.i] - city_years[chunk.j]
    left, _, _ = demean(jnp.where(row[:, :, None] > 0, left, 0.0), row, balanced=True)
    regressors = jnp.concatenate([v[:, :, :-1], terms], axis=2)
    n = jnp.concatenate([left, jnp.einsum("ptf,ptg->pfg", regressors, left)], axis=1).reshape(len(v), -1)
    return n.T @ n


def to_device(arrays: dict[str, AnyArray]) -> CityArrays:
    """City arrays as device arrays, once a task."""
    return {name: jnp.asarray(value) for name, value in arrays.items()}
