"""Simulated panels in processes of one core each."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest.mock import patch

_MOST_WORKERS = 8  # each compiles for itself
# A process has one core: threads of its own would wait for those of the others.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
}


def in_processes(function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> list[Any]:
    """Results of a function of this folder for the arguments of each task, in order."""
    workers = min(os.cpu_count() or 1, _MOST_WORKERS)
    spawn = multiprocessing.get_context("spawn")  # JAX does not survive a fork
    with patch.dict(os.environ, _ONE_THREAD), ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        return [future.result() for future in [pool.submit(function, *task) for task in tasks]]
