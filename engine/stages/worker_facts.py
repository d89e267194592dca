"""Facts that a worker and the driver must share, so that both compute the same numbers."""

from __future__ import annotations

import platform

from engine.float64 import double_precision
from engine.runtime.source_code import NUMERIC_PACKAGES, package_version, source_digest

_PACKAGES = (*NUMERIC_PACKAGES, "dask", "distributed")


def worker_facts() -> dict[str, str]:
    """Versions, the digest of this package's source, and whether JAX computes in double precision."""
    import jax

    with double_precision():
        precise = float(jax.numpy.asarray(1.0) + 2.0**-52) > 1.0
    return {
        "Python": ".".join(platform.python_version_tuple()[:2]),
        **{name: package_version(name) for name in _PACKAGES},
        "source": source_digest()[:12],
        "float64": str(precise),
    }
