"""Where a run computes: this process, processes of this machine, or a scheduler that runs elsewhere."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any

from engine.errors import InputError, RunError
from engine.runtime.execute import Machine, Progress, silent

CONNECT_SECONDS = 10  # a scheduler that runs answers at once; the rest is for one that is just starting
WORKER_SECONDS = 60  # for the first worker to join it


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
