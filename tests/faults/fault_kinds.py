"""What a shared cluster does to a run: each fault is made for real on a run that is under way, and lifted again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from faulted_run import POLL_SECONDS, Driver, Violation, frames, start, units

TMPFS_BYTES = 8 << 20
_PAGE = 4096
_FULL_KILOBYTES = 64
_REMOUNTS = 500
_START_SECONDS = 3.0  # until the first unit of a run
_BETWEEN_SECONDS = 0.3  # about what several units take


class TooLate(Exception):
    """The run ended before its fault."""


@dataclass
class Case:
    """One run of the campaign and its fault.

    Attributes
    ----------
    root : Path
        ``out`` and ``store`` of the run, and nothing else.
    logs : Path
    random : Random
        Decides moment, victim and the like.
    moment : int
        Units in the store when the fault comes.
    stop_seconds : float
        Between SIGSTOP and SIGCONT.
    reference : dict of str to bytes
        Tables of an undisturbed run.
    detail : dict
        What was decided, for the record.
    killed : bool
        The fault ends the run by itself.
    damaged : set of str
        Units that are no longer whole.
    lift : list of callables
        What takes the fault away.
    """

    root: Path
    logs: Path
    random: random.Random
    moment: int
    stop_seconds: float
    reference: dict[str, bytes]
    detail: dict[str, object] = field(default_factory=dict)
    killed: bool = False
    damaged: set[str] = field(default_factory=set)
    lift: list[Callable[[], object]] = field(default_factory=list)

    @property
    def out(self) -> Path:
        return self.root / "out"

    @property
    def store(self) -> Path:
        return self.root / "store"

    def decide(self, name: str, *choices: object) -> object:
        self.detail[name] = self.random.choice(choices)
        return self.detail[name]

    def start(self, name: str, *, workers: int = 0) -> Driver:
        return start(name, self.logs, self.out, self.store, workers=workers)

    def await_moment(self, run: Driver) -> None:
        """Return once the store has so many units, and a random while later."""
        while len(units(self.store)) < self.moment:
            _still_there(run)
            time.sleep(POLL_SECONDS)
        time.sleep(self.random.uniform(0, _BETWEEN_SECONDS if self.moment else _START_SECONDS))
        _still_there(run)

    def a_worker(self, run: Driver) -> int:
        while not (found := run.workers()):
            _still_there(run)
            time.sleep(10 * POLL_SECONDS)  # all processes are looked through
        return self.random.choice(found)


Fault = Callable[[Case, Driver], None]


def _still_there(run: Driver) -> None:
    if run.code is not None:
        raise TooLate


def _send(pid: int, signum: signal.Signals) -> None:
    try:
        os.kill(pid, signum)
    except ProcessLookupError:
        raise TooLate from None


def kill_worker(case: Case, run: Driver) -> None:
    _send(case.a_worker(run), signal.SIGKILL)
    if case.decide("victims", 1, 2) == 2:
        time.sleep(case.random.uniform(0, 1))
        for pid in run.workers()[:1]:
            _send(pid, signal.SIGKILL)


def kill_driver(case: Case, run: Driver) -> None:
    case.killed = True
    _send(run.pid, signal.SIGKILL)


def stop_worker(case: Case, run: Driver) -> None:
    _stop(case, case.a_worker(run))


def stop_driver(case: Case, run: Driver) -> None:
    _stop(case, run.pid)


def _stop(case: Case, pid: int) -> None:
    _send(pid, signal.SIGSTOP)
    time.sleep(case.stop_seconds)
    _send(pid, signal.SIGCONT)


def cut_unit(case: Case, run: Driver) -> None:
    path, content = _a_unit(case, run)
    path.write_bytes(content[: case.random.randrange(len(content))])


def flip_bit(case: Case, run: Driver) -> None:
    path, content = _a_unit(case, run)
    changed = bytearray(content)
    changed[case.random.randrange(len(content))] ^= 1 << case.random.randrange(8)
    path.write_bytes(changed)


def _a_unit(case: Case, run: Driver) -> tuple[Path, bytes]:
    """A unit to be damaged, of a run that was asked to stop or that goes on; what it wrote is to be made anew."""
    if case.decide("run", "stopped", "goes on") == "stopped":
        case.killed = True
        _send(run.pid, signal.SIGTERM)
        run.wait()
    case.lift.append(lambda: (case.out / "faulted" / "estimates.parquet").unlink(missing_ok=True))
    path = case.random.choice(units(case.store))
    case.damaged.add(path.name)
    return path, path.read_bytes()


def fill_disk(case: Case, run: Driver) -> None:
    """Every byte of the small disk that `small_disk` mounted below is taken, or all but a few kilobytes."""
    folder = case.root if case.detail["disk of"] == "all" else case.store
    ballast, left = folder / "ballast", case.random.choice((0, _FULL_KILOBYTES << 10))
    with open(ballast, "wb", buffering=0) as stream:
        try:
            while True:
                stream.write(b"\0" * _PAGE)
        except OSError:
            stream.truncate(max(0, stream.tell() - left))
    case.detail["bytes left"] = left
    case.lift.append(ballast.unlink)


def small_disk(case: Case) -> None:
    """A file system of its own for the store, or for the results as well."""
    folder = case.root if case.decide("disk of", "all", "store") == "all" else case.store
    folder.mkdir(exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={TMPFS_BYTES}", "tmpfs", str(folder))


def make_read_only(case: Case, run: Driver) -> None:
    """Mounted over itself read-only: modes do not stop root, and files that are open would stop a remount."""
    whole = case.decide("read-only", "store", "all", "results")
    folder = {"store": case.store, "all": case.root, "results": case.out}[str(whole)]
    folder.mkdir(exist_ok=True)
    _mount("--bind", str(folder), str(folder))
    case.lift.append(lambda: _unmount(folder))
    for _ in range(_REMOUNTS):
        with suppress(subprocess.CalledProcessError):  # refused while the run has a file open for writing
            _mount("-o", "remount,bind,ro", str(folder))
            return
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"{folder} could not be made read-only")


def set_clock_back(case: Case, run: Driver) -> None:
    seconds = case.decide("seconds", 2, 3600, 86400 * 400)
    who = case.decide("who", "driver", "workers", "all")
    (case.logs / "clock").write_text(f"-{seconds} {who}")


def second_driver(case: Case, run: Driver) -> None:
    """The same job at the same time, into the same folder or into its own with the same store."""
    out = case.out if case.decide("folder", "same", "own") == "same" else case.root / "other"
    with closing(start("second", case.logs, out, case.store)) as second:
        code = second.wait()
        case.detail["second"] = "completed" if code == 0 else "refused"
        refused = code == 1 and "failed: another run" in second.errors and "Traceback" not in second.errors
        if code == 0 and frames(out) != case.reference:
            raise Violation("the second driver wrote other tables")
        if code != 0 and not refused:
            raise Violation(f"the second driver ended in {code}: {second.errors[-3000:]}")


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], capture_output=True, check=True)


def _unmount(folder: Path) -> bool:
    return subprocess.run(["umount", "-l", str(folder)], capture_output=True).returncode == 0


def release(root: Path) -> None:
    """Unmount whatever is mounted in a run's folder, or over it."""
    for folder in (root / "store", root / "out", root):
        while _unmount(folder):
            pass


def can_mount(folder: Path) -> bool:
    """Whether this process may mount, and mount again read-only."""
    probe = folder / "probe"
    probe.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", str(probe))
        _mount("--bind", str(probe), str(probe))
        _mount("-o", "remount,bind,ro", str(probe))
        return True
    except (subprocess.CalledProcessError, OSError):
        return False
    finally:
        release(probe)
        probe.rmdir()


FAULTS: dict[str, Fault] = {
    "worker killed": kill_worker,
    "driver killed": kill_driver,
    "worker stopped": stop_worker,
    "driver stopped": stop_driver,
    "unit cut short": cut_unit,
    "byte flipped": flip_bit,
    "disk full": fill_disk,
    "read-only": make_read_only,
    "clock set back": set_clock_back,
    "second driver": second_driver,
}
NEEDS_MOUNT = {"disk full", "read-only"}
ALWAYS_WORKERS = {"worker killed", "worker stopped"}
SOMETIMES_WORKERS = {"driver killed": 0.25, "driver stopped": 0.25, "clock set back": 0.6}
NEEDS_UNITS = {"unit cut short", "byte flipped"}
