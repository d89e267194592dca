"""How long a run will go on: expectations, corrected by what has been."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.runtime import schedule
from engine.runtime.schedule import Schedule, TimedProgress

STAGES = [("moments", 2.0), ("permutations", 100.0), ("bootstrap", 50.0), ("results", 8.0)]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    monkeypatch.setattr(schedule, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    return seconds


def test_a_run_as_fast_as_expected(now: list[float]) -> None:
    run = Schedule(STAGES)
    for second in range(1, 101):
        now[0] = second + 2.0
        if second == 1:
            now[0] = 2.0
            assert run.seconds_left("permutations", 0, 100) is None  # nothing is done yet
            now[0] = 3.0
        left = run.seconds_left("permutations", second, 100)
        assert left == pytest.approx(160 - now[0])


@pytest.mark.parametrize("pace", [0.3, 4.0])
def test_a_machine_of_another_speed(pace: float, now: list[float]) -> None:
    run = Schedule(STAGES)
    now[0] = 2 * pace
    run.seconds_left("permutations", 0, 100)
    now[0] = (2 + 40) * pace
    assert run.seconds_left("permutations", 40, 100) == pytest.approx((160 - 42) * pace)
    now[0] = 102 * pace
    run.seconds_left("bootstrap", 0, 10)
    now[0] = 127 * pace
    assert run.seconds_left("bootstrap", 5, 10) == pytest.approx(33 * pace)


def test_what_a_store_had_says_nothing_of_the_speed(now: list[float]) -> None:
    run = Schedule([("permutations", 100.0)])
    assert run.seconds_left("permutations", 900, 1000) is None
    now[0] = 5.0
    assert run.seconds_left("permutations", 910, 1000) == pytest.approx(45)


def test_passes_that_nobody_expected(now: list[float]) -> None:
    run = Schedule()
    run.seconds_left("scores", 0, 4)
    now[0] = 3.0
    assert run.seconds_left("scores", 1, 4) == pytest.approx(9)
    run = Schedule(STAGES)
    now[0] = 4.0
    run.seconds_left("scores", 1, 4)  # before any expected pass: all of these are to come
    now[0] = 5.0
    assert run.seconds_left("scores", 2, 4) == pytest.approx(2 + 160)


def test_a_pass_is_made_again_and_two_of_one_name_follow_each_other(now: list[float]) -> None:
    run = Schedule([("bootstrap", 10.0), ("bootstrap", 30.0)])
    for done in (1, 10):
        now[0] = float(done)
        left = run.seconds_left("bootstrap", done, 10)
    assert left == pytest.approx(30)
    now[0] = 11.0
    run.seconds_left("bootstrap", 1, 30)
    now[0] = 21.0
    assert run.seconds_left("bootstrap", 11, 30) == pytest.approx(19)
    run.seconds_left("bootstrap", 1, 30)  # a lost cluster: no third is expected
    now[0] = 22.0
    assert run.seconds_left("bootstrap", 2, 30) == pytest.approx(28)


def test_no_pace_is_believed_that_no_machine_has(now: list[float]) -> None:
    run = Schedule([("moments", 1e-9), ("permutations", 10.0)])
    run.seconds_left("moments", 0, 2)
    now[0] = 5.0
    assert run.seconds_left("moments", 1, 2) == pytest.approx(5 + 100)


def test_progress_counts_the_runs_that_follow(now: list[float]) -> None:
    lines: list[tuple[str, int, int, float | None]] = []

    class Kept(TimedProgress):
        def show(self, label: str, n_done: int, n_tasks: int, seconds_left: float | None) -> None:
            lines.append((label, n_done, n_tasks, seconds_left))

    progress = Kept(later=20.0)
    progress.expect([("moments", 4.0)])
    progress("moments", 0, 4)
    now[0] = 1.0
    progress("moments", 1, 4)
    assert lines == [("moments", 0, 4, None), ("moments", 1, 4, pytest.approx(3 + 20))]
