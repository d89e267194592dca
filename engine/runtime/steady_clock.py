"""A clock for Dask that nobody can set back.

Dask sends messages in small batches and computes when the next one is due from the time of day, as tornado does with
everything that is done every so often. Where the clock is set back by an hour, all of it waits for an hour. Here
both get a clock that agrees with the time of day when it is installed, and from then on only counts seconds.
"""

from __future__ import annotations

import time
from typing import Any

from distributed import batched
from distributed.diagnostics.plugin import WorkerPlugin
from tornado.ioloop import IOLoop

_AHEAD = time.time() - time.monotonic()


def steady_time() -> float:
    """Seconds since the epoch, as this process knew it when it first asked, and the seconds passed since."""
    return _AHEAD + time.monotonic()


def install() -> None:
    """For all of this process; deadlines set before stay right, since the clocks agree until one is set back."""
    batched.time = steady_time
    IOLoop.time = lambda self: steady_time()  # type: ignore[method-assign]


class SteadyClock(WorkerPlugin):  # type: ignore[misc]
    """For every worker."""

    def setup(self, worker: Any) -> None:
        """Called by Dask, at once or when the worker joins."""
        install()
