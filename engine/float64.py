"""The only door to double precision in JAX, whose default is single."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager

# An accelerator adds what is scattered in an order of its own, so that a second run differs in the last bits, unless
# told otherwise before JAX first looks for devices. Whoever sets the flag is obeyed.
_REPEATABLE = "--xla_gpu_deterministic_ops"
if _REPEATABLE not in os.environ.get("XLA_FLAGS", ""):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_REPEATABLE}=true".strip()


def double_precision() -> AbstractContextManager[None]:
    """Arrays made and functions compiled within it are float64; nothing is set outside of it."""
    import jax  # where a finished run is reused, nothing computes and JAX is not loaded

    return jax.enable_x64(True)
