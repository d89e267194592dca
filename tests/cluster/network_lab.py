"""Three hosts on one machine: network namespaces, each on a cable to a switch; a cable can be pulled.

The switch is a bridge in a namespace of its own, so nothing of the traffic reaches this machine's network, and the
addresses are free whatever else runs here. Hosts share the disk and the processes of the machine. Needs root.

    python tests/cluster/network_lab.py driver ip address      # any command on a host
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from debian_packages import need

HOSTS = {"driver": "10.77.0.1", "first": "10.77.0.2", "second": "10.77.0.3"}
_SWITCH = "switch"
_TERMINATE_SECONDS = 10


@dataclass
class NetworkLab:
    """Hosts that reach each other, by the addresses of `HOSTS`."""

    _prefix: str
    _started: list[subprocess.Popen[Any]] = field(default_factory=list)

    def start(self, host: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a command on a host; ``options`` are those of ``Popen``. It ends with the lab."""
        process = subprocess.Popen(
            ["ip", "netns", "exec", self._prefix + host, *command],
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )
        self._started.append(process)
        return process

    def run(self, host: str, *command: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """What a command says on a host."""
        netns = ["ip", "netns", "exec", self._prefix + host]
        return subprocess.run([*netns, *command], capture_output=True, text=True, **options)

    def pull(self, host: str) -> None:
        """Pull the cable of a host out of the switch: packets vanish, connections do not end."""
        self._ip(_SWITCH, "link", "set", host, "down")

    def plug(self, host: str) -> None:
        """Put it back."""
        self._ip(_SWITCH, "link", "set", host, "up")

    def listening(self, host: str) -> list[tuple[str, int]]:
        """Addresses and ports that others can reach on a host."""
        lines = self.run(host, "ss", "--listening", "--tcp", "--numeric", "--no-header").stdout.splitlines()
        pairs = [line.split()[3].rpartition(":") for line in lines]
        return [(HOSTS[host], int(port)) for address, _, port in pairs if not address.startswith("127.")]

    def _ip(self, host: str, *words: str) -> None:
        _do("ip", "-n", self._prefix + host, *words)

    def _begin(self) -> None:
        for host in (_SWITCH, *HOSTS):
            _do("ip", "netns", "add", self._prefix + host)
            self._ip(host, "link", "set", "lo", "up")
        self._ip(_SWITCH, "link", "add", "bridge", "type", "bridge")
        self._ip(_SWITCH, "link", "set", "bridge", "up")
        for host, address in HOSTS.items():
            # fmt: off
            self._ip(host, "link", "add", "eth0", "type", "veth",
                     "peer", "name", host, "netns", self._prefix + _SWITCH)
            # fmt: on
            self._ip(host, "address", "add", f"{address}/24", "dev", "eth0")
            self._ip(host, "link", "set", "eth0", "up")
            self._ip(_SWITCH, "link", "set", host, "master", "bridge", "up")

    def _processes(self) -> list[int]:
        names = (self._prefix + host for host in HOSTS)
        told = [subprocess.run(["ip", "netns", "pids", one], capture_output=True, text=True) for one in names]
        return [int(number) for one in told for number in one.stdout.split()]

    def _end(self) -> None:
        for send in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + _TERMINATE_SECONDS
            for number in self._processes():
                with suppress(ProcessLookupError):
                    os.kill(number, send)
            while time.monotonic() < end and self._processes():
                for process in self._started:
                    process.poll()
                time.sleep(0.1)
        for process in self._started:
            process.wait()
        for host in (*HOSTS, _SWITCH):  # their cables go with them
            subprocess.run(["ip", "netns", "delete", self._prefix + host], capture_output=True)


@contextmanager
def network_lab() -> Iterator[NetworkLab]:
    """Three hosts; their processes and cables are gone afterwards."""
    if os.geteuid() != 0:
        raise RuntimeError(
            "network namespaces need root: run these tests in a container or a virtual machine"
        )
    need("ip", "iproute2")
    lab = NetworkLab(f"dyadid-{os.getpid()}-")
    try:
        lab._begin()
        yield lab
    finally:
        lab._end()


def _do(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")


if __name__ == "__main__":
    with network_lab() as opened:
        sys.exit(opened.start(sys.argv[1], *sys.argv[2:]).wait())
