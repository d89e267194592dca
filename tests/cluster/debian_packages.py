"""Debian packages that a lab needs, installed where their command is absent."""

from __future__ import annotations

import os
import shutil
import subprocess

_APT = ["apt-get", "-q", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"]


def need(command: str, *packages: str) -> None:
    """Make sure that a command of the system is there.

    Raises
    ------
    RuntimeError
        Where it is not, and this is not Debian, or the user may not install.
    """
    # A login shell's PATH often lacks the folders of daemons.
    os.environ["PATH"] = ":".join(dict.fromkeys([*os.environ["PATH"].split(":"), "/usr/sbin", "/sbin"]))
    if shutil.which(command):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError(
            f"{command} is not here: install {' and '.join(packages)}, or run as root on Debian"
        )
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*_APT, "install", "-y", "--no-install-recommends", *packages]
    if subprocess.run(install, env=quiet, capture_output=True).returncode:  # maybe the index is old, or empty
        subprocess.run([*_APT, "update"], env=quiet, check=True, stdout=subprocess.DEVNULL)
        subprocess.run(install, env=quiet, check=True, stdout=subprocess.DEVNULL)
