"""Pair statistics of the untreated window: deviations of all rows from the pair's means over its untreated ones.

Untreated rows are those on which pair and year effects are fitted (`engine.estimate.two_stages`); treatment lasts, so
that they precede the treated ones. With o the weights of a pair's rows, u those of the untreated ones and
n = sum_t u_t, the statistics stand in the vector of `engine.pairs.moments` where those of all rows do:

    EE  [s, t], s <= t     u_s (1[s = t] - u_t / n) within the window; -u_s o_t / n of a treated t; o_t where s = t too
    EV  [t, column]        o_t (v_t - mean of v over the window), of every row
    VV                     sums over the window alone

A pair without an untreated row has no effect of its own, so that nothing is imputed for it: its statistics are zero but
for the last two totals, which stand in place of those of the outcome's mean: such pairs, and their rows.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from engine.pairs.moments import Layout
from engine.pairs.within import column_products, demean


def window_statistics(layout: Layout, v: Array, row: Array, is_untreated: Array) -> Array:
    """Statistics of pairs ``[chunk, size]``.

    Parameters
    ----------
    layout : Layout
    v : float64 ``[chunk, T, m]``
        Columns, zero where a row is missing.
    row : float64 ``[chunk, T]``
        Weights of the rows.
    is_untreated : bool ``[chunk, T]``
    """
    n_rows = (row > 0).sum(1).astype(v.dtype)
    row, window = window_rows(row, is_untreated)
    has_window = (window > 0).any(1)
    counts, left_out = (flags.astype(v.dtype) for flags in (has_window, ~has_window & (n_rows > 0)))
    demeaned, n = window_deviations(v, row, window)
    parts = [jnp.stack([counts, counts * n_rows, left_out, left_out * n_rows], axis=1)]
    if not layout.balanced:
        earlier, later = layout.year_pairs
        is_diagonal = (earlier == later).astype(v.dtype)[None]
        # A treated row is no part of the mean, so that it stands on the diagonal alone.
        parts.append(row[:, later] * (is_diagonal - window[:, earlier] / n[:, None]))
    weighted = row[:, :, None] * demeaned
    parts.append(weighted.reshape(len(v), -1))
    parts.append(column_products(window[:, :, None] * demeaned, demeaned, layout.column_pairs))
    return jnp.concatenate(parts, axis=1)


def window_rows(row: Array, is_untreated: Array) -> tuple[Array, Array]:
    """Weights ``[chunk, T]`` of the rows of pairs that have an untreated one, and of the untreated ones."""
    window = jnp.where(is_untreated, row, 0.0)
    return jnp.where((window > 0).any(1, keepdims=True), row, 0.0), window


def window_deviations(v: Array, row: Array, window: Array) -> tuple[Array, Array]:
    """Columns ``[chunk, T, m]`` less their means over the window, zero where there is no row, and its weight."""
    demeaned, _, n = demean(jnp.where(row[:, :, None] > 0, v, 0.0), row, balanced=False, of_mean=window)
    return demeaned, n
