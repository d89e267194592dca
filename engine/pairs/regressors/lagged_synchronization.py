"""Synchronization of two city series as a regressor; a lag moves the pair column, not the series."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from engine.pairs.outcomes import synchronization
from engine.pairs.standardisation import Standardisation


def pair_values(x_i: Array, x_j: Array, standardisation: Standardisation) -> Array:
    """rho' of each column ``[pairs, n_years, columns]``, lagged; NaN in the years that a lag loses.

    A synchronization belongs to its years, first to last: a series lagged before would be standardised over others.
    """
    columns = [
        synchronization.pair_values(x_i[:, :, k], x_j[:, :, k], None, None, standardisation)
        for k in range(x_i.shape[2])
    ]
    rho, lag = jnp.stack(columns, axis=2), standardisation.lag
    return jnp.concatenate([jnp.full_like(rho[:, :lag], jnp.nan), rho[:, :-lag]], axis=1) if lag else rho
