"""``dyadid run`` as a process that is watched, and what it left."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_TLS_ALERT = b"\x15\x03"
UNITS = 32  # of the permutations that `conftest.py` describes
RUN_SECONDS = 240  # a run takes 15 to 70, faults included


class Driver:
    """``dyadid run``, running.

    Parameters
    ----------
    start : callable
        Starts a command, as ``subprocess.Popen`` does.
    out : Path
        Where it writes.
    """

    def __init__(self, start: Callable[..., Any], job: Path, out: Path, *options: str, **more: Any) -> None:
        self.out, self.folder = out, out / job.stem
        out.mkdir(parents=True, exist_ok=True)
        self._log = out / f"{job.stem}-{time.monotonic_ns()}.log"
        command = [sys.executable, "-m", "engine.cli", "run", str(job), "--out", str(out), *options]
        with open(self._log, "wb") as log:
            self.process = start(*command, stdout=log, stderr=subprocess.STDOUT, **more)

    def units(self) -> Counter[str]:
        """Finished units of every pass so far."""
        log = self.folder / ".dyadid" / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return Counter(one["label"] for one in events if one["event"] == "unit")

    def until_half(self) -> None:
        """Wait until half of all units are there; draws are what is left."""
        end = time.monotonic() + RUN_SECONDS
        while 2 * self.units().total() < UNITS:
            if self.process.poll() not in (None, 0) or time.monotonic() > end:
                raise AssertionError(self.said())
            time.sleep(0.02)

    def ended(self) -> int:
        """Its exit code."""
        try:
            return self.process.wait(RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.said()}") from None

    def said(self) -> str:
        """Everything it printed; it is killed where it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        return self._log.read_text()

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "manifest.json").read_text())


def popen(*command: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[bytes]:
    """A process of this machine."""
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def tables(folder: Path) -> dict[str, bytes]:
    """Parquet files of a job, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def plain_answer(host: str, port: int) -> bytes:
    """What whoever listens there says to a client without TLS; nothing, where it speaks TLS alone."""
    with socket.create_connection((host, port), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            answer = plain.recv(64)
        except (ConnectionResetError, TimeoutError):
            return b""
    return b"" if answer.startswith(_TLS_ALERT) else answer
