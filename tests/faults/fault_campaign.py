"""Runs of a small sweep, each with one fault at a random moment, and what became of them.

    python tests/faults/fault_campaign.py --runs 200 --report campaign.md

Every run must end in tables that equal those of an undisturbed run byte for byte, at once or after one plain run
more; or in a clear error, with every unit that was there still whole, and complete in one plain run once the fault
is gone. Anything else is a violation, and the exit code 1. The report is written as Markdown, and as JSON beside it.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fault_kinds import (
    ALWAYS_WORKERS,
    FAULTS,
    NEEDS_MOUNT,
    NEEDS_UNITS,
    SOMETIMES_WORKERS,
    Case,
    TooLate,
    can_mount,
    release,
    small_disk,
)
from faulted_run import Driver, Violation, frames, is_whole, start, start_forking, units

AT_ONCE, AGAIN, TOLD = "completed at once", "completed after a re-run", "clear error, then completed"
VIOLATION, NOT_TRIED = "VIOLATION", "not tried"
OUTCOMES = (AT_ONCE, AGAIN, TOLD, VIOLATION, NOT_TRIED)


@dataclass(frozen=True)
class Ended:
    """What became of one run.

    Attributes
    ----------
    number : int
        Decides, with the campaign's seed, everything that is random in it.
    fault : str
    outcome : str
        One of `OUTCOMES`.
    seconds : float
    units : int
        In the store when the fault came.
    detail : dict
        What else was decided.
    message : str
        What the run said on its error stream, or what was violated.
    """

    number: int
    fault: str
    outcome: str
    seconds: float
    units: int
    detail: dict[str, object]
    message: str


@dataclass(frozen=True)
class Campaign:
    """What all runs share.

    Attributes
    ----------
    folder : Path
        Of all runs; those in order are removed.
    seed : int
    stop_seconds : float
    reference : dict of str to bytes
        Tables of an undisturbed run.
    total : int
        Its units.
    mounts : bool
        Whether file systems can be mounted.
    """

    folder: Path
    seed: int
    stop_seconds: float
    reference: dict[str, bytes]
    total: int
    mounts: bool

    def run(self, number: int, fault: str) -> Ended:
        """One run with its fault; where it ended too early for it, again with an earlier moment."""
        begun, chance = time.monotonic(), random.Random(f"{self.seed} {number}")
        if fault in NEEDS_MOUNT and not self.mounts:
            return Ended(number, fault, NOT_TRIED, 0.0, 0, {}, "file systems cannot be mounted here")
        least = 1 if fault in NEEDS_UNITS else 0
        moment = chance.randint(least, self.total)
        while True:
            root, logs = self.folder / f"{number:03d}", self.folder / f"{number:03d}-logs"
            for path in (root, logs):
                path.mkdir()
            case = Case(root, logs, chance, moment, self.stop_seconds, self.reference)
            keep = False
            try:
                outcome, message = _one(case, fault)
            except TooLate:
                moment = max(least, moment - self.total // 4)
                continue
            except Violation as error:
                outcome, message, keep = VIOLATION, str(error), True
            except Exception as error:  # of the campaign itself: the other runs shall go on
                outcome, message, keep = VIOLATION, f"{type(error).__name__}: {error}", True
            finally:
                release(root)
                for path in () if keep else (root, logs):
                    shutil.rmtree(path)
            seconds = round(time.monotonic() - begun, 1)
            return Ended(number, fault, outcome, seconds, moment, case.detail, message)


def _one(case: Case, fault: str) -> tuple[str, str]:
    """Outcome of a run, and what it said."""
    workers = 2 if fault in ALWAYS_WORKERS else 0
    if fault in SOMETIMES_WORKERS:
        workers = 2 if case.random.random() < SOMETIMES_WORKERS[fault] else 0
        case.detail["workers"] = workers
    if fault == "disk full":
        small_disk(case)
    with closing(case.start("first", workers=workers)) as first:
        case.await_moment(first)
        before = {path.name for path in units(case.store)}
        FAULTS[fault](case, first)
        code = first.wait()
        if first.left_behind():
            raise Violation("processes of a run that ended go on")
    _must_be_clear(first, code, killed=case.killed)
    if code == 0:
        _must_equal(case, "the run")
    for lift in case.lift:
        lift()
    _must_be_there(case, before - case.damaged)
    if code != 0 or case.damaged:
        with closing(case.start("again")) as again:
            _must_be_clear(again, again.wait(), killed=False, completed=True)
        _must_equal(case, "the re-run")
        _must_be_there(case, before)
        _must_have_seen_damage(case)
    if parts := [path for folder in (case.store, case.out / "faulted") for path in folder.rglob("*.part")]:
        raise Violation(f"half-written files are left: {', '.join(path.name for path in parts)}")
    return AT_ONCE if code == 0 else AGAIN if case.killed else TOLD, first.errors[-1000:]


def _must_be_clear(run: Driver, code: int, *, killed: bool, completed: bool = False) -> None:
    said = run.errors
    told = code in (1, 2) and "hint:" in said and ("failed:" in said or "error:" in said)
    ended = code in (-signal.SIGKILL, 128 + signal.SIGTERM)
    if "Traceback" in said or not (code == 0 or (not completed and (ended if killed else told))):
        raise Violation(f"the {run.name} run ended in {code}: {said[:300]} ... {said[-1200:]}")


def _must_equal(case: Case, what: str) -> None:
    found = frames(case.out)
    if found != case.reference:
        names = sorted(
            name for name in {*found, *case.reference} if found.get(name) != case.reference.get(name)
        )
        raise Violation(f"{what} has other tables: {', '.join(names)}")


def _must_be_there(case: Case, names: set[str]) -> None:
    """Units are there and whole; of those that are not whole, only what the fault has damaged."""
    found = {path.name: is_whole(path) for path in units(case.store)}
    if lost := {name for name in names if not found.get(name)}:
        raise Violation(f"units are lost: {', '.join(sorted(lost))}")
    if broken := {name for name, whole in found.items() if not whole} - case.damaged:
        raise Violation(f"units are not whole: {', '.join(sorted(broken))}")


def _must_have_seen_damage(case: Case) -> None:
    manifest = json.loads((case.out / "faulted" / "manifest.json").read_text(encoding="utf-8"))
    if manifest["execution"]["units_damaged"] != len(case.damaged):
        raise Violation(f"{manifest['execution']['units_damaged']} damaged units were seen")


@contextmanager
def opened(folder: Path, *, seed: int = 0, stop_seconds: float = 10.0) -> Iterator[Campaign]:
    """A campaign, with its undisturbed run done."""
    start_forking()
    out, store = folder / "reference", folder / "reference-store"
    logs = folder / "reference-logs"
    logs.mkdir()
    with closing(start("reference", logs, out, store)) as run:
        if run.wait() != 0:
            raise RuntimeError(f"the undisturbed run failed: {run.errors}")
    yield Campaign(folder, seed, stop_seconds, frames(out), len(units(store)), can_mount(folder))


def run_all(campaign: Campaign, faults: Sequence[str], *, at_once: int = 2) -> Iterator[Ended]:
    """A run for each name of a fault, some side by side, as they end."""
    with ThreadPoolExecutor(at_once) as pool:
        for future in as_completed([pool.submit(campaign.run, *one) for one in enumerate(faults)]):
            yield future.result()


def table(ended: Sequence[Ended]) -> str:
    """Fault by outcome, as Markdown."""
    counts = Counter((one.fault, one.outcome) for one in ended)
    shown = [
        outcome for outcome in OUTCOMES if outcome != NOT_TRIED or any(o == NOT_TRIED for _, o in counts)
    ]
    rows = [["fault", "runs", *shown]]
    for fault in (name for name in FAULTS if any(one.fault == name for one in ended)):
        own = [counts[fault, outcome] for outcome in shown]
        rows.append([fault, str(sum(own)), *map(str, own)])
    every = [sum(counts[fault, outcome] for fault in FAULTS) for outcome in shown]
    rows.append(["all", str(sum(every)), *map(str, every)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]])


def write_report(path: Path, ended: Sequence[Ended], title: str) -> str:
    """Table and violations as Markdown, which is returned, and all runs as JSON beside it."""
    runs = [asdict(one) for one in sorted(ended, key=lambda one: one.number)]
    broken = [one for one in ended if one.outcome == VIOLATION]
    told = [f"Run {one.number}, {one.fault}, {one.detail}: {one.message}" for one in broken]
    text = "\n\n".join([title, table(ended), *told]) + "\n"
    path.write_text(text, encoding="utf-8")
    path.with_suffix(".json").write_text(json.dumps(runs, indent=1), encoding="utf-8")
    return text


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", nargs="*", choices=list(FAULTS), default=list(FAULTS))
    parser.add_argument("--side-by-side", type=int, default=2)
    parser.add_argument(
        "--report", type=Path, required=True, help="a Markdown file; the runs go beside it as JSON"
    )
    options = parser.parse_args()
    names = [options.faults[number % len(options.faults)] for number in range(options.runs)]
    folder, begun = Path(tempfile.mkdtemp(prefix="faults-")), time.monotonic()
    ended: list[Ended] = []
    text = ""
    with opened(folder, seed=options.seed) as campaign:
        for one in run_all(campaign, names, at_once=options.side_by_side):
            ended.append(one)
            print(f"{one.number:4d}  {one.fault:16s}  {one.outcome}, {one.seconds:.0f} s", flush=True)
            spent = f"seed {options.seed}, {time.monotonic() - begun:,.0f} s"
            text = write_report(
                options.report, ended, f"{len(ended)} runs of {campaign.total} units, {spent}"
            )
    print(text)
    if any(one.outcome == VIOLATION for one in ended):
        print(f"folders and logs of the violations: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
