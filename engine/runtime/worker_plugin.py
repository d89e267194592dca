"""The check of workers that join a run on the way."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from distributed.diagnostics.plugin import WorkerPlugin

from engine.runtime.equal_facts import Facts, differences


class SameFacts(WorkerPlugin):  # type: ignore[misc]
    """Sends a worker away that differs."""

    def __init__(self, facts: Facts, expected: Mapping[str, str]) -> None:
        self._facts, self._own = facts, dict(expected)

    async def setup(self, worker: Any) -> None:
        """Called by Dask on every worker, at once or when it joins."""
        wrong = differences(self._own, self._facts())
        if wrong:
            logging.getLogger("distributed.worker").error("dyadid: this worker leaves, it differs: %s", wrong)
            await worker.close(reason="dyadid-differs")
