"""How long a run will go on: the seconds that its stages are expected to take, corrected by its pace.

The expectation is one sum over the stages, and the pace one number: the seconds that a second of the expectation took,
over all tasks that this process has computed. Tasks that a store had, the first task of a kind, which compiles, and
passes that are no stage say nothing of the pace.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

Stages = Sequence[tuple[str, float]]
"""Label of each stage's pass, and the seconds that it is expected to take, in their order."""

_PRIOR = 30.0
"""Seconds of the expectation that count as computed at pace 1: the first tasks of a run say little."""
_SLOWEST = 5.0
"""Pace that is believed of a machine: what takes longer still is a stage that was expected wrongly, unlike others."""


@dataclass
class PassProgress:
    """How far a pass is.

    Attributes
    ----------
    label : str
    n_tasks, n_found, n_done : int
        All tasks; those that a store had when the pass began; those that are done, with the ones found.
    begun, updated : float
        When the pass began, and when a task of it was last done, in seconds of `time.perf_counter`.
    expected : float or None
        Seconds of the expectation for the tasks that were not found; None of a pass that is no stage.
    """

    label: str
    n_tasks: int
    n_found: int
    n_done: int
    begun: float
    updated: float
    expected: float | None

    @property
    def n_computed(self) -> int:
        """Tasks that this process has computed."""
        return self.n_done - self.n_found

    @property
    def share(self) -> float:
        """Part of the tasks to compute that is done, from 0 to 1."""
        to_compute = self.n_tasks - self.n_found
        return self.n_computed / to_compute if to_compute else 1.0

    @property
    def seconds_to_do(self) -> float:
        """Seconds of the expectation for the tasks that are not done."""
        return (1 - self.share) * (self.expected or 0.0)


class Schedule:
    """Stages of a run, and where it is in them; threads may report passes that run side by side.

    Parameters
    ----------
    stages : sequence of (str, float)
    """

    def __init__(self, stages: Stages = ()) -> None:
        self._lock = Lock()
        self._compiled: set[str] = set()
        self._computed = self._expected = 0.0  # seconds of the same tasks, as they took and as expected
        self._measured = time.perf_counter()
        self.expect(stages)

    def expect(self, stages: Stages) -> None:
        """Begin a run of these stages; the pace of the runs before stays."""
        with self._lock:
            self._later, self._open = list(stages), list[PassProgress]()

    def report(self, label: str, n_done: int, n_tasks: int) -> tuple[PassProgress, float | None]:
        """The pass, and the seconds until the end of the run; None where nothing is expected and nothing is done.

        The first report of a pass is of what a store had: 0 of ``n_tasks``, or more.
        """
        with self._lock:
            now = time.perf_counter()
            of_label = [work for work in self._open if work.label == label]
            fitting = [work for work in of_label if work.n_tasks == n_tasks and work.n_done < n_done]
            if fitting:
                work = max(fitting, key=lambda work: work.n_done)
                self._measure(work, n_done, now)
            else:
                # Passes of a single task run side by side; of others the one before has ended, or is made again.
                self._open = [work for work in self._open if work.label != label or work.n_tasks == 1]
                work = self._begun(label, n_done, n_tasks, now)
                self._open.append(work)
            if n_done >= n_tasks:
                self._open.remove(work)
            return work, self._seconds_left(work, now)

    def _begun(self, label: str, n_found: int, n_tasks: int, now: float) -> PassProgress:
        """A pass begins; stages before its own are over, or will never report."""
        place = next((k for k, (stage, _) in enumerate(self._later) if stage == label), None)
        expected = None
        if place is not None:
            expected = self._later[place][1] * (n_tasks - n_found) / n_tasks
            del self._later[: place + 1]
        return PassProgress(label, n_tasks, n_found, n_found, now, now, expected)

    def _measure(self, work: PassProgress, n_done: int, now: float) -> None:
        """Tasks of a pass are done: what they took belongs to the pace, but for the first, which compiles."""
        if work.expected is not None and work.label in self._compiled:
            self._computed += now - max(work.updated, self._measured)
            self._expected += work.expected * (n_done - work.n_done) / (work.n_tasks - work.n_found)
        self._compiled.add(work.label)
        self._measured = work.updated = now
        work.n_done = n_done

    def _seconds_left(self, work: PassProgress, now: float) -> float | None:
        """Of a stage: its length is what has passed and, at the pace, what is expected of the rest."""
        pace = min((self._computed + _PRIOR) / (self._expected + _PRIOR), _SLOWEST)
        beside = sum(open_pass.seconds_to_do for open_pass in self._open if open_pass is not work)
        later = pace * (beside + sum(seconds for _, seconds in self._later))
        elapsed = now - work.begun
        if work.expected is not None:
            return (1 - work.share) * (elapsed + pace * work.seconds_to_do) + later
        if work.n_computed:
            return elapsed / work.n_computed * (work.n_tasks - work.n_done) + later
        return later or None


class TimedProgress(ABC):
    """Progress for people: a callable of ``(label, n_done, n_tasks)`` that also says how long it will all go on.

    Parameters
    ----------
    later : float
        Seconds that runs after this one are expected to take.
    schedule : Schedule, optional
        Of the runs before this one, whose pace counts.
    """

    def __init__(self, later: float = 0.0, schedule: Schedule | None = None) -> None:
        self._later, self._schedule, self._lock = later, schedule or Schedule(), Lock()
        self.expect(())

    def expect(self, stages: Stages) -> None:
        """Begin a run of these stages."""
        self._schedule.expect([*stages, ("later runs", self._later)])

    def __call__(self, label: str, n_done: int, n_tasks: int) -> None:
        with self._lock:
            self.show(*self._schedule.report(label, n_done, n_tasks))

    @abstractmethod
    def show(self, work: PassProgress, seconds_left: float | None) -> None:
        """Show how far a pass is, the same object at each of its reports, and the seconds until all runs have ended."""
