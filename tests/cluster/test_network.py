"""Three hosts on real TCP and TLS: cables pulled for a while and for good, and strangers at the door."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Driver, tables
from distributed.security import Security
from network_lab import HOSTS, NetworkLab, network_lab

pytestmark = pytest.mark.cluster

ADDRESS = f"tls://{HOSTS['driver']}:8786"


class Keys:
    """A certificate authority of one member: files for the command line, for a profile and for Dask."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        made = Security.temporary()
        texts = {"ca": made.tls_ca_file, "cert": made.tls_client_cert, "key": made.tls_client_key}
        self.files = {name: folder / f"{name}.pem" for name in texts}
        for name, text in texts.items():
            self.files[name].touch(mode=0o600)
            self.files[name].write_text(text)

    @property
    def options(self) -> list[str]:
        names = {"ca": "--tls-ca-file", "cert": "--tls-cert", "key": "--tls-key"}
        return [word for name, option in names.items() for word in (option, str(self.files[name]))]


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture
def lab(keys: Keys, tmp_path: Path) -> Iterator[NetworkLab]:
    """A scheduler on one host, a worker on each of the others."""
    with network_lab() as opened:
        dask = [sys.executable, "-m", "dask"]
        with open(tmp_path / "dask.log", "wb") as log:
            said: dict[str, Any] = {"stdout": log, "stderr": subprocess.STDOUT, "cwd": tmp_path}
            opened.start("driver", *dask, "scheduler", "--host", ADDRESS, "--no-dashboard", *keys.options, **said)
            for host in ("first", "second"):
                where = ["--host", HOSTS[host], "--nthreads", "1", "--no-dashboard"]
                opened.start(host, *dask, "worker", ADDRESS, *where, *keys.options, **said)
        yield opened
