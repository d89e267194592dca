"""One thread for BLAS: with more, it splits a sum by their number, and the last bits of a result tell how many."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController, threadpool_limits

_LOCK = Lock()
_INSIDE: list[object] = []
_LIMITS: dict[bool, threadpool_limits] = {}  # the first with each set of libraries knows their threads before


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """All BLAS of this process that is loaded has one thread within it; the last to leave gives back the threads.

    A BLAS that counts threads for each of its callers (those on OpenMP) is limited for the thread that enters.
    SciPy has a BLAS of its own: whoever needs it there loads ``scipy.linalg`` first.
    """
    caller, with_scipy = object(), "scipy.linalg" in sys.modules
    with _LOCK:
        _take_control()
        _LIMITS.setdefault(with_scipy, _controller(with_scipy).limit(limits=1, user_api="blas"))
        _INSIDE.append(caller)
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.remove(caller)
            while _LIMITS and not _INSIDE:
                _take_control()
                _LIMITS.popitem()[1].restore_original_limits()


@cache
def _controller(with_scipy: bool) -> ThreadpoolController:
    """Of the libraries now loaded: to look for them takes a millisecond or two, to limit them microseconds."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _take_control() -> None:
    """From version 3.8 OpenBLAS belongs to the first thread that limits it, and orders of others are not heard."""
    from threadpoolctl import OpenBLASController

    if hasattr(OpenBLASController, "clear_controlling_thread"):
        OpenBLASController.clear_controlling_thread(force=True)
