"""Cerqueira-Martins synchronization of the two cities' standardised series, year by year."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from engine.pairs.city_series import ROUNDING
from engine.pairs.standardisation import Standardisation


def pair_values(y_i: Array, y_j: Array, w_i: None, w_j: None, standardisation: Standardisation) -> Array:
    """rho' of pairs ``[pairs, n_years]``; with missing city-years, over the years that both cities have."""
    z_i, z_j, n_years, observed = standardisation.of_pair(y_i, y_j)
    rho = synchronization(z_i, z_j, n_years, look_ahead=standardisation.look_ahead, clip=standardisation.clip)
    return rho if observed is None else jnp.where(observed, rho, jnp.nan)


def synchronization(
    z_i: Array, z_j: Array, n_years: float | Array, *, look_ahead: bool, clip: float
) -> Array:
    """Fisher-type transform of the Cerqueira-Martins index of two standardised series.

    rho = 1 - (z_i - z_j)^2 / 2,  rho' = [log1p(rho / (2T - 3)) - log((z_i - z_j)^2 / 2)] / 2

    The difference 1 - rho is never formed: it loses all digits for close series. Without look-ahead the index
    has no lower bound, and the first term is left out. Values that rounding cannot tell from equal, or from
    the lower bound, are infinite. Source: Cerqueira and Martins (2009), Cerqueira (2013).

    Parameters
    ----------
    z_i, z_j : float64 ``[..., n_years]``
    n_years : float or array broadcastable to z_i
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
