"""Map tasks, merge their results along a fixed binary tree: on threads of this process, or on a Dask cluster.

Tasks and tree depend on the grid alone, so any number of workers adds the same numbers in the same order.
One pass over n tasks makes 2n - 1 Dask tasks and ships the shared setting once to each worker.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import dask
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed

Result = TypeVar("Result")
Setting = TypeVar("Setting")
Progress = Callable[[str, int, int], None]


def silent(label: str, done: int, total: int) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True)
class Machine:
    """Where tasks run.

    Attributes
    ----------
    client : distributed.Client or None
        None runs on threads of this process.
    threads : int
        Threads of this process.
    progress : callable
        Told ``(label, done, total)`` when a task ends.
    """

    client: Any = None
    threads: int = 1
    progress: Progress = silent

    @property
    def description(self) -> str:
        if self.client is None:
            return f"this process, {self.threads} threads"
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        return f"{len(workers)} Dask workers, {sum(w['nthreads'] for w in workers.values())} threads"

    def reduce(
        self,
        leaf: Callable[[Setting, Any], Result],
        setting: Setting,
        tasks: Sequence[Any],
        merge: Callable[[Result, Result], Result],
        *,
        label: str,
    ) -> Result:
        """``merge`` over ``leaf(setting, task)`` of all tasks, in a fixed order.

        Parameters
        ----------
        leaf, merge : functions that can be pickled by name
        setting : what every task gets; sent once to each worker
        tasks : at least one
        label : name of the pass, for progress and the dashboard
        """
        if len(tasks) == 1 and self.client is None:
            result = leaf(setting, tasks[0])
            self.progress(label, 1, 1)
            return result
        if self.client is None:
            root, leaves = _tree(leaf, setting, tasks, merge, label)
            with _Counter(self.progress, label, {leaf.key for leaf in leaves}):
                return dask.compute(root, scheduler="threads", num_workers=self.threads)[0]  # type: ignore[no-any-return]
        return self._on_cluster(leaf, setting, tasks, merge, label)

    def _on_cluster(
        self, leaf: Callable[..., Result], setting: Any, tasks: Sequence[Any], merge: Any, label: str
    ) -> Result:
        from distributed import as_completed

        # A key of its own each time: one named by content may still be on its way out from an earlier pass.
        shipped = self.client.scatter(setting, broadcast=True, hash=False)
        digest = hashlib.sha256(pickle.dumps((shipped.key, tasks))).hexdigest()[:12]
        root, leaves = _tree(leaf, shipped, tasks, merge, f"{label}-{digest}")
        ending = self.client.compute(root)
        watched = self.client.compute(leaves)
        for done, future in enumerate(as_completed(watched), start=1):
            if future.status != "finished":
                future.result()  # raises what the task raised, before its release could hide that
            future.release()
            self.progress(label, done, len(tasks))
        return ending.result()  # type: ignore[no-any-return]


def _tree(
    leaf: Callable[..., Any], setting: Any, tasks: Sequence[Any], merge: Callable[..., Any], label: str
) -> tuple[Delayed, list[Delayed]]:
    """Dask graph: leaves, then merges of neighbours level by level."""
    shared = delayed(setting, name=f"{label}-setting") if not hasattr(setting, "key") else setting
    leaves = [
        delayed(leaf, pure=False)(shared, task, dask_key_name=f"{label}-{number:05d}")
        for number, task in enumerate(tasks)
    ]
    level, depth = list(leaves), 0
    while len(level) > 1:
        depth += 1
        pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
        level = [
            delayed(merge, pure=False)(*pair, dask_key_name=f"{label}-merge{depth}-{number:05d}")
            if len(pair) == 2
            else pair[0]
            for number, pair in enumerate(pairs)
        ]
    return level[0], leaves


class _Counter(Callback):  # type: ignore[misc]
    """Reports finished leaves of a threaded run."""

    def __init__(self, progress: Progress, label: str, leaves: set[Any]) -> None:
        super().__init__()
        self._report, self._label, self._leaves, self._done = progress, label, leaves, 0

    def _posttask(self, key: Any, *_: Any) -> None:
        if key in self._leaves:
            self._done += 1
            self._report(self._label, self._done, len(self._leaves))
