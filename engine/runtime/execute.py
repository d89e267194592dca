"""Map tasks, merge their results along a fixed binary tree: on threads of this process, or on a Dask cluster.

Tasks and tree depend on the grid alone, so any number of workers adds the same numbers in the same order.
A pass over n tasks in u parts makes 2n - u Dask tasks, brings u results to the driver and ships the shared setting
to one worker, from which the others take it: some 6n messages of the scheduler (two a Dask task, two a task for
progress) and a few for each worker. How n and the sizes depend on the grid stands in ``cluster/SCALE.md``. Parts that
a store has are not computed; those that a cluster lost are sent again.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_type_hints

import dask
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed

from engine.runtime.codec import nbytes
from engine.runtime.fingerprint import fingerprint
from engine.runtime.journal import Journal
from engine.runtime.source_code import code_version, source_changed
from engine.runtime.store import Store

Result = TypeVar("Result")
Setting = TypeVar("Setting")
Progress = Callable[[str, int, int], None]
Wanted = dict[int, list[Any]]  # tasks of each part
Keep = Callable[[int, Any], None]

_CHANCES = 4  # times that a pass is sent to workers that die over it


def silent(label: str, done: int, total: int) -> None:
    """Progress that nobody wants to see."""


@dataclass(frozen=True)
class Machine:
    """Where tasks run.

    Attributes
    ----------
    client : distributed.Client or None
        None runs on threads of this process.
    cluster : str
        What kind of cluster the client's is, where it is more than this machine.
    threads : int
        Threads of this process.
    patience : float
        Seconds to wait for a worker to come back.
    has_page : bool
        The scheduler may show a page of what it does.
    progress : callable
        Told ``(label, done, total)`` when a task ends.
    store : Store or None
        Where finished parts of a pass are kept, and found again.
    journal : Journal
        Told of every pass and unit.
    counts : Counter
        What it took so far, see `account`.
    started : float
        Seconds since the epoch; workers lost before are not its own.
    """

    client: Any = None
    cluster: str = ""
    threads: int = 1
    patience: float = 120.0
    has_page: bool = True
    progress: Progress = silent
    store: Store | None = None
    journal: Journal = field(default_factory=lambda: Journal(None))
    counts: Counter[str] = field(default_factory=Counter)
    started: float = field(default_factory=time.time)

    @property
    def description(self) -> str:
        if self.client is None:
            return f"this process, {self.threads} threads"
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        count = len(workers)
        threads = sum(w["nthreads"] for w in workers.values())
        where = f" on {self.cluster}" if self.cluster else ""
        return f"{count} Dask worker{'s'[: count != 1]}{where}, {threads} thread{'s'[: threads != 1]}"

    @property
    def dashboard(self) -> str | None:
        """Address of the scheduler's page, where it has one."""
        return (self.has_page and getattr(self.client, "dashboard_link", None)) or None

    def account(self) -> dict[str, int]:
        """What the run took: units of its store, passes sent again, workers lost, bytes to and from workers.

        Bytes that workers sent to each other are those of workers still there.
        """
        found = dict.fromkeys(("passes_sent_again", "bytes_to_workers", "bytes_to_driver"), 0) | self.counts
        for name in ("read", "written", "damaged"):
            found[f"units_{name}"] = getattr(self.store, name, 0)
        found["workers_lost"] = found["bytes_between_workers"] = 0
        if self.client is not None:
            found["workers_lost"] = self.client.run_on_scheduler(_workers_lost, self.started)
            sent = self.client.run(_bytes_sent, on_error="ignore")
            found["bytes_between_workers"] = sum(sent.values())
        return found

    def reduce(
        self,
        leaf: Callable[[Setting, Any], Result],
        setting: Setting,
        tasks: Sequence[Any],
        merge: Callable[[Result, Result], Result],
        *,
        label: str,
        units: int | None = None,
    ) -> Result:
        """``merge`` over ``leaf(setting, task)`` of all tasks, in a fixed order.

        Parameters
        ----------
        leaf, merge : functions that can be pickled by name
            The annotation of what ``leaf`` returns is what a store reads.
        setting : what every task gets; it reaches each worker once
        tasks : at least one
        label : name of the pass, for progress and the dashboard
        units : int, optional
            Tasks come back, and are kept in a store, in at most so many parts, merged where they are made; default:
            each by itself where there is a store, and all as one where there is none.
        """
        parts = _parts(len(tasks), units or (1 if self.store is None else len(tasks)))
        names: list[str] = []
        if self.store is not None:
            what = fingerprint(code_version(), leaf, merge, setting)
            names = [fingerprint(what, list(tasks[part])) for part in parts]
        known = self._stored(names, leaf)
        missing = [number for number in range(len(parts)) if number not in known]
        self.journal.note("pass", label=label, tasks=len(tasks), units=len(parts), found=len(known))
        told = _Told(self._tell, label, len(tasks))
        told.add(len(tasks) - sum(len(tasks[parts[number]]) for number in missing))

        def keep(number: int, result: Result) -> None:
            known[number] = result
            # Where the files of this package changed, a worker may have loaded others than the name stands for.
            if self.store is None or source_changed():
                return
            if self.store.put(names[number], result):
                self.journal.note("unit", label=label, unit=names[number], tasks=len(tasks[parts[number]]))

        wanted = {number: list(tasks[parts[number]]) for number in missing}
        if self.client is None:
            self._on_threads(leaf, setting, wanted, merge, keep, told)
        else:
            self._on_cluster(leaf, setting, wanted, merge, label, keep, told)
        return _merged([known.pop(number) for number in range(len(parts))], merge)

    def everywhere(self, function: Callable[[], object]) -> None:
        """Call a function in this process and in every worker that answers."""
        function()
        if self.client is not None:
            self.client.run(function, on_error="ignore")

    def _stored(self, names: list[str], leaf: Callable[..., Any]) -> dict[int, Any]:
        if self.store is None:
            return {}
        kind = get_type_hints(leaf).get("return") if any(map(self.store.has, names)) else None
        found = {}
        for number, name in enumerate(names):
            kept, one = self.store.has(name), self.store.get(name, kind)
            if one is not None:
                found[number] = one[0]
            elif kept:
                self.journal.note("unit damaged", unit=name)
        return found

    def _tell(self, label: str, done: int, total: int) -> None:
        self.progress(label, done, total)
        self.journal.progress(label, done, total)

    def _on_threads(
        self, leaf: Any, setting: Any, wanted: Wanted, merge: Any, keep: Keep, told: _Told
    ) -> None:
        if sum(map(len, wanted.values())) <= 1:
            for number, (task,) in wanted.items():
                keep(number, leaf(setting, task))
                told.add(1)
            return
        roots, leaves = _forest(leaf, setting, wanted, merge, "pass")
        ends = {root.key: number for number, root in roots.items()}
        with _Watch(ends, {one.key for one in leaves}, keep, told):
            dask.compute(*roots.values(), scheduler="threads", num_workers=self.threads)

    def _on_cluster(
        self, leaf: Any, setting: Any, wanted: Wanted, merge: Any, label: str, keep: Keep, told: _Told
    ) -> None:
        """Whatever a lost worker took with it is sent again; so is what a lost setting or a killer left undone."""
        from distributed import CancelledError, KilledWorker

        missing = dict(wanted)
        for chance in range(_CHANCES):
            try:
                self._send(leaf, setting, missing, merge, label, keep, told)
                return
            except (KilledWorker, CancelledError) as error:
                if chance == _CHANCES - 1:
                    raise
                self.counts["passes_sent_again"] += 1
                self.journal.note("pass sent again", label=label, reason=type(error).__name__)
                self.client.wait_for_workers(1, timeout=self.patience)

    def _send(
        self, leaf: Any, setting: Any, missing: Wanted, merge: Any, label: str, keep: Keep, told: _Told
    ) -> None:
        from distributed import as_completed

        if not missing:
            return
        shipped = self._shipped(setting)
        name = f"{label}-{shipped.key.rpartition('-')[2][:12]}"
        roots, leaves = _forest(leaf, shipped, missing, merge, name)
        numbers = {root.key: number for number, root in roots.items()}
        single = {one.key for one in leaves}
        watched = self.client.compute([*roots.values(), *(one for one in leaves if one.key not in numbers)])
        for future in as_completed(watched):
            number = numbers.get(future.key)
            if future.status != "finished":
                future.result()  # raises what the task raised, before its release could hide that
            if number is not None:
                result = future.result()
                self.counts["bytes_to_driver"] += nbytes(result)
                keep(number, result)
                del missing[number]
            future.release()
            told.add(future.key in single)

    def _shipped(self, setting: Any) -> Any:
        """The setting on one worker, from which the others take it.

        Not broadcast: where a worker dies meanwhile, Dask's copying to all of them may go on for ever.
        """
        for chance in range(_CHANCES):
            self.client.wait_for_workers(1, timeout=self.patience)  # adaptive clusters may have none just now
            try:
                # A key of its own each time: one named by content may still be on its way out from a pass before.
                shipped = self.client.scatter(setting, hash=False)
                break
            except OSError:  # the worker that was to have it is gone
                if chance == _CHANCES - 1:
                    raise
                self.journal.note("setting sent again")
        self.counts["bytes_to_workers"] += _pickled(setting)
        return shipped


def _pickled(value: object) -> int:
    """Bytes that a value takes on the wire."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return len(head) + sum(one.raw().nbytes for one in buffers)


def _workers_lost(since: float, dask_scheduler: Any) -> int:
    """Workers that went unexpectedly."""
    events = [
        told for when, told in dask_scheduler.get_events("all") if when >= since and isinstance(told, dict)
    ]
    return sum(one.get("action") == "remove-worker" and not one.get("expected") for one in events)


def _bytes_sent(dask_worker: Any) -> int:
    return int(dask_worker.transfer_outgoing_bytes_total)


def _parts(n_tasks: int, limit: int) -> list[slice]:
    """Aligned runs of tasks, each a subtree of the merge tree: at most ``limit``, all of one power of two."""
    size = 1
    while -(-n_tasks // size) > limit:
        size *= 2
    return [slice(start, min(start + size, n_tasks)) for start in range(0, n_tasks, size)]


def _merged(level: list[Any], merge: Callable[..., Any]) -> Any:
    """Neighbours merged level by level; an odd one out moves up."""
    while len(level) > 1:
        pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
        level = [merge(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def _forest(
    leaf: Callable[..., Any], setting: Any, wanted: Wanted, merge: Callable[..., Any], label: str
) -> tuple[dict[int, Delayed], list[Delayed]]:
    """Dask graph: leaves, and for each part their merges, level by level."""
    shared = delayed(setting, name=f"{label}-setting") if not hasattr(setting, "key") else setting
    roots, every = {}, []
    for part, tasks in wanted.items():
        leaves = [
            delayed(leaf, pure=False)(shared, task, dask_key_name=f"{label}-{part:05d}-{number:05d}")
            for number, task in enumerate(tasks)
        ]
        every += leaves
        count = iter(range(len(leaves)))

        def joined(one: Delayed, other: Delayed, part: int = part, count: Any = count) -> Delayed:
            name = f"{label}-merge-{part:05d}-{next(count):05d}"
            return delayed(merge, pure=False)(one, other, dask_key_name=name)

        roots[part] = _merged(leaves, joined)
    return roots, every


class _Told:
    """Progress of a pass that counts for itself."""

    def __init__(self, progress: Progress, label: str, total: int) -> None:
        self._report, self._label, self._total, self._done = progress, label, total, 0

    def add(self, tasks: int) -> None:
        if tasks:
            self._done += tasks
            self._report(self._label, self._done, self._total)


class _Watch(Callback):  # type: ignore[misc]
    """Keeps the ends of a threaded run as they come, and counts its leaves."""

    def __init__(self, ends: dict[str, int], leaves: set[str], keep: Keep, told: _Told) -> None:
        super().__init__()
        self._ends, self._leaves, self._keep, self._told = ends, leaves, keep, told

    def _posttask(self, key: Any, result: Any, *_: Any) -> None:
        if key in self._ends:
            self._keep(self._ends[key], result)
        self._told.add(key in self._leaves)
