"""Workers on machines that are reached by SSH, through Dask's SSHCluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.errors import InputError
from engine.runtime.script_words import quoted_program, refuse_odd_hosts, refuse_unprintable
from engine.runtime.security import pages, secured
from engine.runtime.workers import wait_for_workers
from engine.spec.cluster import SSHProfile


@contextmanager
def ssh_client(profile: SSHProfile, folder: Path) -> Iterator[Any]:
    """A client of a scheduler on the first host and workers on all; they end with it.

    Ports, keys and known hosts are those of ``~/.ssh/config``.

    Raises
    ------
    InputError
        Where asyncssh is not there, or a host cannot be reached or has no Python with Dask.
    """
    import dask
    from distributed import Client

    refuse_unprintable(profile.model_dump(), where="--cluster")
    refuse_odd_hosts(profile.hosts, where="--cluster: hosts")
    with (
        secured(profile.tls, folder) as security,
        dask.config.set(_certificates(security)),
        pages(profile.dashboard) as page,  # hosts inherit these settings
        _started(profile, security, page) as cluster,
        Client(cluster) as client,
    ):
        wait_for_workers(
            client,
            seconds=profile.wait,
            waited_for="the cluster",
            remedy="look at the hosts' Python and memory",
        )
        yield client


def _started(profile: SSHProfile, security: Any, page: dict[str, Any]) -> Any:
    """An SSHCluster; raises InputError where asyncssh is absent or a host does not start."""
    from distributed import SSHCluster

    try:
        import asyncssh  # noqa: F401
    except ImportError:
        raise InputError(
            "clusters by SSH need the package asyncssh",
            where="--cluster",
            remedy="pip install 'dyadid[cluster]'",
        ) from None
    pools = dict.fromkeys(("NPROC", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(profile.threads))
    workers = {
        "nthreads": 1,
        "n_workers": profile.workers,
        "env": pools,
        "memory_limit": (profile.memory or "auto").replace(" ", ""),
        "dashboard": False,
        "dashboard_address": "127.0.0.1:0",  # what is left of it would listen beyond, and plainly
    }
    try:
        return SSHCluster(
            [profile.hosts[0], *profile.hosts],
            connect_options={"username": profile.user} if profile.user else {},
            worker_options=workers,
            scheduler_options={"port": 0, "host": profile.hosts[0], **page}
            | ({"protocol": "tls"} if security else {}),
            remote_python=quoted_program(profile.python or sys.executable),
            security=security,
        )
    except Exception as error:  # a host that has no Dask gives a bare Exception
        raise InputError(
            f"the cluster cannot be started by SSH ({type(error).__name__}: {error})",
            where=f"hosts: {', '.join(profile.hosts)}",
            remedy="try `ssh HOST python -m distributed.cli.dask_spec --help` for each of them; "
            "it must work without a password",
        ) from None


def _certificates(security: Any) -> dict[str, Any]:
    """Dask's settings that processes on the hosts inherit: paths of certificates, no content."""
    if security is None:
        return {}
    client = security.get_tls_config_for_role("client")
    pair = {"cert": client["cert"], "key": client["key"]}
    tls = {"ca-file": client["ca_file"], **dict.fromkeys(("client", "scheduler", "worker"), pair)}
    return {"distributed.comm.require-encryption": True, "distributed.comm.tls": tls}
