"""Nothing that is shown ends a run: encodings, closed pipes, full disks, odd terminals, odd names, broken figures."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine import terminal
from engine.report import figure_style
from engine.report.outputs.output import FigureOutput, JobReport, Output
from engine.runtime.journal import Journal
from engine.stages import job_files

Command = Callable[..., tuple[int, str, str]]
DYADID = Path(sys.executable).with_name("dyadid")
JOBS = Path(__file__).parents[1] / "jobs"
FILES = {"table.txt", "coefficients.png", "manifest.json", "estimates.parquet"}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """Two cells, fewest errors; a title with all that a narrow encoding lacks."""
    path = tmp_path / "small.yaml"
    path.write_text(
        f"extends: {JOBS / 'euro.yaml'}\njob: small\ntitle: 'R² – é :smile: [/red] [b]x[/b]'\n"
        "model: {errors: [pair]}\nsweep: {model.controls: [[], [size]]}\n",
        encoding="utf-8",
    )
    return path


def dyadid(folder: Path, *argv: str, stdout: Any = subprocess.PIPE, **variables: str) -> Any:
    environment = {**os.environ, **variables}
    return subprocess.run(
        [sys.executable, "-m", "engine.cli", *argv],
        cwd=folder,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment,
        timeout=120,
    )


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONIOENCODING": "gbk"},
        {"PYTHONIOENCODING": "big5:strict"},
        {"PYTHONIOENCODING": "ascii:strict"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "dumb", "COLUMNS": "1"},
    ],
    ids=["gbk", "big5", "ascii", "no locale, dumb, one column"],
)
def test_any_encoding_and_terminal(job: Path, tmp_path: Path, variables: dict[str, str]) -> None:
    done = dyadid(tmp_path, "run", job.name, "--out", "out", **variables)
    assert (done.returncode, done.stderr) == (0, b"")
    encoding = variables.get("PYTHONIOENCODING", "ascii").split(":")[0]
    said = done.stdout.decode(encoding)
    assert "R2 " in said
    assert ":smile: [/red] [b]x[/b]" in said
    assert "report: out/report.html" in said
    assert {path.name for path in (tmp_path / "out" / "small").iterdir()} >= FILES


def test_a_full_disk_behind_standard_output_loses_no_file_and_is_told(job: Path, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = dyadid(tmp_path, "run", job.name, "--out", "out", stdout=full)
    assert done.returncode == 1
    assert done.stderr == b"failed: standard output: [Errno 28] No space left on device\n"
    assert {path.name for path in (tmp_path / "out" / "small").iterdir()} >= FILES
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_reader_who_leaves_early_loses_no_file(job: Path, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "wb") as nobody:
        done = dyadid(tmp_path, "run", job.name, "--out", "out", stdout=nobody)
    assert (done.returncode, done.stderr) == (1, b"")
    assert (tmp_path / "out" / "report.html").is_file()


def test_closed_standard_streams(job: Path, tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m engine.cli run {job.name} --out out >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, timeout=120).returncode == 0
    assert (tmp_path / "out" / "report.html").is_file()


def test_text_is_shown_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stdout", shown)
    screen = terminal.Screen(terminal.Stream("stdout"))
    for text in (
        "builtin:euro: row 2",
        "A:100:B",
        "[red]x[/red]",
        "[/]",
        "[link=http://x]y",
        "1.5 'quoted' True",
    ):
        screen.print(text)
    screen.print("\x1b[31mred\x07 \u202ereversed \ud800", style="red")
    assert shown.getvalue().splitlines() == [
        "builtin:euro: row 2", "A:100:B", "[red]x[/red]", "[/]", "[link=http://x]y", "1.5 'quoted' True",
        "\\x1b[31mred\\x07 \\u202ereversed \\ud800",
    ]  # fmt: skip


def test_a_bar_shows_labels_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal, "err", terminal.Screen(terminal.Stream("stderr")))
    ticks = iter(range(0, 1000, 3))
    monkeypatch.setattr(terminal.time, "perf_counter", lambda: float(next(ticks)))
    with terminal.progress_shown() as tell:
        for done in range(1, 4):
            tell("[/] :smile: \x07{x}", done, 10)
    assert "[/] :smile: \\x07{x}" in shown.getvalue()


def test_names_that_are_no_utf8_are_logged_as_escapes(tmp_path: Path) -> None:
    Journal(tmp_path, "j").note("run started", where="a\udcffb")
    line = (tmp_path / "log.jsonl").read_text(encoding="utf-8")
    assert "a\\udcffb" in line
    assert json.loads(line)["where"] == "a\udcffb"


def test_a_figure_that_fails_loses_no_number_and_the_next_run_draws_it(
    job: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> bytes:
        raise ValueError("no font can be read")

    (tmp_path / "other.yaml").write_text(f"extends: {job}\njob: other\nsweep: null\n")
    with monkeypatch.context() as patched:
        patched.setattr(job_files, "figure_bytes", fail)
        code, out, err = command("run", job.name, "other.yaml", "--out", "out")
    log = Path("out/small/.dyadid/errors.log")
    assert code == 1
    assert err == (
        f"failed: out/small: a figure could not be drawn (no font can be read); the traceback is in {log}\n"
    )
    assert "ValueError: no font can be read" in log.read_text()
    assert "other: " in out
    assert len(pd.read_parquet("out/small/estimates.parquet"))
    assert "other" in Path("out/report.html").read_text(encoding="utf-8")
    code, out, err = command("run", job.name, "--out", "out")
    assert (code, err) == (0, "")
    assert Path("out/small/coefficients.png").is_file()


def test_figures_that_fail_while_they_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One output raises; the others are drawn."""
    from matplotlib.figure import Figure

    def fail(*_: object, **__: object) -> Any:
        raise RuntimeError("cannot lay out the axes")
        yield

    placebo = FigureOutput("placebo", "Title", "text", Figure())
    outputs = [Output(reads=(), figures=fail), Output(reads=(), figures=lambda _: [placebo])]
    monkeypatch.setattr(job_files, "outputs_of", lambda _: outputs)
    monkeypatch.setattr(job_files, "figure_bytes", lambda *_: b"drawn")
    undrawn = job_files.write_figures(JobReport({}, {}), tmp_path)
    assert len(undrawn) == 1
    assert "cannot lay out the axes" in undrawn[0]
    assert json.loads((tmp_path / "figures.json").read_text())[0]["name"] == "placebo"
    assert (tmp_path / "placebo.pdf").read_bytes() == b"drawn"


def test_titles_with_mathematics_and_control_characters_are_drawn() -> None:
    from matplotlib.figure import Figure

    with figure_style.figure_style():
        figure = Figure()
        figure.subplots().set_title("$x_{ \x1b[31m \u202e $ \x00")
    assert figure_style.figure_bytes(figure, "png")[:4] == b"\x89PNG"
