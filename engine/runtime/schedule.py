"""How long a run will go on: what is expected of its stages, corrected by how fast it has been so far."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

Stages = Sequence[tuple[str, float]]
"""Label of each stage's pass, and the seconds that it is expected to take, in their order."""

_SLOWEST, _FASTEST = 10.0, 0.1  # pace of a machine, against the expectation, that is believed


class Schedule:
    """Stages of a run, and where it is in them.

    Parameters
    ----------
    stages : sequence of (str, float)
    """

    def __init__(self, stages: Stages = ()) -> None:
        self.expect(stages)

    def expect(self, stages: Stages) -> None:
        """Begin a run of these stages."""
        self._stages, self._stage = list(stages), -1
        self._begun = self._pass_begun = time.perf_counter()
        self._label, self._n_before, self._n_done = "", 0, 0

    def seconds_left(self, label: str, n_done: int, n_tasks: int) -> float | None:
        """Seconds until the end of the run, after so many tasks of a pass; None before anything can be said.

        What is left of the pass goes as fast as the pass has gone, later stages as fast as the run has.
        """
        now = time.perf_counter()
        if label != self._label or n_done < self._n_done:
            self._enter(label, n_done, now)
        self._n_done = n_done
        elapsed, n_new = now - self._pass_begun, n_done - self._n_before
        if n_new <= 0 or elapsed <= 0:
            return None
        of_pass = elapsed / n_new * (n_tasks - n_done)
        return of_pass + self._pace(now, n_done / n_tasks) * self._seconds(self._stage + 1)

    def _enter(self, label: str, n_done: int, now: float) -> None:
        """A pass begins; tasks that an earlier run finished are told at once, and say nothing of its speed."""
        self._label, self._pass_begun, self._n_before = label, now, n_done
        following = range(self._stage + 1, len(self._stages))
        self._stage = next((stage for stage in following if self._stages[stage][0] == label), self._stage)

    def _seconds(self, first: int, last: int | None = None) -> float:
        return sum(seconds for _, seconds in self._stages[max(first, 0) : last])

    def _pace(self, now: float, share: float) -> float:
        """Seconds that a second of the expectation has taken so far."""
        present = self._stages[self._stage][1] if self._stage >= 0 else 0.0
        expected = self._seconds(0, max(self._stage, 0)) + share * present
        return min(max((now - self._begun) / expected, _FASTEST), _SLOWEST) if expected > 0 else 1.0


class TimedProgress(ABC):
    """Progress for people: a callable of ``(label, n_done, n_tasks)`` that also says how long it will all go on.

    Parameters
    ----------
    later : float
        Seconds that runs after this one are expected to take.
    """

    def __init__(self, later: float = 0.0) -> None:
        self._later, self._schedule = later, Schedule()

    def expect(self, stages: Stages) -> None:
        """Begin a run of these stages."""
        self._schedule.expect([*stages, ("later runs", self._later)])

    def __call__(self, label: str, n_done: int, n_tasks: int) -> None:
        self.show(label, n_done, n_tasks, self._schedule.seconds_left(label, n_done, n_tasks))

    @abstractmethod
    def show(self, label: str, n_done: int, n_tasks: int, seconds_left: float | None) -> None:
        """Of a pass: tasks that are done, of how many, and the seconds until all runs have ended."""
