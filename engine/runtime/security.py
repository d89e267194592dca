"""TLS between driver, scheduler and workers: the user's certificates, or a pair made for one run.

Whoever connects without the certificate is refused, on this machine too: other users of a login node reach what
listens on the loopback interface, and a Dask scheduler runs what it is sent. Made certificates are written for their
owner's eyes only and deleted at the end of the run; those of workers of this machine stay in memory. Contents of keys
go into no log, manifest, job script or command line: paths do.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from engine.errors import InputError
from engine.runtime.files import output_folder
from engine.spec.cluster import Certificates, Tls

_ROLES = ("client", "scheduler", "worker")
_LOOPBACK = "127.0.0.1:0"  # any free port: without an address a page listens on every interface, and plainly


@contextmanager
def secured(tls: Tls, folder: Path) -> Iterator[Any]:
    """A ``distributed.Security``, or None where the user turned it off.

    Parameters
    ----------
    tls : as in a profile
    folder : Path
        Where a certificate is made while the run lasts; every machine of the cluster sees it.
    """
    if tls is False:
        yield None
    elif isinstance(tls, Certificates):
        yield of_files(tls)
    else:
        output_folder(folder)
        private = Path(mkdtemp(prefix="tls-", dir=folder))  # for its owner alone
        try:
            yield of_files(_made(private))
        finally:
            shutil.rmtree(private, ignore_errors=True)


def of_files(files: Certificates) -> Any:
    """The ``distributed.Security`` of some PEM files; every connection is encrypted."""
    from distributed.security import Security

    paths = {f"tls_{role}_{part}": getattr(files, part) for role in _ROLES for part in ("cert", "key")}
    security = Security(require_encryption=True, tls_ca_file=files.ca, **paths)
    try:
        security.get_connection_args("client")
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"the certificates cannot be used ({error.strerror or error})",
            where=f"tls: {files.ca}, {files.cert}, {files.key}",
            remedy="give PEM files: the authority's certificate, one signed by it, and that one's key",
        ) from None
    return security


def in_memory() -> Any:
    """A ``distributed.Security`` for processes of this machine: a key and its certificate that no file holds.

    Worker processes get it from their parent through a pipe.
    """
    from distributed.security import Security

    try:
        return Security.temporary()
    except ImportError:
        raise InputError(
            "encryption needs the package cryptography",
            where="tls",
            remedy="pip install cryptography; on other machines, name your own certificates or say tls: false",
        ) from None


@contextmanager
def pages(enabled: bool) -> Iterator[dict[str, Any]]:
    """Options of a scheduler whose pages are there, or not: anyone who reaches their port reads logs and tasks.

    Within, Dask's settings say the same; without them the scheduler would serve some pages all the same.
    """
    import dask

    options = {"dashboard_address": _LOOPBACK, "dashboard": enabled}
    with dask.config.set({} if enabled else {"distributed.scheduler.http.routes": []}):
        yield options


def _made(folder: Path) -> Certificates:
    """A key and its self-signed certificate, which is its own authority."""
    security = in_memory()
    for name, text in {"ca": security.tls_ca_file, "key": security.tls_client_key}.items():
        handle = os.open(folder / f"{name}.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="ascii") as stream:
            stream.write(text)
    ca, key = str(folder / "ca.pem"), str(folder / "key.pem")
    return Certificates(ca=ca, cert=ca, key=key)
