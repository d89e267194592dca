"""Weighted coefficient of variation of the two cities' values, year by year."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def pair_values(y_i: Array, y_j: Array, w_i: Array, w_j: Array, _: object = None) -> Array:
    """Weighted standard deviation of two values over their weighted mean, any shape.

    sqrt(p_i p_j) |y_i - y_j| / (p_i y_i + p_j y_j)  with  p_i = w_i / (w_i + w_j)
    """
    total = w_i + w_j
    mean = (w_i * y_i + w_j * y_j) / total
    return jnp.sqrt(w_i * w_j) / total * jnp.abs(y_i - y_j) / mean
