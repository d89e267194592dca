"""Where a run computes: threads of this process, or the workers of a profile, opened when a job first needs them."""

from __future__ import annotations

import ast
import logging
import os
import signal
import sys
import tokenize
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from engine.errors import InputError, RunError
from engine.runtime.batch_queues import batch_client
from engine.runtime.equal_facts import Facts
from engine.runtime.execute import Machine, Progress, silent
from engine.runtime.files import output_folder
from engine.runtime.kubernetes import kubernetes_client
from engine.runtime.security import in_memory, pages, secured
from engine.runtime.ssh import ssh_client
from engine.runtime.workers import check_workers, wait_for_workers
from engine.spec.cluster import BatchProfile, LocalProfile, Profile, SchedulerProfile, SSHProfile

CONNECT_SECONDS = 10  # a scheduler that runs answers at once; the rest is for one that is just starting
_STARTS = 3  # tries to start local workers

Opener = Callable[[Progress], Machine]


@contextmanager
def place(
    profile: Profile | None = None,
    *,
    folder: Path = Path(),
    facts: Facts | None = None,
    performance: Path | None = None,
) -> Iterator[Opener]:
    """A function that gives the machine, and opens it when it is first asked; it closes with this context.

    Parameters
    ----------
    profile : Profile, optional
        None is threads of this process.
    folder : Path
        Of job logs and certificates, where the profile names none.
    facts : callable, optional
        What every worker must have in common with this process, see `engine.runtime.workers`.
    performance : Path, optional
        HTML file for Dask's report of what the workers did; it needs no network to be read.

    Raises
    ------
    InputError
        Where the cluster cannot be opened as the profile says.
    RunError
        Where it gives no worker in time, or loses the run.
    """
    clients: list[object] = []
    if isinstance(profile, LocalProfile):
        _refuse_unguarded_script()
    with ExitStack() as resources, _readable_failures():

        def machine(progress: Progress = silent) -> Machine:
            if profile is None:
                return Machine(threads=os.cpu_count() or 1, progress=progress)
            if not clients:
                client = resources.enter_context(_client(profile, folder))
                if facts is not None:
                    check_workers(client, facts)
                _keep_clock(client)
                if performance is not None:
                    resources.enter_context(_reported(performance))
                clients.append(client)
            patience = getattr(profile, "wait", Machine.patience)
            cluster = "" if profile.kind in ("local", "scheduler") else profile.kind
            page = getattr(profile, "dashboard", True)  # a scheduler that runs has one, or none, as it likes
            return Machine(
                client=clients[0], cluster=cluster, progress=progress, patience=patience, has_page=page
            )

        yield machine


def _keep_clock(client: Any) -> None:
    """Let messages between this process and the workers not wait for a clock that was set back."""
    from engine.runtime import steady_clock  # Dask is not loaded before it is needed

    steady_clock.install()
    client.register_plugin(steady_clock.SteadyClock(), name="dyadid-clock")


def _reported(file: Path) -> AbstractContextManager[object]:
    from distributed import performance_report

    try:
        import bokeh  # noqa: F401
    except ImportError:
        raise InputError(
            "the report needs the package bokeh", where="--profile", remedy="pip install 'dyadid[cluster]'"
        ) from None
    output_folder(file.absolute().parent, where="--profile")
    return performance_report(filename=str(file), mode="inline")  # type: ignore[no-any-return]


def _client(profile: Profile, folder: Path) -> AbstractContextManager[object]:
    if isinstance(profile, LocalProfile):
        return _local_client(profile)
    if isinstance(profile, SchedulerProfile):
        return _scheduler_client(profile)
    folder = Path(getattr(profile, "folder", None) or folder)
    if isinstance(profile, BatchProfile):
        return batch_client(profile, folder)
    if isinstance(profile, SSHProfile):
        return ssh_client(profile, folder)
    return kubernetes_client(profile, folder)


@contextmanager
def _scheduler_client(profile: SchedulerProfile) -> Iterator[object]:
    """A client of a running scheduler that has at least one worker."""
    import asyncio

    from distributed import Client

    address = profile.address or _written_address(Path(profile.file or ""))
    tls = profile.tls if profile.tls != "auto" else False
    with secured(tls, Path()) as security:
        try:
            if not address.startswith("inproc:"):
                with ThreadPoolExecutor(1) as apart:  # a notebook has an event loop in this thread
                    apart.submit(asyncio.run, _greet(address, security)).result()
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"no Dask scheduler answers at {address} ({str(error) or f'silence for {CONNECT_SECONDS} s'})",
                where="--scheduler",
                remedy="start one with `dask scheduler`, and give the address it prints, like "
                "tcp://10.0.0.1:8786; one that begins with tls:// wants a profile with its certificates",
            ) from None
        with Client(address, security=security) as client:
            start = f"start some with `dask worker {address}`, then run again"
            wait_for_workers(
                client, seconds=profile.wait, waited_for=f"the scheduler at {address}", remedy=start
            )
            yield client


def _written_address(file: Path) -> str:
    """Contents of a scheduler file."""
    import json

    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is not a scheduler file ({type(error).__name__}: {error})",
            where="file",
            remedy=f"start the scheduler with `dask scheduler --scheduler-file {file}`",
        ) from None


async def _greet(address: str, security: Any) -> None:
    """Connect and take leave; a client's own timeout does not cover servers that listen and say nothing."""
    import asyncio

    from distributed.comm import connect
    from distributed.security import Security

    arguments = (security or Security()).get_connection_args("client")
    async with asyncio.timeout(CONNECT_SECONDS + 1):
        comm = await connect(address, timeout=CONNECT_SECONDS, **arguments)
        await comm.close()


@contextmanager
def _local_client(profile: LocalProfile) -> Iterator[Any]:
    """A client of worker processes on this machine, which talk to none but each other and this process."""
    from distributed import Client

    share, security = str(profile.threads or max(1, (os.cpu_count() or 1) // profile.most)), in_memory()
    with pages(profile.dashboard) as page:
        with _ctrl_c_held_back():
            cluster = _started(
                n_workers=profile.least,
                threads_per_worker=1,
                memory_limit=(profile.memory or "auto").replace(" ", ""),
                env={"NPROC": share, "OMP_NUM_THREADS": share},
                dashboard_address=page["dashboard_address"],
                scheduler_kwargs={"dashboard": page["dashboard"]},
                host="127.0.0.1",
                security=security,
                silence_logs=logging.CRITICAL,  # errors of tasks come here anyway; deaths of workers, as KilledWorker
            )
        with cluster, Client(cluster) as client:
            if profile.most > profile.least:
                cluster.adapt(minimum=profile.least, maximum=profile.most)
            yield client


def _refuse_unguarded_script() -> None:
    """Raises InputError in a script without the guard: each worker process imports the script, and would run it."""
    main = sys.modules["__main__"]
    script, spec = getattr(main, "__file__", None), getattr(main, "__spec__", None)
    if script is None or (spec is not None and spec.name.endswith("__main__")):
        return  # a notebook, -c, or -m with a package: workers import nothing of these
    if script != "<stdin>" and _is_guarded(Path(script)):
        return
    saved = "save it as a file, and " if script == "<stdin>" else ""
    raise InputError(
        f"worker processes import {Path(script).name}, which would start this run again in each of them",
        where="workers",
        remedy=f'{saved}put what the script does below if __name__ == "__main__":, or run without workers',
    )


def _is_guarded(script: Path) -> bool:
    """Whether some `if` of a script asks for its name; true of what is no script of Python, as launchers leave."""
    try:
        with tokenize.open(script) as file:
            statements = ast.walk(ast.parse(file.read()))
    except (OSError, SyntaxError, ValueError):
        return True
    tests = [ast.unparse(statement.test) for statement in statements if isinstance(statement, ast.If)]
    return any("__name__" in test or "MainProcess" in test for test in tests)


def _started(**options: object) -> Any:
    """A `distributed.LocalCluster`; a worker killed before it has joined takes its start down, not the run."""
    from distributed import LocalCluster

    for chance in range(_STARTS):
        try:
            return LocalCluster(**options)
        except RuntimeError as error:
            if chance == _STARTS - 1:
                raise RunError(
                    f"worker processes of this machine do not start ({error})\n"
                    "  hint: look whether something kills them, or run with fewer --workers; in a script, run it "
                    'below if __name__ == "__main__":'
                ) from error
    raise AssertionError  # not reached


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Ctrl-C comes at the end; processes started within never see it, though a terminal sends it to all."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    _start_quiet_tracker()  # where it starts later, it lifts the mask
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _start_quiet_tracker() -> None:
    """Start Python's process that gives back the semaphores of workers, which it shall do without a word.

    A signal may end the command while they are being made; those that are left then are no concern of the user.
    """
    from multiprocessing import resource_tracker

    option = f"ignore::UserWarning:{resource_tracker.__name__}"
    sys.warnoptions.append(option)  # what the process starts with
    try:
        resource_tracker.ensure_running()
    finally:
        sys.warnoptions.remove(option)


@contextmanager
def _readable_failures() -> Iterator[None]:
    """Turn failures of a cluster into errors in plain words, and silence workers' reports of their own end."""
    try:
        yield
    except Exception as error:
        from distributed import (  # not before: a finished run is found without Dask
            CancelledError,
            KilledWorker,
        )
        from distributed.comm import CommClosedError

        if not isinstance(error, (KilledWorker, CancelledError, CommClosedError)):
            raise
        raise RunError(
            f"the cluster lost the run ({type(error).__name__}: {str(error).partition('. ')[0] or 'no reason given'})\n"
            "  hint: look at the workers' logs; where memory ran out, set runtime.memory lower; then run again"
        ) from error
    except KeyboardInterrupt:
        for name in ("distributed", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        raise
