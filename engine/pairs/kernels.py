"""The two tile kernels, in JAX, float64, compiled once per shape.

`moments`: pair columns -> within-pair statistics -> sums by city and partner class.
`score_products`: pair columns -> influence of each pair on each coefficient -> sums of their products.

Sums run in a fixed order (scatter and leading-axis reductions, no threaded dot products over pairs), so a
chunk gives the same bits on one thread and on many.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from engine.arrays import AnyArray
from engine.pairs.moments import Layout
from engine.pairs.within import column_products, demean, score_sums

ROUNDING = 1e-12
"""Standardised values closer than this are equal; so is a spread this small beside its mean."""


@dataclass(frozen=True)
class Rule:
    """What is fixed when a kernel is compiled.

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
        ``synchronization`` or ``variation`` of the city series (not for pair tables).
    kinds : tuple of str
        Of each column of ``levels`` a: ``difference`` -|a_i - a_j|, ``sum`` a_i + a_j, or
        ``synchronization`` of the two series.
    lag : int
        Years by which columns of kind ``synchronization`` are late; other levels are lagged before.
    """

    layout: Layout
    n_classes: int
    edge: int
    look_ahead: bool
    clip: float
    directed: bool
    outcome: str = "synchronization"
    kinds: tuple[str, ...] = ()
    lag: int = 0


def synchronization(z_i: Array, z_j: Array, n_years: Any, *, look_ahead: bool, clip: float) -> Array:
    """Fisher-type transform of the Cerqueira-Martins index of two standardised series.

    rho = 1 - (z_i - z_j)^2 / 2,  rho' = [log1p(rho / (2T - 3)) - log((z_i - z_j)^2 / 2)] / 2

    The difference 1 - rho is never formed: it loses all digits for close series. Without look-ahead the index
    has no lower bound, and the first term is left out. Values that rounding cannot tell from equal, or from
    the lower bound, are infinite. Source: Cerqueira and Martins (2009), Cerqueira (2013).

    Parameters
    ----------
    z_i, z_j : float64 ``[..., n_years]``
    n_years : int or array broadcastable to z_i
        Years T behind the standardisation.
    look_ahead : bool
        True where all years were used to standardise, so that rho >= 3 - 2T.
    clip : float
        |z_i - z_j| is raised to at least this, and lowered from its upper bound by as much; 0 for none.
    """
    gap = jnp.abs(z_i - z_j)
    if clip > 0:
        gap = jnp.maximum(gap, clip)
        if look_ahead:
            gap = jnp.minimum(gap, 2.0 * jnp.sqrt(n_years - 1.0) - clip)
    half = 0.5 * gap * gap
    far = jnp.where(gap <= ROUNDING, jnp.inf, -0.5 * jnp.log(half))
    if not look_ahead:
        return far
    # At the bound rounding decides whether log1p sees -1, a little more, or a number that has no logarithm.
    bound = 2.0 * jnp.sqrt(n_years - 1.0)
    near = 0.5 * jnp.log1p((1.0 - half) / (2.0 * n_years - 3.0))
    return jnp.where(gap >= bound - ROUNDING, -jnp.inf, far + near)


def variation(y_i: Array, y_j: Array, w_i: Array, w_j: Array) -> Array:
    """Weighted coefficient of variation of two values, any shape: sqrt(p_i p_j) |y_i - y_j| / (p_i y_i + p_j y_j).

    With p_i = w_i / (w_i + w_j); the weighted standard deviation of two values over their weighted mean.
    """
    total = w_i + w_j
    mean = (w_i * y_i + w_j * y_j) / total
    return jnp.sqrt(w_i * w_j) / total * jnp.abs(y_i - y_j) / mean


def _synchronized(rule: Rule, series: Array, window: Array, i: Array, j: Array) -> Array:
    """rho' of pairs ``[chunk, n_years]``; with missing city-years, over the years both cities have.

    ``series`` ``[n_units, n_years]``, standardised already where the layout is balanced.
    """
    if rule.layout.balanced:
        years = float(rule.layout.n_years)
        return synchronization(series[i], series[j], years, look_ahead=rule.look_ahead, clip=rule.clip)
    one, other = series[i], series[j]
    both = jnp.isfinite(one) & jnp.isfinite(other)
    counted = both & window[None]
    n_counted = counted.sum(1, keepdims=True)
    n = n_counted.astype(series.dtype)

    def standardise(x: Array) -> Array:
        mean = jnp.where(counted, x, 0.0).sum(1, keepdims=True) / n
        centred = x - mean
        centred = centred - jnp.where(counted, centred, 0.0).sum(1, keepdims=True) / n  # what rounding left
        spread = jnp.sqrt(jnp.where(counted, centred * centred, 0.0).sum(1, keepdims=True) / n)
        farthest = jnp.where(counted, jnp.abs(centred), 0.0).max(1, keepdims=True)
        return jnp.where(farthest > ROUNDING * jnp.abs(mean), centred / spread, jnp.nan)  # flat: no outcome

    y = synchronization(standardise(one), standardise(other), n, look_ahead=rule.look_ahead, clip=rule.clip)
    return jnp.where(both & (n_counted >= 3), y, jnp.nan)


def _outcome(rule: Rule, arrays: dict[str, Array], i: Array, j: Array) -> Array:
    """Outcome of pairs ``[chunk, n_years]``; NaN where missing."""
    series = arrays["series"]
    if rule.outcome == "variation":
        weight = arrays["weight"]
        return variation(series[i], series[j], weight[i], weight[j])
    return _synchronized(rule, series, arrays["window"], i, j)


def _regressors(rule: Rule, arrays: dict[str, Array], i: Array, j: Array) -> Array:
    """Pair columns of the city levels ``[chunk, n_years, k]``."""
    levels = arrays["levels"]
    one, other = levels[i], levels[j]
    columns = -jnp.abs(one - other)
    if "sum" in rule.kinds:
        is_sum = np.array([[[kind == "sum" for kind in rule.kinds]]])
        columns = jnp.where(is_sum, one + other, columns)
    for number, kind in enumerate(rule.kinds):
        if kind == "synchronization":
            late = _synchronized(rule, levels[:, :, number], arrays["window"], i, j)
            if rule.lag:
                lost = jnp.full_like(late[:, : rule.lag], jnp.nan)
                late = jnp.concatenate([lost, late[:, : -rule.lag]], axis=1)
            columns = columns.at[:, :, number].set(late)
    return columns


def _columns(
    rule: Rule,
    arrays: dict[str, Array],
    i: Array,
    j: Array,
    n: Array,
    values: Array | None,
    weights: Array | None = None,
) -> tuple[Array, Array, Array, Array]:
    """Columns ``[chunk, T, m]`` (zero where missing), row weights ``[chunk, T]``, pair used ``[chunk]``, counts.

    A row's weight is 1, or what ``weights`` says, and 0 where it is missing.
    """
    inside = jnp.arange(len(i)) < n
    if "split" in arrays:
        both = arrays["split"][i] + arrays["split"][j]
        inside &= (both > arrays["split_bounds"][0]) & (both <= arrays["split_bounds"][1])
    if values is not None:
        v = values - arrays["centre"][None, None] if "centre" in arrays else values
    else:
        parts = [_regressors(rule, arrays, i, j), _outcome(rule, arrays, i, j)[:, :, None]]
        if "observed" in arrays:  # draws that ask about the treatment that happened have it as a column
            parts.insert(1, arrays["observed"][arrays["classes"][i], arrays["classes"][j]][:, :, None])
        v = jnp.concatenate(parts, axis=2)
    finite = jnp.isfinite(v)
    stays = inside[:, None]
    if "kept_rows" in arrays:
        stays = stays & arrays["kept_rows"][arrays["classes"][i], arrays["classes"][j]]
    infinite = (jnp.isinf(v).any(2) & stays).sum().astype(v.dtype)
    if rule.layout.balanced:
        whole = jnp.broadcast_to(inside[:, None], v.shape[:2]).astype(v.dtype)
        counts = jnp.concatenate([jnp.array([infinite, 0, whole.sum()]), whole.sum(0)])
        return jnp.where(inside[:, None, None], v, 0.0), whole, inside, counts
    observed = finite.all(2) & stays
    if weights is not None:
        observed &= weights > 0
    years = observed.sum(1)
    used = years >= 2
    observed &= used[:, None]
    row = observed.astype(v.dtype) if weights is None else jnp.where(observed, weights, 0.0)
    singletons = (years == 1).sum().astype(v.dtype)
    counts = jnp.concatenate([jnp.array([infinite, singletons, row.sum()]), observed.sum(0).astype(v.dtype)])
    return jnp.where(observed[:, :, None], v, 0.0), row, used, counts


def _deviations(rule: Rule, arrays: dict[str, Array], v: Array, row: Array) -> tuple[Array, Array, Array]:
    """Columns without their pair means (and the outcome without its profile), the means, sums of weights."""
    return demean(v, row, balanced=rule.layout.balanced, profile=arrays.get("profile"))


def _features(
    rule: Rule,
    arrays: dict[str, Array],
    i: Array,
    j: Array,
    n: Array,
    values: Array | None,
    weights: Array | None = None,
) -> tuple[Array, Array]:
    """Statistics of each pair ``[chunk, size]`` in the order of the layout, and counts as in `moments`."""
    layout = rule.layout
    v, row, used, counts = _columns(rule, arrays, i, j, n, values, weights)
    demeaned, mean, years = _deviations(rule, arrays, v, row)
    pair = used.astype(v.dtype)
    outcome = mean[:, -1]
    rows = pair * years if weights is None else (row > 0).sum(1).astype(v.dtype)
    totals = jnp.stack([pair, rows, pair * years * outcome, pair * years * outcome**2], axis=1)
    parts = [totals]
    if not layout.balanced:
        a, b = layout.year_pairs
        same = (a == b).astype(v.dtype)[None]
        parts.append(row[:, a] * (same - row[:, b] / years[:, None]))
    weighted = demeaned if weights is None else row[:, :, None] * demeaned
    parts.append(weighted.reshape(len(i), -1))
    parts.append(column_products(weighted, demeaned, layout.column_pairs))
    return jnp.concatenate(parts, axis=1), counts


features = partial(jax.jit, static_argnames="rule")(_features)
"""`_features`, compiled on its own: for draws that keep the statistics of every pair."""


@partial(jax.jit, static_argnames="rule")
def rows(
    rule: Rule,
    arrays: dict[str, Array],
    i: Array,
    j: Array,
    n: Array,
    values: Array | None = None,
    weights: Array | None = None,
) -> tuple[Array, Array, Array]:
    """The columns themselves ``[chunk, T, m]``, weights of their rows ``[chunk, T]``, counts; as in `moments`."""
    v, row, _, counts = _columns(rule, arrays, i, j, n, values, weights)
    return v, row, counts


@partial(jax.jit, static_argnames="rule")
def moments(
    rule: Rule,
    arrays: dict[str, Array],
    i: Array,
    j: Array,
    n: Array,
    offset: Array,
    values: Array | None = None,
    weights: Array | None = None,
    blocks: tuple[Array, Array] | None = None,
) -> tuple[Array, Array, Array, Array | None]:
    """Sums of pair statistics by city and partner class, and of their products by type of pair.

    Parameters
    ----------
    rule : Rule
    arrays : dict
        City arrays: ``classes``, and for panels ``series``, ``window``, ``levels``; where the design has them
        ``weight``, ``kept_rows``, and ``split`` with ``split_bounds`` (a pair stays where its sum is within);
        for pair tables ``centre`` ``[m]`` and ``profile`` ``[T, m]`` (`design.TableDesign`).
    i, j : int32 ``[chunk]``
    n : int
        Pairs that count.
    offset : int32 ``[2]``
        Unit positions at which the rows and the columns of the tile start.
    values : float64 ``[chunk, T, m]``, optional
        Columns of a pair table.
    weights : float64 ``[chunk, T]``, optional
        Weights of the rows; not with a balanced layout.
    blocks : int32 ``[n_blocks, length]``, int32 ``[n_blocks]``, optional
        Positions of pairs of one type, the chunk's length standing for none, and the type; where products of
        the statistics are wanted.

    Returns
    -------
    first, second : float64 ``[edge, n_classes, size]``
    counts : float64 ``[3 + T]``
        Infinite outcomes, singleton pairs, sum of the weights of the rows that count, number of those by year.
    products : float64 ``[n_types, size, size]`` or None
    """
    layout = rule.layout
    features, counts = _features(rule, arrays, i, j, n, values, weights)
    classes = arrays["classes"]
    shape = (rule.edge, rule.n_classes, layout.size)

    def sums(city: Array, partner: Array) -> Array:
        segment = city * rule.n_classes + classes[partner]
        return jax.ops.segment_sum(features, segment, rule.edge * rule.n_classes).reshape(shape)

    # Padding has zero features, so it may fall on any row that exists.
    row = jnp.clip(i - offset[0], 0, rule.edge - 1)
    col = jnp.clip(j - offset[1], 0, rule.edge - 1)
    products = None
    if blocks is not None:
        members, kind = blocks
        of_block = jnp.concatenate([features, jnp.zeros_like(features[:1])])[members]
        each = jnp.einsum("bpf,bpg->bfg", of_block, of_block)
        products = jax.ops.segment_sum(each, kind, rule.n_classes * (rule.n_classes + 1) // 2)
    return sums(row, j), sums(col, i), counts, products


@partial(jax.jit, static_argnames="rule")
def score_products(
    rule: Rule,
    arrays: dict[str, Array],
    i: Array,
    j: Array,
    n: Array,
    cells: dict[str, Array],
    values: Array | None = None,
    weights: Array | None = None,
) -> tuple[Array, Array]:
    """Sums over pairs of the products of pair influences, for a block of cells.

    A pair's influence on the coefficients of a cell is psi = sum_t r_t e_t, with residual e and residualised
    regressors r, both linear in the pair's columns; the bread is inside r.

    Parameters
    ----------
    rule, arrays, i, j, n, values, weights
        As in `moments`.
    cells : dict
        ``terms`` ``[H, H, T, r]`` treatment paths by class; ``residual`` ``[T + m + r, C]`` and ``influence``
        ``[T + m + r, C * K]``, coefficients on years, columns and terms.

    Returns
    -------
    own : float64 ``[C, K, K]``
        Sum over pairs of psi psi'.
    reverse : float64 ``[C, K, K]``
        Directed tables: sum over dyads of psi_ij psi_ji' and its transpose; zero otherwise.
    """
    v, row, _, _ = _columns(rule, arrays, i, j, n, values, weights)
    classes = arrays["classes"]
    # Of levels far from zero the sums below would keep no digits.
    v, _, _ = _deviations(rule, arrays, v, row)
    columns = jnp.concatenate([v, cells["terms"][classes[i], classes[j]]], axis=2)
    t, n_cells = v.shape[1], cells["residual"].shape[1]
    path = columns @ cells["residual"][t:] + cells["residual"][None, :t]
    path = jnp.where(row[:, :, None] > 0, path, 0.0)
    residual, _, _ = demean(path, row, balanced=rule.layout.balanced)
    if weights is not None:
        residual = row[:, :, None] * residual
    # Scores on every column, summed over years; then the few that a cell has are combined.
    moved = jnp.concatenate([residual, score_sums(columns, residual)], axis=1)
    influence = cells["influence"].reshape(len(moved[0]), n_cells, -1)
    psi = jnp.stack([moved[:, :, cell] @ influence[:, cell] for cell in range(n_cells)], axis=1)
    own = (psi[:, :, :, None] * psi[:, :, None, :]).sum(0)
    if not rule.directed:
        return own, jnp.zeros_like(own)
    there, back = psi[0::2], psi[1::2]
    cross = (there[:, :, :, None] * back[:, :, None, :]).sum(0)
    return own, cross + jnp.swapaxes(cross, 1, 2)


def to_device(arrays: dict[str, AnyArray]) -> dict[str, Array]:
    """City arrays as device arrays, once a task."""
    return {name: jnp.asarray(value) for name, value in arrays.items()}
