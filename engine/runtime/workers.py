"""Workers that come: waiting for the first, and refusing those that would compute something else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from engine.errors import InputError, RunError
from engine.runtime.equal_facts import Facts, differences

_POLL_SECONDS = 0.2


def wait_for_workers(
    client: Any,
    *,
    seconds: float,
    waited_for: str,
    remedy: str,
    trouble: Callable[[], str | None] = lambda: None,
) -> None:
    """Return when there is a worker.

    Raises
    ------
    RunError
        After ``seconds``, or as soon as ``trouble`` has something to say.
    """
    end = time.monotonic() + seconds
    while not client.scheduler_info(n_workers=1)["workers"]:
        problem = trouble()
        if problem or time.monotonic() > end:
            reason = problem or f"{waited_for} has had no worker for {seconds:g} s"
            raise RunError(f"{reason}\n  hint: {remedy}")
        time.sleep(_POLL_SECONDS)


def check_workers(client: Any, facts: Facts) -> None:
    """Refuse a cluster whose workers differ from this process; workers that come later and differ are sent away.

    Raises
    ------
    InputError
        Naming a worker and what differs.
    """
    expected = dict(facts())
    for address, reported in client.run(facts, on_error="return").items():
        if isinstance(reported, Exception):
            problem = f"the worker at {address} cannot run dyadid ({type(reported).__name__}: {reported})"
            raise InputError(problem, where="--cluster", remedy="install dyadid there, in the same version")
        wrong = differences(expected, reported)
        if wrong:
            raise InputError(
                f"the worker at {address} differs from this machine: {wrong}",
                where="--cluster",
                remedy="install the same versions on both; results would not be the same otherwise",
            )
    from engine.runtime.worker_plugin import SameFacts  # Dask is not loaded before it is needed

    client.register_plugin(SameFacts(facts, expected), name="dyadid-facts")
