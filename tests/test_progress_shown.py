"""Progress on a terminal, and in a log."""

from __future__ import annotations

import io
import time
from types import SimpleNamespace

import pytest
from rich.console import Console

from engine import terminal
from engine.runtime import schedule


def test_bars_on_a_terminal_after_two_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, now = io.StringIO(), [0.0]
    monkeypatch.setattr(terminal, "err", Console(file=shown, force_terminal=True, width=100))
    monkeypatch.setattr(terminal, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    with terminal.progress_shown() as tell:
        tell("moments", 1, 10)
        now[0] = 1.9
        tell("moments", 2, 10)
        time.sleep(0.3)  # the screen is drawn ten times a second
        assert "moments" not in shown.getvalue()
        now[0] = 2.1
        tell("moments", 3, 10)
        time.sleep(0.3)
        assert "3/10" in shown.getvalue()


def test_lines_every_half_minute_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, now = io.StringIO(), [0.0]
    monkeypatch.setattr(terminal, "err", Console(file=shown, width=100))
    for module in (terminal, schedule):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    with terminal.progress_shown() as tell:
        for second in range(1, 101):
            now[0] = float(second)
            tell("permutations", second + 1000, 2000)
    assert shown.getvalue().splitlines() == [
        "permutations: 1,030 of 2,000, 1 a second, about 16 min left",
        "permutations: 1,060 of 2,000, 1 a second, about 16 min left",
        "permutations: 1,090 of 2,000, 1 a second, about 15 min left",
    ]


def test_what_is_left_counts_all_stages_and_later_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    shown, now = io.StringIO(), [0.0]
    monkeypatch.setattr(terminal, "err", Console(file=shown, width=100))
    for module in (terminal, schedule):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    with terminal.progress_shown(later=600.0) as progress:
        progress.expect([("permutations", 100.0), ("bootstrap", 300.0)])
        for second in range(51):
            now[0] = float(second)
            progress("permutations", second, 100)
    assert shown.getvalue().splitlines() == ["permutations: 30 of 100, 1 a second, about 16 min left"]
