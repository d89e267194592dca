"""A run of the campaign's job in processes of its own, and what can be seen of it from outside."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from multiprocessing import forkserver
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Lock

from faulted_driver import drive

import engine
from engine import terminal

JOB = Path(__file__).with_name("fault_job.yaml")
LIMIT_SECONDS = 180.0  # no run of the campaign takes a tenth of it on a quiet machine
_ORPHAN_SECONDS = 30.0  # for workers to notice that their driver is gone
POLL_SECONDS = 0.01
_SELF = Path(__file__).parent
_CONTEXT = multiprocessing.get_context("forkserver")
_ONE_AT_A_TIME = Lock()  # two threads that ask for one exit code would read it once


class Violation(AssertionError):
    """What must hold after a fault does not."""


@dataclass
class Driver:
    """One ``dyadid run``, leader of a session of its own.

    Attributes
    ----------
    process : Process
    name : str
        Of its two logs.
    logs : Path
    """

    process: BaseProcess
    name: str
    logs: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    @property
    def code(self) -> int | None:
        """Its exit code, minus the signal that killed it; None while it lives."""
        with _ONE_AT_A_TIME:
            return self.process.exitcode

    @property
    def errors(self) -> str:
        return (self.logs / f"{self.name}.err").read_text(errors="replace")

    def workers(self) -> list[int]:
        """Its worker processes, by what started them."""
        return [pid for pid in session(self.pid) if "spawn_main" in _command(pid)]

    def wait(self, seconds: float = LIMIT_SECONDS) -> int:
        """Its exit code; a run that does not end is a violation."""
        end = time.monotonic() + seconds
        while (code := self.code) is None:
            if time.monotonic() > end:
                raise Violation(f"the {self.name} run did not end within {seconds:.0f} s")
            time.sleep(POLL_SECONDS)
        return code

    def left_behind(self) -> list[int]:
        """Processes that outlive it."""
        end = time.monotonic() + _ORPHAN_SECONDS
        while (rest := session(self.pid)) and time.monotonic() < end:
            time.sleep(10 * POLL_SECONDS)  # all processes are looked through
        return rest

    def close(self) -> None:
        """Kill what is left of it."""
        for pid in {*session(self.pid), *([self.pid] if self.code is None else [])}:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.wait()


def start(name: str, logs: Path, out: Path, store: Path, *, workers: int = 0) -> Driver:
    """Start the job; its clock follows the file ``clock`` beside the logs."""
    (logs / "tmp").mkdir(exist_ok=True)
    environment = {**_environment(), "FAULT_CLOCK": str(logs / "clock"), "TMPDIR": str(logs / "tmp")}
    arguments = ["run", str(JOB), "--out", str(out), "--store", str(store)]
    arguments += ["--workers", str(workers)] if workers else []
    process = _CONTEXT.Process(
        target=drive, args=(arguments, environment, logs / f"{name}.out", logs / f"{name}.err")
    )
    with _ONE_AT_A_TIME:
        process.start()
    return Driver(process, name, logs)


def start_forking() -> None:
    """Start the process that drivers are forked from."""
    _CONTEXT.set_forkserver_preload(["faulted_driver"])
    environment = _environment()
    with _own_variables():
        os.environ.update(environment)
        forkserver.ensure_running()


@cache  # made before there are threads
def _environment() -> dict[str, str]:
    """One thread a process, a clock that can be set back, and kernels compiled once for all runs."""
    paths = os.pathsep.join(map(str, (_SELF / "clock", _SELF, Path(engine.__file__).parents[1])))
    with _own_variables():
        terminal.use_compilation_cache()
        return {**os.environ, "PYTHONPATH": paths, "NPROC": "1", "OMP_NUM_THREADS": "1"}


@contextmanager
def _own_variables() -> Iterator[None]:
    """Variables that are set within are as before afterwards."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def session(leader: int) -> list[int]:
    """Living processes of a session, zombies left out."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                state, _, _, sid = (path / "stat").read_text().rpartition(")")[2].split()[:4]
            except OSError:
                continue
            if int(sid) == leader and state not in "ZX":
                found.append(int(path.name))
    return found


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def units(store: Path) -> list[Path]:
    return sorted(store.glob("*.parquet"))


def is_whole(unit: Path) -> bool:
    """Whether a unit, with its id, has the checksum that its name says."""
    name, _, checksum = unit.stem.partition("-")
    return hashlib.sha256(f"{name}\n".encode() + unit.read_bytes()).hexdigest()[:32] == checksum


def frames(out: Path) -> dict[str, bytes]:
    """Bytes of every table of results."""
    return {path.name: path.read_bytes() for path in sorted((out / "faulted").glob("*.parquet"))}
