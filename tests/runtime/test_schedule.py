"""How long a run will go on: one expectation, corrected by the pace of what this process computed. Clocks are false."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from engine.runtime import schedule
from engine.runtime.schedule import PassProgress, Schedule, TimedProgress

STAGES = [("moments", 2.0), ("permutations", 100.0), ("bootstrap", 50.0), ("results", 8.0)]
Event = tuple[float, str, int, int]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr(schedule, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    return seconds


def left_after(run: Schedule, now: list[float], events: list[Event]) -> list[float | None]:
    """Seconds left at each of some reports: time, label, tasks done, of how many."""
    seconds_left = []
    for second, label, n_done, n_tasks in events:
        now[0] = second
        seconds_left.append(run.report(label, n_done, n_tasks)[1])
    return seconds_left


def one_by_one(start: float, label: str, n_tasks: int, seconds: float) -> list[Event]:
    """Reports of a pass whose tasks take so many seconds each, its beginning first."""
    return [(start + seconds * n_done, label, n_done, n_tasks) for n_done in range(n_tasks + 1)]


def test_a_run_as_fast_as_expected(now: list[float]) -> None:
    events = [*one_by_one(0, "moments", 1, 2), *one_by_one(2, "permutations", 100, 1)]
    events += one_by_one(102, "bootstrap", 5, 10)
    left = left_after(Schedule(STAGES), now, events)
    assert left == pytest.approx([160 - second for second, *_ in events])


@pytest.mark.parametrize("pace", [0.1, 0.3, 4.0])
def test_a_machine_of_another_speed(pace: float, now: list[float]) -> None:
    """What is shown lies between the expectation and the truth; the more was computed, the nearer the truth."""
    events = [*one_by_one(0, "moments", 1, 2 * pace), *one_by_one(2 * pace, "permutations", 100, pace)]
    events += one_by_one(102 * pace, "bootstrap", 50, pace)
    left = left_after(Schedule(STAGES), now, events)
    truth = [160 * pace - second for second, *_ in events]
    expected = [160 - second / pace for second, *_ in events]
    between = [
        (shown - first) / (true - first) for shown, true, first in zip(left, truth, expected, strict=True)
    ]
    assert all(-1e-9 <= part <= 1 + 1e-9 for part in between)
    assert between[0] == 0
    assert between[2 + 50] > 0.6
    assert between[-1] > 0.8
    hours = Schedule([("permutations", 10_000.0), ("bootstrap", 10_000.0)])
    assert left_after(hours, now, one_by_one(0, "permutations", 100, 100 * pace))[50] == pytest.approx(
        15_000 * pace, rel=0.1
    )


def test_a_pass_that_was_expected_wrongly(now: list[float]) -> None:
    """Ten times too short, or too long: at half of it what is left of it is known within a third."""
    for seconds in (1000.0, 10.0):
        run = Schedule([("moments", 600.0), ("permutations", 100.0)])
        events = [*one_by_one(0, "moments", 60, 10), *one_by_one(600, "permutations", 100, seconds / 100)]
        left = left_after(run, now, events)
        assert left[60] == pytest.approx(100, rel=0.01)
        assert left[61 + 50] == pytest.approx(seconds / 2, rel=0.5 if seconds > 100 else 5)
        assert left[61 + 90] == pytest.approx(seconds / 10, rel=0.15 if seconds > 100 else 1)


def test_what_a_store_had_says_nothing_of_the_speed(now: list[float]) -> None:
    """A resumed run: found tasks take no time, and are no sign of a fast machine."""
    run = Schedule([("moments", 600.0), ("permutations", 600.0), ("bootstrap", 600.0), ("results", 3.0)])
    events = [(0.5, "moments", 100, 100), *one_by_one(1, "permutations", 100, 6)]
    assert left_after(run, now, events) == pytest.approx(
        [1803 - 600, *(1204 - second for second, *_ in events[1:])]
    )
    run = Schedule([("moments", 600.0), ("permutations", 600.0), ("results", 3.0)])
    events = [(0.0, "moments", 90, 100), *((6.0 * k, "moments", 90 + k, 100) for k in range(1, 11))]
    assert left_after(run, now, events) == pytest.approx([663 - second for second, *_ in events])
    nobody_expected = [(0.0, "permutations", 900, 1000), (5.0, "permutations", 910, 1000)]
    assert left_after(Schedule(), now, nobody_expected) == [None, pytest.approx(45)]


def test_passes_that_nobody_expected_change_nothing(now: list[float]) -> None:
    assert left_after(Schedule(), now, one_by_one(0, "scores", 4, 3)) == [
        None,
        *map(pytest.approx, (9, 6, 3, 0)),
    ]
    events = one_by_one(4, "scores", 4, 1)  # before any stage: all are to come
    assert left_after(Schedule(STAGES), now, events) == pytest.approx([160, 163, 162, 161, 160])
    stages = [("moments", 600.0), ("permutations", 600.0), ("results", 3.0)]
    events = [
        *one_by_one(0, "moments", 100, 6),
        *one_by_one(601, "scores", 100, 1),
        *one_by_one(706, "permutations", 100, 6),
    ]
    left = left_after(Schedule(stages), now, events)
    assert left[101:] == pytest.approx(
        [603, *(603 + 100 - done for done in range(1, 101)), *(603 - 6 * done for done in range(101))]
    )


def test_passes_of_one_name_follow_each_other(now: list[float]) -> None:
    run = Schedule([("bootstrap", 10.0), ("bootstrap", 30.0)])
    assert left_after(run, now, one_by_one(0, "bootstrap", 10, 1)) == pytest.approx(
        [40 - k for k in range(11)]
    )
    assert left_after(run, now, one_by_one(10, "bootstrap", 30, 1)[:12]) == pytest.approx(
        [30 - k for k in range(12)]
    )
    again = left_after(run, now, [(21, "bootstrap", 0, 30), (22, "bootstrap", 1, 30)])
    assert again == [None, pytest.approx(29)]  # a lost cluster: no third is expected


@pytest.mark.parametrize("found", [3, 9, 12])
def test_the_second_of_two_passes_of_one_name_is_resumed(found: int, now: list[float]) -> None:
    run = Schedule([("moments", 60.0), ("moments", 60.0), ("results", 3.0)])
    left_after(run, now, one_by_one(0, "moments", 3, 20))
    events = [(60 + 5.0 * k, "moments", found + k, 12) for k in range(13 - found)]
    assert left_after(run, now, events) == pytest.approx([3 + 5 * (12 - done) for _, _, done, _ in events])


def test_passes_of_one_task(now: list[float]) -> None:
    """One after the other, or side by side on threads: each has its stage."""
    stages = [*[("moments", 10.0)] * 12, ("results", 3.0)]
    events = [event for k in range(12) for event in one_by_one(10 * k, "moments", 1, 10)]
    assert left_after(Schedule(stages), now, events) == pytest.approx([123 - second for second, *_ in events])
    run = Schedule([*[("moments", 10.0)] * 6, ("results", 3.0)])
    rounds = [
        (10.0 * k + wait, "moments", done, 1)
        for k in range(3)
        for wait, done in ((0, 0), (0, 0), (10, 1), (10, 1))
    ]
    left = left_after(run, now, rounds)
    assert left[1] == pytest.approx(63)
    assert left[-1] == pytest.approx(3, rel=0.5)
    assert all(shown >= 3 * 0.5 for shown in left)


@pytest.mark.parametrize("workers", [2, 16])
def test_tasks_of_many_workers_end_together(workers: int, now: list[float]) -> None:
    """Ten rounds of tasks of 30 s: the first that ends speaks for all of its round, which end with it."""
    n_tasks = 10 * workers
    run = Schedule([("permutations", 300.0), ("results", 3.0)])
    events = [(0.0, "permutations", 0, n_tasks)]
    events += [
        (30.0 * (k // workers + 1) + k % workers / 16, "permutations", k + 1, n_tasks) for k in range(n_tasks)
    ]
    left = left_after(run, now, events)
    for (second, _, done, _), shown in zip(events, left, strict=True):
        about_a_round = pytest.approx(303 - second, rel=0.45, abs=40)
        assert shown == about_a_round, done
    assert left[n_tasks // 2] == pytest.approx(303 - 150, rel=0.2)


def test_compilation_is_no_sign_of_a_slow_machine(now: list[float]) -> None:
    """Half a minute of compilation for what takes a second: later stages and later jobs are as they were."""
    stages = [("moments", 0.9), ("permutations", 1.0), ("results", 2.5), ("later runs", 300.0)]
    cold = [*one_by_one(0, "moments", 1, 25), (25, "permutations", 0, 10), (50, "permutations", 1, 10)]
    cold += [(50 + 0.1 * k, "permutations", 1 + k, 10) for k in range(1, 10)]
    assert left_after(Schedule(stages), now, cold)[-1] == pytest.approx(302.5)
    assert max(left_after(Schedule(stages), now, cold)) < 304.4 + 25


def test_no_expectation_grows_tenfold(now: list[float]) -> None:
    """A first stage that takes as long as it likes: of the others no more is believed than of a slow machine."""
    for seconds in (5.0, 500.0, 50_000.0):
        run = Schedule([("moments", 1e-9), ("permutations", 100.0)])
        assert left_after(run, now, one_by_one(0, "moments", 100, seconds / 100))[-1] <= 500


def test_threads_report_at_one_time() -> None:
    run = Schedule([("moments", 1.0)] * 400)

    def one_pass(number: int) -> list[float | None]:
        return [run.report("moments", done, 1)[1] for done in (0, 1)]

    with ThreadPoolExecutor(8) as pool:
        left = [seconds for both in pool.map(one_pass, range(400)) for seconds in both]
    assert min(left) >= 0
    assert run.report("moments", 0, 1)[1] is None  # every stage had its pass


class Kept(TimedProgress):
    """Keeps what would be shown."""

    def __init__(self, *arguments: float, **options: Schedule) -> None:
        super().__init__(*arguments, **options)
        self.shown: list[tuple[str, int, int, float | None]] = []

    def show(self, work: PassProgress, seconds_left: float | None) -> None:
        self.shown.append((work.label, work.n_done, work.n_tasks, seconds_left))


def test_progress_counts_the_runs_that_follow(now: list[float]) -> None:
    progress = Kept(20.0)
    progress("screen", 0, 2)  # before its own stages are known
    progress.expect([("moments", 4.0)])
    for second, label, n_done, n_tasks in one_by_one(0, "moments", 4, 1)[:2]:
        now[0] = second
        progress(label, n_done, n_tasks)
    assert progress.shown == [
        ("screen", 0, 2, 20.0),
        ("moments", 0, 4, 24.0),
        ("moments", 1, 4, pytest.approx(23)),
    ]


def test_the_pace_of_one_run_counts_in_the_next(now: list[float]) -> None:
    shared = Schedule()
    first = Kept(1000.0, schedule=shared)
    first.expect([("permutations", 1000.0), ("results", 8.0)])
    for second, label, n_done, n_tasks in one_by_one(0, "permutations", 100, 20):
        now[0] = second
        first(label, n_done, n_tasks)
    second_run = Kept(schedule=shared)
    second_run.expect([("permutations", 1000.0)])
    second_run("permutations", 0, 100)
    assert second_run.shown[-1][3] == pytest.approx(2000, rel=0.05)  # nothing of the first run is left
