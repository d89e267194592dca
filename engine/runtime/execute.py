"""Map tasks, merge their results along a fixed binary tree: on threads of this process, or on a Dask cluster.

Tasks and tree depend on the grid alone, so any number of workers adds the same numbers in the same order.
One pass over n tasks makes 2n - 1 Dask tasks and ships the shared setting once to each worker.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, TypeVar

import dask
from dask.callbacks import Callback
from dask.delayed import Delayed, delayed

from engine.errors import InputError, RunError

Result = TypeVar("Result")
Setting = TypeVar("Setting")
Progress = Callable[[str, int, int], None]

CONNECT_SECONDS = 10  # a scheduler that runs answers at once; the rest is for one that is just starting
WORKER_SECONDS = 60  # for the first worker to join it


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


@contextmanager
def machine(
    *, workers: int | None = None, scheduler: str | None = None, progress: Progress = silent
) -> Iterator[Machine]:
    """This process by default; ``workers`` local processes; or a running scheduler's address.

    Each local worker process gets an equal share of the cores (``NPROC`` sets XLA's pool).
    """
    threads = os.cpu_count() or 1
    if scheduler is None and not workers:
        yield Machine(threads=threads, progress=progress)
        return
    opened = _connected(scheduler) if scheduler is not None else _local_cluster(workers or 1, threads)
    with opened as client, _readable_failures():
        yield Machine(client=client, progress=progress)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """A client of a running scheduler that has at least one worker."""
    from distributed import Client

    try:
        if not address.startswith("inproc:"):
            with ThreadPoolExecutor(1) as apart:  # a notebook has an event loop in this thread
                apart.submit(asyncio.run, _greet(address)).result()
    except (OSError, ValueError) as error:
        raise InputError(
            f"no Dask scheduler answers at {address} ({str(error) or f'silence for {CONNECT_SECONDS} s'})",
            where="--scheduler",
            remedy="start one with `dask scheduler`, and give the address it prints, like tcp://10.0.0.1:8786",
        ) from None
    with Client(address) as client:
        try:
            client.wait_for_workers(1, timeout=WORKER_SECONDS)
        except TimeoutError:
            raise RunError(
                f"the scheduler at {address} has had no worker for {WORKER_SECONDS} s\n"
                f"  remedy: start some with `dask worker {address}`, then run again"
            ) from None
        yield client


async def _greet(address: str) -> None:
    """Connect and take leave; a client's own timeout does not cover servers that listen and say nothing."""
    from distributed.comm import connect
    from distributed.security import Security

    security = Security().get_connection_args("client")
    async with asyncio.timeout(CONNECT_SECONDS + 1):
        comm = await connect(address, timeout=CONNECT_SECONDS, **security)
        await comm.close()


@contextmanager
def _local_cluster(workers: int, threads: int) -> Iterator[Any]:
    """A client of worker processes on this machine."""
    from distributed import Client, LocalCluster

    share = str(max(1, threads // workers))
    with _ctrl_c_held_back():
        cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            env={"NPROC": share, "OMP_NUM_THREADS": share},
            dashboard_address="127.0.0.1:0",  # any free port: without an address it complains where 8787 is taken
            host="127.0.0.1",
            silence_logs=logging.CRITICAL,  # errors of tasks come here anyway; deaths of workers, as KilledWorker
        )
    with cluster, Client(cluster) as client:
        yield client


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Ctrl-C comes at the end; processes started within never see it, though a terminal sends it to all."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # where it starts later, it lifts the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _readable_failures() -> Iterator[None]:
    """What a cluster can do to a run, in words; and no reports of workers about their own end."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    try:
        yield
    except (KilledWorker, CancelledError, CommClosedError) as error:
        raise RunError(
            f"the cluster lost the run ({type(error).__name__}: {str(error).partition('. ')[0] or 'no reason given'})\n"
            "  remedy: look at the workers' logs; where memory ran out, set runtime.memory lower; then run again"
        ) from error
    except KeyboardInterrupt:
        for name in ("distributed", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        raise
