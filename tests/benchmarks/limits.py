"""What the machine itself allows, measured beside each claim: work that no method can leave out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

_AT_ONCE = 2**15  # float64 values that stay in a core's cache


def least_seconds(work: Callable[[], object], *, runs: int = 7) -> float:
    """The shortest of several runs: what is longer, other work on the machine added."""
    seconds = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def logarithm_seconds(n: int) -> float:
    """Seconds for n float64 logarithms on all cores, from the cache: every outcome is one."""
    values, rounds, threads = np.linspace(0.1, 9.0, _AT_ONCE), 50, os.cpu_count() or 1

    def one_thread(_: int) -> None:
        out = np.empty_like(values)
        for _ in range(rounds):
            np.log(values, out=out)

    with ThreadPoolExecutor(threads) as pool:
        seconds = least_seconds(lambda: list(pool.map(one_thread, range(threads))))
    return n * seconds / (threads * rounds * _AT_ONCE)


def product_seconds(n_rows: int, n_columns: int) -> float:
    """Seconds for the cross products of a finished table's columns on all cores: every regression needs them."""
    columns = np.random.default_rng(0).normal(size=(n_rows, n_columns))
    return least_seconds(lambda: columns.T @ columns)
