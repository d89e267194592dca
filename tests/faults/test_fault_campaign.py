"""Runs end in the same tables whatever happens to them: a fault of each kind here, 200 with ``-m slow``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fault_campaign import OUTCOMES, VIOLATION, Ended, opened, run_all, table
from fault_kinds import FAULTS

pytestmark = pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="looks for processes in /proc")


def broken(folder: Path, *, runs: int, seed: int, stop_seconds: float) -> list[Ended]:
    names = [list(FAULTS)[number % len(FAULTS)] for number in range(runs)]
    with opened(folder, seed=seed, stop_seconds=stop_seconds) as campaign:
        ended = list(run_all(campaign, names))
    print(table(ended))
    assert len(ended) == runs
    return [one for one in ended if one.outcome == VIOLATION]


def test_a_fault_of_each_kind(tmp_path: Path) -> None:
    """By this seed the clock goes back by 400 days for driver and workers in the middle of a pass."""
    assert broken(tmp_path, runs=len(FAULTS), seed=73, stop_seconds=2.0) == []


@pytest.mark.slow
def test_two_hundred_faults(tmp_path: Path) -> None:
    assert broken(tmp_path, runs=200, seed=0, stop_seconds=10.0) == []


def test_the_table_counts_every_run_once() -> None:
    ended = [
        Ended(number, fault, outcome, 1.0, 0, {}, "")
        for number, (fault, outcome) in enumerate([(f, o) for f in FAULTS for o in OUTCOMES[:4]])
    ]
    *_, last = table(ended).splitlines()
    assert last == "| all | 40 | 10 | 10 | 10 | 10 |"
