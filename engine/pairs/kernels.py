"""The tile kernels of the first pass, in JAX, float64, compiled once per shape; of the second: `influence_kernels`.

`moments`: pair columns -> pair statistics -> sums by city and partner class.
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
from engine.pairs.untreated_window import window_statistics
from engine.pairs.within import column_products, demean

CityArrays = dict[str, Array]
"""City arrays of a pass by name: ``classes``, and for panels ``series``, ``window`` and ``levels``; where the design
has them ``weight``, ``kept_rows``, ``untreated`` (statistics are of that window), ``observed`` (a treatment path by
class), and ``split`` with ``split_bounds`` (a pair stays where its sum is within); for pair tables ``centre`` ``[m]``
and ``profile`` ``[T, m]`` (`design.TableDesign`)."""


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
    least_rows : int
        Observed years that a pair must have: one where it has no effect of its own.
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
    least_rows: int = 2


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
    adoption : int32 ``[chunk]`` or None
        Adoption class of the pair itself; None where those of its units say when it is treated.
    """

    i: AnyArray
    j: AnyArray
    n: int
    values: AnyArray | None = None
    weights: AnyArray | None = None
    adoption: AnyArray | None = None


def arrays_of(chunk: Chunk) -> PairChunk:
    """The part of a design's chunk that a kernel takes."""
    return PairChunk(chunk.i, chunk.j, chunk.n, chunk.values, chunk.weights, chunk.adoption)


def pair_classes(arrays: CityArrays, chunk: PairChunk) -> tuple[Array, Array]:
    """Adoption classes ``[chunk]`` of the first unit and of the second, or the pair's own in place of the second's."""
    classes = arrays["classes"]
    own_or_second = classes[chunk.j] if chunk.adoption is None else chunk.adoption
    return classes[chunk.i], jnp.asarray(own_or_second)


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


def pair_columns(
    options: KernelOptions, arrays: CityArrays, chunk: PairChunk
) -> tuple[Array, Array, Array, Array]:
    """Columns ``[chunk, T, m]`` (zero where missing), row weights ``[chunk, T]``, pair used ``[chunk]``, counts.

    A row's weight is 1, or that of the chunk, and 0 where it is missing.
    """
    i, j, n, values, weights, _ = chunk
    eligible = jnp.arange(len(i)) < n
    if "split" in arrays:
        split_sum = arrays["split"][i] + arrays["split"][j]
        eligible &= (split_sum > arrays["split_bounds"][0]) & (split_sum <= arrays["split_bounds"][1])
    if values is not None:
        v = jnp.asarray(values - arrays["centre"][None, None] if "centre" in arrays else values)
    else:
        regressors = _regressor_values(options, arrays, i, j)
        v = jnp.concatenate([regressors, outcome_values(options, arrays, i, j)[:, :, None]], axis=2)
    if "observed" in arrays:  # draws that ask about the treatment that happened have it as a column
        happened = arrays["observed"][pair_classes(arrays, chunk)][:, :, None]
        v = jnp.concatenate([v[:, :, :-1], happened, v[:, :, -1:]], axis=2)
    stays = eligible[:, None]
    if "kept_rows" in arrays:
        stays = stays & arrays["kept_rows"][pair_classes(arrays, chunk)]
    infinite = (jnp.isinf(v).any(2) & stays).sum().astype(v.dtype)
    if options.layout.balanced:
        row = jnp.broadcast_to(eligible[:, None], v.shape[:2]).astype(v.dtype)
        counts = jnp.concatenate([jnp.array([infinite, 0, row.sum()]), row.sum(0)])
        return jnp.where(eligible[:, None, None], v, 0.0), row, eligible, counts
    observed = jnp.isfinite(v).all(2) & stays
    if weights is not None:
        observed &= weights > 0
    years = observed.sum(1)
    informative = years >= options.least_rows
    observed &= informative[:, None]
    row = observed.astype(v.dtype) if weights is None else jnp.where(observed, weights, 0.0)
    singletons = ((years == 1) & ~informative).sum().astype(v.dtype)
    counts = jnp.concatenate([jnp.array([infinite, singletons, row.sum()]), observed.sum(0).astype(v.dtype)])
    return jnp.where(observed[:, :, None], v, 0.0), row, informative, counts


def deviations(
    options: KernelOptions, arrays: CityArrays, v: Array, row: Array
) -> tuple[Array, Array, Array]:
    """Columns without their pair means (and the outcome without its profile), the means, sums of weights."""
    return demean(v, row, balanced=options.layout.balanced, profile=arrays.get("profile"))


def _pair_statistics(options: KernelOptions, arrays: CityArrays, chunk: PairChunk) -> tuple[Array, Array]:
    """Statistics of each pair ``[chunk, size]`` in the order of the layout, and counts as in `moments`."""
    layout, weights = options.layout, chunk.weights
    v, row, informative, counts = pair_columns(options, arrays, chunk)
    if "untreated" in arrays:
        return window_statistics(layout, v, row, arrays["untreated"][pair_classes(arrays, chunk)]), counts
    demeaned, mean, years = deviations(options, arrays, v, row)
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
    v, row, _, counts = pair_columns(options, arrays, chunk)
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
    class_i, class_j = pair_classes(arrays, chunk)
    shape = (options.edge, options.n_classes, layout.size)

    def sums(city: Array, class_of_partner: Array) -> Array:
        segment = city * options.n_classes + class_of_partner
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
    return sums(row, class_j), sums(col, class_i if chunk.adoption is None else class_j), counts, products


def to_device(arrays: dict[str, AnyArray]) -> CityArrays:
    """City arrays as device arrays, once a task."""
    return {name: jnp.asarray(value) for name, value in arrays.items()}
