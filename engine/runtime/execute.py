"""Map tasks, merge their results along a fixed binary tree: on threads of this process, or on a Dask cluster.

Tasks and tree depend on the grid alone, so any number of workers adds the same numbers in the same order.
A pass over n tasks in u parts makes 2n - u Dask tasks, brings u results to the driver and ships the pass input
to one worker, from which the others take it: some 6n messages of the scheduler (two a Dask task, two a task for
progress) and a few for each worker. How n and the sizes depend on the grid stands in ``cluster/SCALE.md``. Parts that
a store has are not computed; those that a cluster lost are sent again.
"""

from __future__ import annotations

import pickle
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from engine.notes import Note
from engine.pairs.tiles import with_task_threads
from engine.runtime.blas_threads import one_blas_thread
from engine.runtime.codec import nbytes
from engine.runtime.fingerprint import fingerprint
from engine.runtime.journal import Journal
from engine.runtime.source_code import code_version, source_changed
from engine.runtime.store import Store

if TYPE_CHECKING:
    from dask.delayed import Delayed

Result = TypeVar("Result")
Part = TypeVar("Part")
PassInput = TypeVar("PassInput")
Progress = Callable[[str, int, int], None]
TasksByPart = dict[int, list[object]]
KeepPart = Callable[[int, Any], None]

UNITS = 8  # parts of a pass over the pairs: what a lost run pays, against what a store holds
_CHANCES = 4  # times that a pass is sent to workers that die over it


def silent(label: str, n_done: int, n_tasks: int) -> None:
    """Progress that nobody sees."""


@dataclass(frozen=True)
class _Pass:
    """A map and a merge over tasks: ``leaf(pass_input, task)``, neighbours merged along the fixed tree."""

    leaf: Callable[[Any, object], object]
    pass_input: object
    merge: Callable[[Any, Any], object]
    label: str


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
        Called with ``(label, n_done, n_tasks)`` when a pass begins and when a task ends.
    store : Store or None
        Where finished parts of a pass are kept and read again.
    journal : Journal
        Records every pass and work unit.
    counts : Counter
        Events and bytes so far, see `account`.
    started : float
        Seconds since the epoch; workers lost before are not its own.
    used_before : mapping of str to float
        `processor_seconds` when the job began.
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
    used_before: Mapping[str, float] = field(default_factory=dict)

    @property
    def whereabouts(self) -> Note:
        """Where tasks run now, on how many workers and threads."""
        if self.client is None:
            return Note.of("this_process", threads=self.threads)
        workers = self.client.scheduler_info(n_workers=-1)["workers"]
        threads = sum(w["nthreads"] for w in workers.values())
        if self.cluster:
            return Note.of("cluster_workers", count=len(workers), cluster=self.cluster, threads=threads)
        return Note.of("dask_workers", count=len(workers), threads=threads)

    @property
    def dashboard(self) -> str | None:
        """Address of the scheduler's page, where it has one."""
        return (self.has_page and getattr(self.client, "dashboard_link", None)) or None

    def processor_seconds(self) -> dict[str, float]:
        """Seconds of a core that this process and every worker that answers have used since they began."""
        seconds = {"": time.process_time()}
        if self.client is not None:
            workers = self.client.run(time.process_time, on_error="ignore")
            seconds |= {name: value for name, value in workers.items() if not name.startswith("inproc:")}
        return seconds

    def core_hours(self) -> float:
        """Hours of a core that the job has used, those of workers that were lost left out."""
        used = self.processor_seconds().items()
        return sum(max(seconds - self.used_before.get(name, 0.0), 0.0) for name, seconds in used) / 3600

    def account(self) -> dict[str, int]:
        """Costs of the run: units of its store, passes sent again, workers lost, bytes to and from workers.

        Bytes that workers sent to each other are those of workers still there.
        """
        costs = dict.fromkeys(("passes_sent_again", "bytes_to_workers", "bytes_to_driver"), 0) | self.counts
        for name in ("read", "written", "damaged"):
            costs[f"units_{name}"] = getattr(self.store, name, 0)
        costs["workers_lost"] = costs["bytes_between_workers"] = 0
        if self.client is not None:
            costs["workers_lost"] = self.client.run_on_scheduler(_workers_lost, self.started)
            sent = self.client.run(_bytes_sent, on_error="ignore")
            costs["bytes_between_workers"] = sum(sent.values())
        return costs

    def reduce(
        self,
        leaf: Callable[[PassInput, Any], Result],
        pass_input: PassInput,
        tasks: Sequence[object],
        merge: Callable[[Result, Result], Result],
        *,
        label: str,
        units: int | None = None,
    ) -> Result:
        """``merge`` over ``leaf(pass_input, task)`` of all tasks, in a fixed order.

        Parameters
        ----------
        leaf, merge : functions that can be pickled by name
            A store reads results as the type that ``leaf`` is annotated to return.
        pass_input : shared by all tasks; it reaches each worker once
        tasks : at least one
        label : name of the pass, for progress and the dashboard
        units : int, optional
            Tasks come back, and are kept in a store, in at most so many parts, merged where they are made; default:
            each by itself, which deals tasks evenly, while a merge that waits on a worker has the place of one.
        """
        parts = _parts(len(tasks), units or len(tasks))
        names: list[str] = []
        if self.store is not None:
            pass_key = fingerprint(code_version(), leaf, merge, pass_input)
            names = [fingerprint(pass_key, list(tasks[part])) for part in parts]
        results = self._stored(names, leaf)
        missing = [number for number in range(len(parts)) if number not in results]
        self.journal.note("pass", label=label, tasks=len(tasks), units=len(parts), found=len(results))
        n_found = len(tasks) - sum(len(tasks[parts[number]]) for number in missing)
        progress = _ProgressReporter(self._report, label, len(tasks), n_found)

        def keep(number: int, part_result: Result) -> None:
            results[number] = part_result
            # Where the files of this package changed, a worker may have loaded others than the name stands for.
            if self.store is None or source_changed():
                return
            if self.store.put(names[number], part_result):
                self.journal.note("unit", label=label, unit=names[number], tasks=len(tasks[parts[number]]))

        missing_tasks = {number: list(tasks[parts[number]]) for number in missing}
        run_pass = self._on_threads if self.client is None else self._on_cluster
        run_pass(_Pass(leaf, pass_input, merge, label), missing_tasks, keep, progress)
        return _merged([results.pop(number) for number in range(len(parts))], merge)

    def everywhere(self, function: Callable[[], object]) -> None:
        """Call a function in this process and in every worker that answers."""
        function()
        if self.client is not None:
            self.client.run(function, on_error="ignore")

    def _stored(self, names: list[str], leaf: Callable[..., object]) -> dict[int, object]:
        if self.store is None:
            return {}
        kind = get_type_hints(leaf).get("return") if any(map(self.store.has, names)) else None
        results = {}
        for number, name in enumerate(names):
            was_stored, stored = self.store.has(name), self.store.get(name, kind)
            if stored is not None:
                results[number] = stored[0]
            elif was_stored:
                self.journal.note("unit damaged", unit=name)
        return results

    def counted(self, label: str, parts: Sequence[Part]) -> Iterator[Part]:
        """Parts of work that this process does itself, one by one; each is reported once the next is asked for."""
        if parts:
            self._report(label, 0, len(parts))
        for n_done, part in enumerate(parts, start=1):
            yield part
            self._report(label, n_done, len(parts))

    def _report(self, label: str, n_done: int, n_tasks: int) -> None:
        self.progress(label, n_done, n_tasks)
        self.journal.progress(label, n_done, n_tasks)

    def _on_threads(
        self, work: _Pass, tasks: TasksByPart, keep: KeepPart, progress: _ProgressReporter
    ) -> None:
        if sum(map(len, tasks.values())) <= 1:
            for number, (task,) in tasks.items():
                with with_task_threads(self.threads):
                    keep(number, work.leaf(work.pass_input, task))
                progress.add(1)
            return
        import dask  # here and below: a finished run that is found needs none of it
        from dask.callbacks import Callback

        roots, leaves = _forest(replace(work, label="pass"), tasks)
        parts = {root.key: number for number, root in roots.items()}
        watcher = _PartWatcher(parts, {leaf.key for leaf in leaves}, keep, progress)
        # Not a `Callback`, which hears other computations of this process too, whose keys are the same.
        callbacks = [(None, None, None, watcher.posttask, None), *Callback.active]
        dask.compute(*roots.values(), scheduler="threads", num_workers=self.threads, callbacks=callbacks)

    def _on_cluster(
        self, work: _Pass, tasks: TasksByPart, keep: KeepPart, progress: _ProgressReporter
    ) -> None:
        """Send the work, and send again what a lost worker, a lost pass input or a killer left undone."""
        from distributed import CancelledError, KilledWorker

        missing = dict(tasks)
        for chance in range(_CHANCES):
            try:
                self._send(work, missing, keep, progress)
                return
            except (KilledWorker, CancelledError) as error:
                if chance == _CHANCES - 1:
                    raise
                self.counts["passes_sent_again"] += 1
                self.journal.note("pass sent again", label=work.label, reason=type(error).__name__)
                self.client.wait_for_workers(1, timeout=self.patience)

    def _send(self, work: _Pass, missing: TasksByPart, keep: KeepPart, progress: _ProgressReporter) -> None:
        """Compute the missing parts on the workers; each part that arrives is kept and no longer missing."""
        from distributed import as_completed

        if not missing:
            return
        shipped = self._shipped(work.pass_input)
        label = f"{work.label}-{shipped.key.rpartition('-')[2][:12]}"
        roots, leaves = _forest(replace(work, pass_input=shipped, label=label), missing)
        numbers = {root.key: number for number, root in roots.items()}
        leaf_keys = {leaf.key for leaf in leaves}
        inner_leaves = (leaf for leaf in leaves if leaf.key not in numbers)
        for future in as_completed(self.client.compute([*roots.values(), *inner_leaves])):
            number = numbers.get(future.key)
            if future.status != "finished":
                future.result()  # raises what the task raised, before its release could hide that
            if number is not None:
                part_result = future.result()
                self.counts["bytes_to_driver"] += nbytes(part_result)
                keep(number, part_result)
                del missing[number]
            future.release()
            progress.add(future.key in leaf_keys)

    def _shipped(self, pass_input: object) -> Any:
        """The pass input on one worker, from which the others take it.

        Not broadcast: where a worker dies meanwhile, Dask's copying to all of them may go on for ever.
        """
        for chance in range(_CHANCES):
            self.client.wait_for_workers(1, timeout=self.patience)  # adaptive clusters may have none just now
            try:
                # A key of its own each time: one named by content may still be on its way out from a pass before.
                shipped = self.client.scatter(pass_input, hash=False)
                break
            except OSError:  # the worker that was to have it is gone
                if chance == _CHANCES - 1:
                    raise
                self.journal.note("setting sent again")
        self.counts["bytes_to_workers"] += _pickled(pass_input)
        return shipped


def _pickled(value: object) -> int:
    """Bytes that a value takes on the wire."""
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    return len(head) + sum(buffer.raw().nbytes for buffer in buffers)


def _workers_lost(since: float, dask_scheduler: Any) -> int:
    """Workers that went unexpectedly."""
    events = [
        event
        for stamp, event in dask_scheduler.get_events("all")
        if stamp >= since and isinstance(event, dict)
    ]
    return sum(event.get("action") == "remove-worker" and not event.get("expected") for event in events)


def _bytes_sent(dask_worker: Any) -> int:
    return int(dask_worker.transfer_outgoing_bytes_total)


def _parts(n_tasks: int, limit: int) -> list[slice]:
    """Aligned runs of tasks, each a subtree of the merge tree: at most ``limit``, all of one power of two."""
    size = 1
    while -(-n_tasks // size) > limit:
        size *= 2
    return [slice(start, min(start + size, n_tasks)) for start in range(0, n_tasks, size)]


def _merged(level: list[object], merge: Callable[..., object]) -> Any:
    """Neighbours merged level by level; an odd one out moves up."""
    while len(level) > 1:
        pairs = [level[k : k + 2] for k in range(0, len(level), 2)]
        level = [merge(*pair) if len(pair) == 2 else pair[0] for pair in pairs]
    return level[0]


def _forest(work: _Pass, tasks: TasksByPart) -> tuple[dict[int, Delayed], list[Delayed]]:
    """Dask graph: leaves, and for each part their merges, level by level.

    The names of merges begin otherwise: Dask groups tasks by the words that a name begins with, and deals a group to
    all workers only where it depends on few others; else each leaf goes to the worker that has the pass input.
    """
    from dask.delayed import delayed

    label, pass_input = work.label, work.pass_input
    if not hasattr(pass_input, "key"):
        pass_input = delayed(pass_input, name=f"{label}-input")
    roots, all_leaves = {}, []
    for part, part_tasks in tasks.items():
        leaves = [
            delayed(_computed, pure=False)(
                work.leaf, pass_input, task, dask_key_name=f"{label}-{part:05d}-{number:05d}"
            )
            for number, task in enumerate(part_tasks)
        ]
        all_leaves += leaves
        count = iter(range(len(leaves)))

        def joined(left: Delayed, right: Delayed, part: int = part, count: Any = count) -> Delayed:
            name = f"merge-{label}-{part:05d}-{next(count):05d}"
            return delayed(work.merge, pure=False)(left, right, dask_key_name=name)

        roots[part] = _merged(leaves, joined)
    return roots, all_leaves


def _computed(leaf: Callable[..., object], pass_input: object, task: object) -> object:
    with one_blas_thread():
        return leaf(pass_input, task)


class _ProgressReporter:
    """Progress of a pass that counts for itself; it reports its beginning, with the tasks that a store had."""

    def __init__(self, report: Progress, label: str, n_tasks: int, n_found: int) -> None:
        self._report, self._label, self._n_tasks, self._n_done = report, label, n_tasks, n_found
        report(label, n_found, n_tasks)

    def add(self, n_tasks: int) -> None:
        if n_tasks and self._n_done < self._n_tasks:  # tasks that are sent again are done twice
            self._n_done += n_tasks
            self._report(self._label, self._n_done, self._n_tasks)


class _PartWatcher:
    """Keeps the parts of a threaded run as they come, and counts its leaves."""

    def __init__(
        self, parts: dict[str, int], leaves: set[str], keep: KeepPart, progress: _ProgressReporter
    ) -> None:
        self._parts, self._leaves, self._keep, self._progress = parts, leaves, keep, progress

    def posttask(self, key: object, part_result: object, *_: object) -> None:
        if key in self._parts:
            self._keep(self._parts[key], part_result)
        self._progress.add(key in self._leaves)
