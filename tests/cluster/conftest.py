"""What the tests on clusters share: the jobs, what a local run finds, and a driver that can be watched."""

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

import pytest

JOBS = Path(__file__).parents[2] / "jobs"
_RUN_SECONDS = 240  # a run takes 15 to 70, faults included

# The sixth column of Table 1 and 2,000 permutations; tiles small enough for several tasks in every pass.
_SIXTH = """\
extends: {placebo}
job: sixth
inference: {{permutation: {{reps: 2000}}, bootstrap: null, jackknife: null}}
runtime: {{tile: 64}}
"""
_TABLE = "extends: {table}\njob: table\nruntime: {{tile: 64}}\n"


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
        self.folder = out / job.stem
        command = [sys.executable, "-m", "engine.cli", "run", str(job), "--out", str(out), *options]
        self.process = start(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more)

    def units(self) -> Counter[str]:
        """Finished units of every pass so far."""
        log = self.folder / ".dyadid" / "log.jsonl"
        lines = log.read_text().splitlines(keepends=True) if log.exists() else []
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return Counter(one["label"] for one in events if one["event"] == "unit")

    def until_half(self) -> None:
        """Wait until half of all units are there; permutations are what is left, or most of it."""
        end = time.monotonic() + _RUN_SECONDS
        while not self.units()["permutations"]:
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError(self.said())
            time.sleep(0.02)

    def ended(self) -> int:
        """Its exit code."""
        try:
            return self.process.wait(_RUN_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.said()}") from None

    def said(self) -> str:
        """Everything it printed; it is killed where it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
        return self.process.communicate()[0]

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.folder / "manifest.json").read_text())


def popen(*command: str, env: Mapping[str, str] | None = None, **options: Any) -> subprocess.Popen[str]:
    """A process of this machine."""
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, start_new_session=True, **options)


def tables(folder: Path) -> dict[str, bytes]:
    """Parquet files of a job, byte for byte."""
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.parquet"))}


def answers_unencrypted(host: str, port: int) -> bool:
    """Whether whoever listens there says anything else than TLS to a client that speaks plainly."""
    with socket.create_connection((host, port), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        try:
            answer = plain.recv(64)
        except (ConnectionResetError, TimeoutError):
            return False
    return answer[:2] not in (b"", b"\x15\x03")  # nothing, or an alert of TLS


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("jobs")
    texts = {"sixth": _SIXTH, "table": _TABLE}
    where = {"placebo": JOBS / "placebo.yaml", "table": JOBS / "table1_baseline.yaml"}
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text.format(**where), encoding="utf-8")
    return {name: folder / f"{name}.yaml" for name in texts}


@pytest.fixture(scope="session")
def local(jobs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What threads of one process find."""
    out = tmp_path_factory.mktemp("local")
    found = {}
    for name, job in jobs.items():
        driver = Driver(popen, job, out)
        assert driver.ended() == 0, driver.said()
        found[name] = tables(driver.folder)
    assert found["sixth"].keys() == {"estimates.parquet", "inference.parquet", "draws.parquet"}
    return found
