"""Standardisation of two series inside a kernel, over the years that both cities have."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from engine.pairs.city_series import ROUNDING

_FEWEST = 3  # years that standardise a series


@dataclass(frozen=True)
class Standardisation:
    """The years that standardise the series of a pass.

    Attributes
    ----------
    window : bool ``[n_years]``
        Years that standardise.
    in_advance : bool
        No city-year is missing: the series come standardised (`city_series.standardise`).
    look_ahead : bool
        All years standardise.
    clip : float
        Smallest distance of two standardised values; 0 for none.
    lag : int
        Years by which pair columns of standardised series are lagged.
    """

    window: Array
    in_advance: bool
    look_ahead: bool
    clip: float
    lag: int

    def of_pair(self, x_i: Array, x_j: Array) -> tuple[Array, Array, float | Array, Array | None]:
        """Standardised series, years T behind them, and which values there are (None: all).

        Values that are not observed may be anything.

        Parameters
        ----------
        x_i, x_j : float64 ``[pairs, n_years]``
        """
        if self.in_advance:
            return x_i, x_j, float(x_i.shape[1]), None
        observed = jnp.isfinite(x_i) & jnp.isfinite(x_j)
        counted = observed & self.window[None]
        n_counted = counted.sum(1, keepdims=True)
        n_years = n_counted.astype(x_i.dtype)
        z_i, z_j = (_standardise(x, counted, n_years) for x in (x_i, x_j))
        return z_i, z_j, n_years, observed & (n_counted >= _FEWEST)


def _standardise(x: Array, counted: Array, n_years: Array) -> Array:
    """(x - mean) / sd over the years that are counted; NaN where these do not vary."""
    mean = jnp.where(counted, x, 0.0).sum(1, keepdims=True) / n_years
    centred = x - mean
    # What the rounding of the mean left.
    centred = centred - jnp.where(counted, centred, 0.0).sum(1, keepdims=True) / n_years
    spread = jnp.sqrt(jnp.where(counted, centred * centred, 0.0).sum(1, keepdims=True) / n_years)
    farthest = jnp.where(counted, jnp.abs(centred), 0.0).max(1, keepdims=True)
    return jnp.where(farthest > ROUNDING * jnp.abs(mean), centred / spread, jnp.nan)
