"""TLS between driver, scheduler and workers: the user's certificates, or a pair made for one run.

Made certificates are written for their owner's eyes only and deleted at the end of the run. Contents of keys go
into no log, manifest, job script or command line: paths do.
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
        own = Path(mkdtemp(prefix="tls-", dir=folder))  # for its owner alone
        try:
            yield of_files(_made(own))
        finally:
            shutil.rmtree(own, ignore_errors=True)


def of_files(files: Certificates) -> Any:
    """The ``distributed.Security`` of some PEM files; every connection is encrypted."""
    from distributed.security import Security

    own = {f"tls_{role}_{part}": getattr(files, part) for role in _ROLES for part in ("cert", "key")}
    security = Security(require_encryption=True, tls_ca_file=files.ca, **own)
    try:
        security.get_connection_args("client")
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            f"the certificates cannot be used ({error.strerror or error})",
            where=f"tls: {files.ca}, {files.cert}, {files.key}",
            remedy="give PEM files: the authority's certificate, one signed by it, and that one's key",
        ) from None
    return security


def _made(folder: Path) -> Certificates:
    """A key and its self-signed certificate, which is its own authority."""
    from distributed.security import Security

    try:
        made = Security.temporary()
    except ImportError:
        raise InputError(
            "encryption needs the package cryptography",
            where="tls",
            remedy="pip install 'dyadid[cluster]', name your own certificates, or say tls: false",
        ) from None
    for name, text in {"ca": made.tls_ca_file, "key": made.tls_client_key}.items():
        handle = os.open(folder / f"{name}.pem", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="ascii") as stream:
            stream.write(text)
    ca, key = str(folder / "ca.pem"), str(folder / "key.pem")
    return Certificates(ca=ca, cert=ca, key=key)
