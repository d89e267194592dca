"""The only door to double precision in JAX, whose default is single."""

from __future__ import annotations

from contextlib import AbstractContextManager


def double_precision() -> AbstractContextManager[None]:
    """Arrays made and functions compiled within it are float64; nothing is set outside of it."""
    import jax  # where a finished run is reused, nothing computes and JAX is not loaded

    return jax.enable_x64(True)
