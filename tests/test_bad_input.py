"""Everything a user can get wrong, through the command: message, exit code 2, before any pass, no file touched."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bad_data import CITIES, PAIRS, PANEL, RUN, TABLES, Bad, Frame, cities, trade

from engine.runtime import clusters

Command = Callable[..., tuple[int, str, str]]

BOMB = "a: &a [x, x]\n" + "".join(
    f"{n}: &{n} [*{p}, *{p}]\n" for p, n in zip("abcdefgh", "bcdefghi", strict=True)
)

SPEC = {
    "unknown key": Bad(
        ("job.yaml: modle: unknown key 'modle', did you mean 'model'?",), add="modle: {estimator: twfe}"
    ),
    "wrong type": Bad(("job.yaml: years[0]: must be a whole number (got '2010')",), add="years: ['2010', 2019]"),
    "wrong choice": Bad(
        ("job.yaml: treatment.rule: must be 'exactly_one', 'both', 'either' or 'count' (got 'one')",),
        swap=("rule: exactly_one", "rule: one"),
    ),
    "no such job": Bad(("gone.yaml: no such file", "check the path"), argv=("run", "gone.yaml", "--out", "out")),
    "folder without jobs": Bad(
        ("empty: no job file (*.yaml, *.yml) in this folder",),
        files=lambda f: (f / "empty").mkdir(),
        argv=("run", "empty", "--out", "out"),
    ),
    "circle": Bad(
        ("other.yaml: extends: files extend each other in a circle: job.yaml -> other.yaml -> job.yaml",
         "hint: take one 'extends' out"),
        add="extends: other.yaml",
        files=lambda f: (f / "other.yaml").write_text("job: other\nextends: job.yaml\n"),
    ),
    "extends nothing": Bad(
        ("job.yaml: extends: there is no file gone.yaml", "hint: 'extends' is relative to the file that says it"),
        add="extends: gone.yaml",
    ),
    "error in the base": Bad(
        ("base.yaml: model.base: must be a whole number (got 'x')",),
        add="extends: base.yaml",
        files=lambda f: (f / "base.yaml").write_text("job: base\nmodel: {base: x}\n"),
    ),
    "YAML tag": Bad(
        ("job.yaml, line 8, column 8: tag 'tag:yaml.org,2002:python/object/apply:os.system' is refused",
         "hint: write the plain value"),
        add="title: !!python/object/apply:os.system ['touch owned']",
    ),
    "YAML alias bomb": Bad(("job.yaml, line 1, column 4: anchor '&a' is refused", "hint: "), job=BOMB),
    "YAML syntax": Bad(
        ("job.yaml, line 8, column 8: not valid YAML", "    years: [2010, 2019", "hint: indent with spaces"),
        add="years: [2010, 2019",
    ),
    "bad --set": Bad(
        ("--set model.contrls: unknown key 'contrls', did you mean 'controls'?",),
        argv=(*RUN, "--set", "model.contrls=[edu]"),
    ),
    "--set without =": Bad(
        ("--set: 'model' is not of the form key=value", "hint: write it like model.confidence=0.9"),
        argv=(*RUN, "--set", "model"),
    ),
    "bad expression": Bad(
        ("job.yaml: controls.edu.neg_abs_log_diff: the expression 'education /' ends after", "hint: allowed are +"),
        swap=("education", "education /"),
    ),
    "unknown function": Bad(
        ("job.yaml: outcome.synchronization: 'mean(gdp)' has no place in the expression", "log(), exp(), sqrt()"),
        swap=("synchronization: gdp", "synchronization: mean(gdp)"),
    ),
    "panel and pair table": Bad(
        ("job.yaml: give either panel or pair_table",), add="pair_table: {source: t, unit_i: a, unit_j: b, year: y}"
    ),
    "two jobs of one name": Bad(
        ("jobs/a.yaml and jobs/b.yaml are both called 'small'", "hint: give each job its own name"),
        files=lambda f: [(f / "jobs").mkdir()] + [(f / "jobs" / n).write_text(PANEL) for n in ("a.yaml", "b.yaml")],
        argv=("run", "jobs", "--out", "out"),
    ),
    "workers and scheduler": Bad(
        ("--workers and --scheduler exclude each other", "hint: each of them says where the workers are"),
        argv=(*RUN, "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"),
    ),
    "scheduler without port": Bad(
        ("--scheduler: no Dask scheduler answers at nowhere (missing port number", "hint: start one with"),
        argv=(*RUN, "--scheduler", "nowhere"),
    ),
    "output is a file": Bad(
        ("--out: cannot write to the output folder out/small: Not a directory", "hint: choose a folder"),
        files=lambda f: (f / "out").write_text("mine"),
    ),
    "output of the job is a file": Bad(
        ("--out: cannot write to the output folder out/small: File exists", "hint: choose a folder"),
        files=lambda f: [(f / "out").mkdir(), (f / "out" / "small").write_text("mine")],
    ),
    "output under /proc": Bad(
        ("--out: cannot write to the output folder /proc/out/small", "hint: choose a folder"),
        argv=("run", "job.yaml", "--out", "/proc/out"),
    ),
    "demo data into a file": Bad(
        ("demo-data DIR: cannot write to the output folder taken: File exists", "hint: choose a folder"),
        files=lambda f: (f / "taken").write_text("mine"),
        argv=("demo-data", "taken"),
    ),
    "report of nothing": Bad(("gone: no such folder", "hint: name a folder that"), argv=("report", "gone")),
    "report of a file": Bad(
        ("job.yaml: this is a file, not a folder", "hint: name a folder that"), argv=("report", "job.yaml")
    ),
    "lag as long as the years": Bad(
        ("model.lag: 10 years of lag leave 0 of the 10 years of the sample", "hint: take a shorter lag"),
        argv=(*RUN, "--set", "model.lag=10"),
    ),
    "lag that leaves one year": Bad(
        ("model.lag: 9 years of lag leave 1 of the 10 years of the sample", "hint: take a shorter lag"),
        argv=(*RUN, "--set", "model.lag=9"),
    ),
    "--set twice": Bad(
        ("--set years: is given twice", "hint: keep one of the two"),
        argv=(*RUN, "--set", "years=[2010, 2011]", "--set", "years=[2010, 2012]"),
    ),
    "report before a run": Bad(
        ("early: no finished job here", "hint: run `dyadid run JOB --out DIR` first"),
        files=lambda f: (f / "early").mkdir(),
        argv=("report", "early"),
    ),
}  # fmt: skip

USAGE = {
    "no such command": (("rnu", "job.yaml"), "No such command 'rnu'. Did you mean 'run'?"),
    "no such option": (
        (*RUN, "--wrkers", "2"),
        "No such option: --wrkers (Possible options: --fresh, --workers)",
    ),
    "no worker": ((*RUN, "--workers", "0"), "Invalid value for '--workers'"),
    "no number": (
        (*RUN, "--workers", "two"),
        "Invalid value for '--workers': Input should be a valid integer",
    ),
    "no job": (("run",), "Missing argument 'JOB...'"),
}


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".dyadid" not in path.parts
    }


def lay_out(bad: Bad, folder: Path, table: Frame, name: str) -> None:
    assert bad.swap[0] in bad.job
    (folder / "job.yaml").write_text(bad.job.replace(*bad.swap) + bad.add + "\n", encoding="utf-8")
    bad.data(table).to_csv(folder / name, index=False)
    bad.files(folder)


def refuse_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("a pass over the pairs has begun")

    monkeypatch.setattr(clusters.Machine, "reduce", too_late)


def judge(bad: Bad, command: Command, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Exit code 2, every part of the message, nothing else on either stream, no file written or changed."""
    if not bad.late:
        refuse_passes(monkeypatch)
    before = snapshot(folder)
    code, out, err = command(*bad.argv)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    for text in bad.says:
        assert text in err
    assert snapshot(folder) == before
    if bad.argv == RUN and not bad.late and "--out" not in err:
        assert command("check", "job.yaml") == (2, "", err)


@pytest.mark.parametrize("kind", SPEC)
def test_jobs_and_commands(kind: str, command: Command, monkeypatch: Any, tmp_path: Path) -> None:
    lay_out(SPEC[kind], tmp_path, cities(), "cities.csv")
    judge(SPEC[kind], command, monkeypatch, tmp_path)


@pytest.mark.parametrize("kind", CITIES)
def test_panels(kind: str, command: Command, monkeypatch: Any, tmp_path: Path) -> None:
    lay_out(CITIES[kind], tmp_path, cities(), "cities.csv")
    judge(CITIES[kind], command, monkeypatch, tmp_path)


@pytest.mark.parametrize("kind", TABLES)
def test_pair_tables(kind: str, command: Command, monkeypatch: Any, tmp_path: Path) -> None:
    bad = Bad(**{**TABLES[kind].__dict__, "job": PAIRS})
    lay_out(bad, tmp_path, trade(), "trade.csv")
    judge(bad, command, monkeypatch, tmp_path)


@pytest.mark.parametrize("kind", USAGE)
def test_usage(kind: str, command: Command) -> None:
    argv, says = USAGE[kind]
    code, out, err = command(*argv)
    assert (code, out) == (2, "")
    assert err.startswith("Usage: dyadid")
    assert says in err


@pytest.mark.parametrize("job", [PANEL, PAIRS])
def test_the_good_jobs_are_good(job: str, command: Command, tmp_path: Path) -> None:
    """Without which every refusal above might be for another reason."""
    lay_out(Bad((), job=job), tmp_path, cities(), "cities.csv")
    trade().to_csv("trade.csv", index=False)
    code, out, err = command("check", "job.yaml")
    assert (code, out.splitlines()[-1], err) == (0, "ok", "")


def test_the_last_job_fails_before_the_first_runs(command: Command, monkeypatch: Any, tmp_path: Path) -> None:
    bad = Bad(
        (), files=lambda f: (f / "worse.yaml").write_text(PANEL.replace("small", "worse") + "years: [1, 2]\n")
    )
    lay_out(bad, tmp_path, cities(), "cities.csv")
    refuse_passes(monkeypatch)
    before = snapshot(tmp_path)
    code, out, err = command("run", ".", "--out", "out")
    assert (code, out) == (2, "")
    assert "worse.yaml: years: [1, 2] reach outside the data" in err
    assert snapshot(tmp_path) == before


def test_earlier_results_survive_a_bad_job(command: Command, monkeypatch: Any, tmp_path: Path) -> None:
    lay_out(Bad((), add="model: {errors: [pair]}"), tmp_path, cities(), "cities.csv")
    assert command(*RUN)[0] == 0
    before = snapshot(tmp_path)
    assert "out/small/manifest.json" in before
    refuse_passes(monkeypatch)
    assert command(*RUN, "--set", "years=[2005, 2019]")[0] == 2
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("listens", [False, True])
def test_no_scheduler_answers(listens: bool, command: Command, monkeypatch: Any, tmp_path: Path) -> None:
    """Nothing at the port, and a server that says nothing, as the dashboard's port would: a second each here."""
    assert clusters.CONNECT_SECONDS <= 10
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 1)
    lay_out(Bad(()), tmp_path, cities(), "cities.csv")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listens:
            server.listen()
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        refuse_passes(monkeypatch)
        before, start = snapshot(tmp_path), time.perf_counter()
        code, out, err = command(*RUN, "--scheduler", address)
    assert time.perf_counter() - start < 10  # 1 s to connect, 1 s of grace, the import of Dask
    assert (code, out) == (2, "")
    assert err.startswith(f"error: --scheduler: no Dask scheduler answers at {address} (")
    assert "hint: start one with `dask scheduler`" in err
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("kind", ["missing column", "text in a number column", "two cities at one place"])
def test_the_installed_command(kind: str, tmp_path: Path) -> None:
    """The same through the real process: exit code, one message, no traceback."""
    dyadid = Path(sys.executable).with_name("dyadid")
    found = str(dyadid) if dyadid.exists() else shutil.which("dyadid")
    assert found, "the command is not installed"
    lay_out(CITIES[kind], tmp_path, cities(), "cities.csv")
    before = snapshot(tmp_path)
    done = subprocess.run([found, *RUN], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 2  # the error and its remedy
    for text in CITIES[kind].says:
        assert text in done.stderr
    assert snapshot(tmp_path) == before
