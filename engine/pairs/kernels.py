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

from engine.pairs.moments import Layout

_ROUNDING = 1e-12  # standardised values closer than this are equal; so is a spread this small beside its mean


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
    """

    layout: Layout
    n_classes: int
    edge: int
    look_ahead: bool
    clip: float
    directed: bool


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
    far = jnp.where(gap <= _ROUNDING, jnp.inf, -0.5 * jnp.log(half))
    if not look_ahead:
        return far
    # At the bound rounding decides whether log1p sees -1, a little more, or a number that has no logarithm.
    bound = 2.0 * jnp.sqrt(n_years - 1.0)
    near = 0.5 * jnp.log1p((1.0 - half) / (2.0 * n_years - 3.0))
    return jnp.where(gap >= bound - _ROUNDING, -jnp.inf, far + near)


def _outcome(rule: Rule, arrays: dict[str, Array], i: Array, j: Array) -> Array:
    """rho' of pairs ``[chunk, n_years]``; with missing city-years, over the years both cities have."""
    if rule.layout.balanced:
        z = arrays["series"]
        return synchronization(
            z[i], z[j], float(rule.layout.n_years), look_ahead=rule.look_ahead, clip=rule.clip
        )
    one, other = arrays["series"][i], arrays["series"][j]
    both = jnp.isfinite(one) & jnp.isfinite(other)
    counted = both & arrays["window"]
    n = counted.sum(1, keepdims=True)

    def standardise(x: Array) -> Array:
        mean = jnp.where(counted, x, 0.0).sum(1, keepdims=True) / n
        centred = x - mean
        spread = jnp.sqrt(jnp.where(counted, centred * centred, 0.0).sum(1, keepdims=True) / n)
        return jnp.where(spread > _ROUNDING * jnp.abs(mean), centred / spread, jnp.nan)  # flat: no outcome

    y = synchronization(standardise(one), standardise(other), n, look_ahead=rule.look_ahead, clip=rule.clip)
    return jnp.where(both & (n >= 3), y, jnp.nan)


def _columns(
    rule: Rule, arrays: dict[str, Array], i: Array, j: Array, n: Array, values: Array | None
) -> tuple[Array, Array, Array, Array]:
    """Columns ``[chunk, T, m]`` (zero where missing), observed ``[chunk, T]``, pair used ``[chunk]``, counts."""
    inside = jnp.arange(len(i)) < n
    if values is not None:
        v = values
    else:
        x = -jnp.abs(arrays["levels"][i] - arrays["levels"][j])
        parts = [x, _outcome(rule, arrays, i, j)[:, :, None]]
        if "observed" in arrays:  # draws that ask about the treatment that happened have it as a column
            parts.insert(1, arrays["observed"][arrays["classes"][i], arrays["classes"][j]][:, :, None])
        v = jnp.concatenate(parts, axis=2)
    finite = jnp.isfinite(v)
    infinite = (jnp.isinf(v[:, :, -1]) & inside[:, None]).sum()
    if rule.layout.balanced:
        observed = jnp.broadcast_to(inside[:, None], v.shape[:2])
        return jnp.where(inside[:, None, None], v, 0.0), observed, inside, jnp.array([infinite, 0])
    observed = finite.all(2) & inside[:, None]
    if "kept_rows" in arrays:
        observed &= arrays["kept_rows"][arrays["classes"][i], arrays["classes"][j]]
    years = observed.sum(1)
    used = years >= 2
    observed &= used[:, None]
    counts = jnp.array([infinite, (years == 1).sum()])
    return jnp.where(observed[:, :, None], v, 0.0), observed, used, counts


def _demean(v: Array, observed: Array, rule: Rule) -> tuple[Array, Array, Array]:
    """Demeaned over observed years (axis 1) and zero elsewhere, with the means and the counts of years.

    What the rounding of the mean leaves of a column that is constant in the pair is zero too, so that the
    search for collinear regressors sees no variation where there is none.
    """
    if rule.layout.balanced:
        n = jnp.full(len(v), float(rule.layout.n_years))
        mean = v.mean(1)
    else:
        n = jnp.maximum(observed.sum(1), 1).astype(v.dtype)
        mean = v.sum(1) / n[:, None]
    centred = v - mean[:, None]
    rounding = v.shape[1] * jnp.finfo(v.dtype).eps * jnp.abs(mean)
    inside = jnp.abs(centred) > rounding[:, None]
    if not rule.layout.balanced:
        inside &= observed[:, :, None]
    return jnp.where(inside, centred, 0.0), mean, n


def _features(
    rule: Rule, arrays: dict[str, Array], i: Array, j: Array, n: Array, values: Array | None
) -> tuple[Array, Array]:
    """Statistics of each pair ``[chunk, size]`` in the order of the layout, and counts as in `moments`."""
    layout = rule.layout
    v, observed, used, counts = _columns(rule, arrays, i, j, n, values)
    demeaned, mean, years = _demean(v, observed, rule)
    pair = used.astype(v.dtype)
    outcome = mean[:, -1]
    totals = jnp.stack([pair, pair * years, pair * years * outcome, pair * years * outcome**2], axis=1)
    parts = [totals]
    if not layout.balanced:
        a, b = layout.year_pairs
        o = observed.astype(v.dtype)
        parts.append(o[:, a] * ((a == b) - o[:, b] / years[:, None]))
    parts.append(demeaned.reshape(len(i), -1))
    products = [
        (demeaned[:, :, a] * demeaned[:, :, b]).sum(1) for a, b in zip(*layout.column_pairs, strict=True)
    ]
    parts.append(jnp.stack(products, axis=1))
    return jnp.concatenate(parts, axis=1), counts


features = partial(jax.jit, static_argnames="rule")(_features)
"""`_features`, compiled on its own: for draws that keep the statistics of every pair."""


@partial(jax.jit, static_argnames="rule")
def moments(
    rule: Rule,
    arrays: dict[str, Array],
    i: Array,
    j: Array,
    n: Array,
    offset: Array,
    values: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Sums of pair statistics by city and partner class.

    Parameters
    ----------
    rule : Rule
    arrays : dict
        City arrays: ``classes``, and for panels ``series``, ``window``, ``levels``, ``kept_rows``.
    i, j : int32 ``[chunk]``
    n : int
        Pairs that count.
    offset : int32 ``[2]``
        Unit positions at which the rows and the columns of the tile start.
    values : float64 ``[chunk, T, m]``, optional
        Columns of a pair table.

    Returns
    -------
    first, second : float64 ``[edge, n_classes, size]``
    counts : int64 ``[2]``
        Infinite outcomes, singleton pairs.
    """
    layout = rule.layout
    features, counts = _features(rule, arrays, i, j, n, values)
    classes = arrays["classes"]
    shape = (rule.edge, rule.n_classes, layout.size)

    def sums(city: Array, partner: Array) -> Array:
        segment = city * rule.n_classes + classes[partner]
        return jax.ops.segment_sum(features, segment, rule.edge * rule.n_classes).reshape(shape)

    # Padding has zero features, so it may fall on any row that exists.
    row = jnp.clip(i - offset[0], 0, rule.edge - 1)
    col = jnp.clip(j - offset[1], 0, rule.edge - 1)
    return sums(row, j), sums(col, i), counts


@partial(jax.jit, static_argnames="rule")
def score_products(
    rule: Rule,
    arrays: dict[str, Array],
    i: Array,
    j: Array,
    n: Array,
    cells: dict[str, Array],
    values: Array | None = None,
) -> tuple[Array, Array]:
    """Sums over pairs of the products of pair influences, for a block of cells.

    A pair's influence on the coefficients of a cell is psi = sum_t r_t e_t, with residual e and residualised
    regressors r, both linear in the pair's columns; the bread is inside r.

    Parameters
    ----------
    rule, arrays, i, j, n, values
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
    v, observed, _, _ = _columns(rule, arrays, i, j, n, values)
    classes = arrays["classes"]
    columns = jnp.concatenate([v, cells["terms"][classes[i], classes[j]]], axis=2)
    t, n_cells = v.shape[1], cells["residual"].shape[1]
    path = columns @ cells["residual"][t:] + cells["residual"][:t]
    residual, _, _ = _demean(jnp.where(observed[:, :, None], path, 0.0), observed, rule)
    # Scores on every column, summed over years; then the few that a cell has are combined.
    scores = [(columns[:, :, k, None] * residual).sum(1) for k in range(columns.shape[2])]
    moved = jnp.concatenate([residual, jnp.stack(scores, axis=1)], axis=1)
    influence = cells["influence"].reshape(len(moved[0]), n_cells, -1)
    psi = jnp.stack([moved[:, :, cell] @ influence[:, cell] for cell in range(n_cells)], axis=1)
    own = (psi[:, :, :, None] * psi[:, :, None, :]).sum(0)
    if not rule.directed:
        return own, jnp.zeros_like(own)
    there, back = psi[0::2], psi[1::2]
    cross = (there[:, :, :, None] * back[:, :, None, :]).sum(0)
    return own, cross + jnp.swapaxes(cross, 1, 2)


def to_device(arrays: dict[str, np.ndarray[Any, Any]]) -> dict[str, Array]:
    """City arrays as device arrays, once a task."""
    return {name: jnp.asarray(value) for name, value in arrays.items()}
