"""Progress on a terminal, in a log, in a notebook and in the record that `dyadid status` reads."""

from __future__ import annotations

import io
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from engine import terminal
from engine.api import notebook_progress
from engine.notes import Note, note_record
from engine.report.language.wording import ENGLISH, words_of
from engine.runtime import schedule
from engine.runtime.files import STATE, locked
from engine.runtime.journal import PROGRESS, Journal
from engine.stages.run_status import log_lines, status_lines

ENGINE = Path(terminal.__file__).parent


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    seconds = [0.0]
    for module in (terminal, schedule, notebook_progress):
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: seconds[0]))
    return seconds


def screen(monkeypatch: pytest.MonkeyPatch, *, terminal_of_people: bool) -> io.StringIO:
    shown = io.StringIO()
    monkeypatch.setattr(terminal, "err", Console(file=shown, force_terminal=terminal_of_people, width=100))
    return shown


def test_bars_on_a_terminal_after_two_seconds(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> None:
    shown = screen(monkeypatch, terminal_of_people=True)
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


def test_a_bar_of_a_single_task_comes_without_a_report_and_counts_down(
    monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    shown = screen(monkeypatch, terminal_of_people=True)
    with terminal.progress_shown() as progress:
        progress.expect([("permutations", 60.0), ("results", 3.0)])
        progress("permutations", 0, 1)
        now[0] = 33.0
        time.sleep(0.3)
        assert "0/1" in shown.getvalue()
        assert "about 30 s left" in shown.getvalue()


def test_the_bar_of_a_second_pass_of_one_name_has_its_own_total(
    monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    shown = screen(monkeypatch, terminal_of_people=True)
    with terminal.progress_shown() as tell:
        for n_done in range(4):
            tell("moments", n_done, 3)
        tell("moments", 9, 12)
        now[0] = 3.0
        tell("moments", 10, 12)
        time.sleep(0.3)
        assert "10/12" in shown.getvalue()
        assert "/3" not in shown.getvalue()


def test_lines_every_half_minute_where_there_is_no_terminal(
    monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    shown = screen(monkeypatch, terminal_of_people=False)
    with terminal.progress_shown() as tell:
        for second in range(1, 101):
            now[0] = float(second)
            tell("permutations", second + 1000, 2000)
    assert shown.getvalue().splitlines() == [
        "permutations: 1,030 of 2,000, 1 a second, about 16 min left",
        "permutations: 1,060 of 2,000, 1 a second, about 16 min left",
        "permutations: 1,090 of 2,000, 1 a second, about 15 min left",
    ]


def test_what_is_left_counts_all_stages_and_later_runs(
    monkeypatch: pytest.MonkeyPatch, now: list[float]
) -> None:
    shown = screen(monkeypatch, terminal_of_people=False)
    with terminal.progress_shown(later=600.0) as progress:
        progress.expect([("permutations", 100.0), ("bootstrap", 300.0)])
        for second in range(51):
            now[0] = float(second)
            progress("permutations", second, 100)
    assert shown.getvalue().splitlines() == ["permutations: 30 of 100, 1 a second, about 16 min left"]


def test_lines_of_passes_of_a_single_task(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> None:
    shown = screen(monkeypatch, terminal_of_people=False)
    with terminal.progress_shown() as progress:
        progress.expect([("moments", 40.0)] * 3)
        for number in range(3):
            for done in (0, 1):
                now[0] = 40.0 * (number + done)
                progress("moments", done, 1)
    assert shown.getvalue().splitlines() == [
        "moments: 0 of 1, about 80 s left",
        "moments: 0 of 1, about 40 s left",
    ]


@pytest.mark.parametrize("terminal_of_people", [False, True])
def test_passes_side_by_side(terminal_of_people: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that report passes of one name at one time: no report fails."""
    screen(monkeypatch, terminal_of_people=terminal_of_people)
    monkeypatch.setattr(terminal, "_LINE_SECONDS", 0.0)
    with terminal.progress_shown() as progress, ThreadPoolExecutor(8) as pool:
        progress.expect([("moments", 1.0)] * 200)
        reports = [pool.submit(lambda: [progress("moments", done, 1) for done in (0, 1)]) for _ in range(200)]
        assert all(report.exception() is None for report in reports)


def test_a_notebook_shows_a_long_run_at_once(monkeypatch: pytest.MonkeyPatch, now: list[float]) -> None:
    written: list[str] = []
    bar = notebook_progress._Bar()
    monkeypatch.setattr(bar, "write", written.append)
    now[0] = 100.0
    bar.expect([("moments", 3.0)])
    bar("moments", 0, 1)
    assert not written
    bar.expect([("permutations", 60.0)])
    bar("permutations", 0, 1)
    assert written == ['<progress value="0" max="1"></progress> permutations: 0 of 1, about 60 s left']


def test_the_record_has_a_pass_from_its_beginning(tmp_path: Path, now: list[float]) -> None:
    journal = Journal(tmp_path, "table1")
    with journal.kept():
        journal.schedule.expect([("permutations", 60.0), ("results", 3.0)])
        journal.progress("permutations", 0, 1)
        record = json.loads((tmp_path / PROGRESS).read_text())
    assert (record["label"], record["done"], record["total"]) == ("permutations", 0, 1)
    assert record["seconds_left"] == 63.0
    assert record["estimated"] <= record["updated"]


def test_progress_is_in_the_language_of_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], now: list[float]
) -> None:
    """Lines in a log, and the bar of a notebook; a label without a word stays as it is."""
    words, written = words_of("zh"), list[str]()
    with terminal.progress_shown(words=words) as progress:
        progress.expect([("permutations", 60.0)])
        for label in ("permutations", "something new"):
            progress(label, 0, 4)
            now[0] += 31.0
            progress(label, 1, 4)
    first, second = capsys.readouterr().err.splitlines()
    assert re.fullmatch("置换：1/4、每秒 0.032、约剩 [0-9]+ 秒", first)
    assert second.startswith("something new：1/4、")
    bar = notebook_progress._Bar(words)
    monkeypatch.setattr(bar, "write", written.append)
    now[0] += 100.0
    bar.expect([("permutations", 60.0)])
    bar("permutations", 0, 1)
    assert written == ['<progress value="0" max="1"></progress> 置换：0/1、约剩 60 秒']


def test_every_label_of_a_pass_has_its_chinese() -> None:
    """Labels are literals where passes begin."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in sorted(ENGINE.glob("stages/**/*.py")))
    labels = {*re.findall(r'[( ]label="([^"]+)"', source), "screen", "bootstrap"}
    passes = {label for label in labels if label.islower()}
    assert len(passes) > 12
    assert {label for label in passes if f"pass:{label}" not in words_of("zh").fixed} == set()


def test_status_of_a_run_that_goes_on(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "zh" / STATE, "zh", "zh")
    (tmp_path / "zh" / STATE).mkdir(parents=True)
    with journal.kept(), locked(tmp_path / "zh" / STATE):
        journal.told(**note_record("where", Note.of("this_process", threads=2), ENGLISH.note))
        journal.schedule.expect([("permutations", 60.0)])
        journal.progress("permutations", 1, 1000)
        [line] = status_lines(tmp_path)
    parts = line.split("、")
    assert parts[:2] == ["zh：运行中", "置换 1/1,000"]
    assert re.search("[\u4e00-\u9fff]", parts[3])
    assert not any("where" in text and "{" in text for _, text in log_lines(tmp_path))
