"""Workers, and the driver itself, as jobs of Slurm, PBS, LSF or SGE, through dask-jobqueue."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.runtime.files import output_folder
from engine.runtime.script_words import quoted, quoted_program, refuse_unprintable
from engine.runtime.security import pages, secured
from engine.runtime.workers import wait_for_workers
from engine.spec.cluster import BatchProfile

_CLASSES = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster", "sge": "SGECluster"}
_DEATH_SECONDS = 120  # that a worker looks for its scheduler before it gives its place back
_LOOPBACK = "127.0.0.1:0"
_HANDED_ON = re.compile("JAX_.*CACHE.*|XDG_CACHE_HOME")


@contextmanager
def batch_client(profile: BatchProfile, folder: Path) -> Iterator[Any]:
    """A client whose workers are jobs; jobs that die are sent again, and all are cancelled at the end.

    Raises
    ------
    InputError
        Where the batch system's commands or dask-jobqueue are not there, or a job is refused.
    RunError
        Where no job starts in time.
    """
    from distributed import Client

    refuse_unprintable(profile.model_dump(), where="--cluster")
    refuse_unprintable(str(folder.absolute()), where="--out")
    folder_key = "--cluster: folder" if profile.folder else "--out"
    kind, logs = _cluster_class(profile), output_folder(folder / "workers", where=folder_key)
    refusals: list[str] = []
    with secured(profile.tls, folder) as security, pages(profile.dashboard) as page:
        cluster = kind(
            job_cls=_telling(_quoting(kind.job_cls), refusals),
            security=security,
            scheduler_options=page | _listening(profile),
            silence_logs="critical",
            **job_options(profile, logs),
        )
        with cluster, Client(cluster) as client:
            # Not scale(): it does not replace jobs that die.
            cluster.adapt(minimum=profile.least, maximum=profile.most, interval="2s")
            wait_for_workers(
                client,
                seconds=profile.wait,
                waited_for=f"the queue of {profile.kind}",
                remedy=f"look at the queue and at the logs in {logs}; a longer wait is the profile's key wait",
                trouble=lambda: refusals[0] if len(refusals) >= profile.least else None,
            )
            yield client


def job_options(profile: BatchProfile, logs: Path) -> dict[str, Any]:
    """Keywords of dask-jobqueue for a worker's job.

    Dask runs one task at a time in it; the cores are for the threads of XLA and BLAS. What stands in directives is
    quoted here, as dask-jobqueue joins it with blanks; the words of the worker's command are quoted by `_quoting`.
    """
    charged = "account" if profile.kind in ("slurm", "pbs") else "project"
    queue, account = (
        None if word is None else shlex.quote(word) for word in (profile.queue, profile.account)
    )
    if profile.kind == "lsf":  # dask-jobqueue puts it between quotes
        account = profile.account
    return {
        "cores": profile.threads,
        "processes": 1,
        "memory": profile.memory.replace(" ", ""),
        "queue": queue,
        charged: account,
        "walltime": _walltime(profile, profile.walltime),
        "interface": profile.interface,
        "python": profile.python or sys.executable,
        "job_name": "dyadid-worker",
        "job_script_prologue": [*_exports(profile.threads), *profile.prologue],
        "job_extra_directives": [*_logs(profile, logs, "dyadid-worker"), *_directives(profile)],
        # Without an address, what is left of the dashboard listens on every interface, and plainly.
        "worker_extra_args": ["--nthreads", "1", "--no-dashboard", "--dashboard-address", _LOOPBACK],
        "death_timeout": _DEATH_SECONDS,
    }


def driver_script(profile: BatchProfile, command: Sequence[str], folder: Path) -> str:
    """The job script that runs ``command`` on a compute node, with what the profile gives the driver."""
    refuse_unprintable(profile.model_dump(), where="--cluster")
    for word in (*command, str(folder), os.getcwd()):
        refuse_unprintable(word, where="--submit")
    driver = profile.driver
    options = job_options(profile, folder) | {
        "cores": driver.threads,
        "memory": driver.memory.replace(" ", ""),
        "job_name": "dyadid-driver",
        "job_extra_directives": [*_logs(profile, folder, "dyadid-driver"), *profile.directives],
    }
    options |= {"queue": shlex.quote(driver.queue)} if driver.queue else {}
    if driver.walltime:
        options["walltime"] = _walltime(profile, driver.walltime)
    job = _quoting(_cluster_class(profile).job_cls)(scheduler="tls://none", name="driver", **options)
    lines = [*_exports(driver.threads), *profile.prologue, f"cd {shlex.quote(os.getcwd())}"]
    # exec: the batch system's signals reach the driver, which then cancels its workers.
    return "\n".join(
        [
            "#!/bin/sh",
            job.job_header,
            *lines,
            f"exec {quoted_program(command[0])} {shlex.join(command[1:])}",
            "",
        ]
    )


def submit(profile: BatchProfile, script: Path) -> str:
    """Hand a job script to the batch system; its number."""
    kind = _cluster_class(profile).job_cls
    words = shlex.split(kind.submit_command)
    by_input = profile.kind == "lsf"
    completed = subprocess.run(
        words
        if by_input
        else [*words, str(script.absolute())],  # a name that begins with a dash is no option
        input=script.read_text(encoding="utf-8") if by_input else None,
        capture_output=True,
        text=True,
        check=False,
    )
    job_number = re.search(kind.job_id_regexp, completed.stdout)
    if completed.returncode or job_number is None:
        reason = (completed.stderr or completed.stdout).strip()
        raise InputError(f"{words[0]} refused the driver's job ({reason})", where="--submit")
    return job_number.group("job_id")


def queue_line(kind: str, job_id: str) -> str:
    """State of a job in the batch system's own words; empty where it no longer knows the job."""
    query = {
        "slurm": ["squeue", "--noheader", "--format=%T %r", "--jobs", job_id],
        "lsf": ["bjobs", "-noheader", "-o", "stat", job_id],
    }.get(kind, ["qstat", job_id])
    try:
        completed = subprocess.run(query, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return " ".join(completed.stdout.strip().splitlines()[-1:]) if completed.returncode == 0 else ""


def _cluster_class(profile: BatchProfile) -> Any:
    try:
        with _ctrl_c_kept():
            import dask_jobqueue
    except ImportError:
        raise InputError(
            f"clusters of {profile.kind} need the package dask-jobqueue",
            where="--cluster",
            remedy="pip install 'dyadid[cluster]'",
        ) from None
    cluster_class = getattr(dask_jobqueue, _CLASSES[profile.kind])
    command = shlex.split(cluster_class.job_cls.submit_command)[0]
    if shutil.which(command) is None:
        raise InputError(
            f"there is no {command} on this machine",
            where=f"--cluster, kind {profile.kind}",
            remedy="run dyadid on a login node of the cluster",
        )
    return cluster_class


@contextmanager
def _ctrl_c_kept() -> Iterator[None]:
    """Importing dask-jobqueue (0.9) makes Ctrl-C end the process at once, and as if all were well."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _telling(job: Any, refusals: list[str]) -> Any:
    """A job class whose refusals by the batch system are known: Dask logs them, and cannot close after them."""
    from distributed.deploy.spec import ProcessInterface

    async def start(self: Any) -> None:
        try:
            await job.start(self)
        except (RuntimeError, ValueError) as error:
            lines = [line for line in str(error).splitlines() if line.strip()]
            refusals.append(f"the batch system refused a worker's job ({lines[-1] if lines else error})")
            await ProcessInterface.start(self)

    return type(job.__name__, (job,), {"start": start})


def _quoting(job: Any) -> Any:
    """A job class that quotes the words of the worker's command, paths of certificates among them."""

    def init(
        self: Any,
        *scheduler_and_name: Any,
        python: str,
        worker_extra_args: Sequence[str],
        security: Any = None,
        interface: str | None = None,
        **options: Any,
    ) -> None:
        tls = security.get_tls_config_for_role("worker") if security else {}
        words = [*worker_extra_args, *(["--interface", interface] if interface else [])]
        for key, value in tls.items():
            if key != "ciphers":  # has no option
                words += [f"--tls-{key.replace('_', '-')}", value]
        job.__init__(
            self,
            *scheduler_and_name,
            python=quoted_program(python),
            worker_extra_args=quoted(words),
            **options,
        )

    return type(job.__name__, (job,), {"__init__": init})


def _logs(profile: BatchProfile, folder: Path, name: str) -> list[str]:
    """Directives that say where a job's output goes."""
    if profile.kind in ("pbs", "sge"):
        return [f"{option} {shlex.quote(f'{folder}/')}" for option in ("-e", "-o")]
    stem = str(folder).replace("%", "%%") if profile.kind == "slurm" else str(folder)
    return [f"-{end[0]} {shlex.quote(f'{stem}/{name}-%J.{end}')}" for end in ("err", "out")]


def _walltime(profile: BatchProfile, text: str) -> str:
    """LSF counts in hours and minutes."""
    return text.rpartition(":")[0] if profile.kind == "lsf" else text


def _directives(profile: BatchProfile) -> list[str]:
    gpus = [f"--gres=gpu:{profile.gpus}"] if profile.gpus else []
    return [*gpus, *profile.directives]


def _exports(threads: int) -> list[str]:
    """Shell lines that give a process its threads, and the compilation cache of this one."""
    pools = ("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    inherited = {name: value for name, value in os.environ.items() if _HANDED_ON.fullmatch(name)}
    variables = dict.fromkeys(pools, str(threads)) | inherited
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]


def _listening(profile: BatchProfile) -> dict[str, Any]:
    """The scheduler listens on one interface."""
    if profile.interface is not None:
        return {}
    from distributed.utils import get_ip

    return {"host": get_ip()}
