"""The only door to double precision in JAX, whose default is single."""

from __future__ import annotations

from functools import partial

import jax

double_precision = partial(jax.enable_x64, True)
"""Context manager: arrays made and functions compiled within it are float64. Nothing is set outside of it."""
