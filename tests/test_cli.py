"""The ``dyadid`` command when all is well, and when the user, the disk or the reader ends it early."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest

import engine
from engine import interrupts, job_runs, pipeline
from engine.cities import builtin
from engine.errors import InputError, RunError
from engine.notes import Note, notes_record, of_cell
from engine.report.language.wording import ENGLISH
from engine.runtime.source_code import package_version
from engine.spec import load_job
from engine.tables.read import read_table

JOBS = Path(__file__).parents[1] / "jobs"
EURO, TABLE_1 = str(JOBS / "euro.yaml"), str(JOBS / "table1_baseline.yaml")
DYADID = Path(sys.executable).with_name("dyadid")
FILES = {
    "estimates.parquet", "covariance.parquet", "manifest.json", "validation.json", "figures.json",
    "table.txt", "table.tex", "table.html", "table.csv", "coefficients.pdf", "coefficients.png",
}  # fmt: skip

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def euro(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The euro job run once by the installed command: its output folder, and what it said."""
    out = tmp_path_factory.mktemp("euro") / "deep" / "out"
    argv = [str(DYADID), "run", EURO, "--out", str(out)]
    return out, subprocess.run(argv, capture_output=True, text=True, timeout=120)


def files(folder: Path) -> set[str]:
    return {
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and ".dyadid" not in path.parts
    }


def test_check_reports_data_and_filters(command: Command) -> None:
    code, out, err = command("check", TABLE_1)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"{TABLE_1}: table1_baseline, 6 cells"
    assert lines[1].startswith("SYNTHETIC")
    assert lines[-5:] == [
        "adoption: 2015: 1, 2016: 12, 2018: 21, 2019: 21, never: 199",
        "all pairs of 254 units: 32,131 pairs, 321,310 rows",
        "both-treated pairs excluded: 30,646 pairs, 306,460 rows",
        "gravity above its median: 15,323 pairs, 153,230 rows",
        "ok",
    ]


def test_plan_counts_cells_pairs_and_tiles(command: Command) -> None:
    code, out, err = command("plan", TABLE_1, "--set", "runtime.tile=64")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"{TABLE_1}: table1_baseline, 6 cells in 1 pass"
    assert [line.split()[0] for line in lines[1:7]] == ["1", "2", "3", "4", "5", "6"]
    assert lines[1].endswith("  twfe  model.controls=none")
    assert lines[7].startswith("pass 1: 6 cells, 15,323 of 32,131 pairs, 153,230 rows, ")
    assert lines[8].startswith("  10 tiles in ")  # four blocks of 64 cities: 4 * 5 / 2
    assert lines[9].startswith("about ")
    assert " from start to end on two cores, compilation aside" in lines[9]
    assert len(lines) == 10


def test_a_folder_is_all_its_jobs(command: Command) -> None:
    code, out, _ = command("plan", str(JOBS))
    names = [line.split(": ")[1].split(",")[0] for line in out.splitlines() if line.startswith(str(JOBS))]
    assert code == 0
    jobs = [load_job(path).job.job for path in JOBS.rglob("*.yaml")]
    assert sorted(names) == sorted(jobs)


def test_schema_is_json(command: Command) -> None:
    code, out, err = command("schema")
    assert (code, err) == (0, "")
    assert json.loads(out)["required"] == ["job"]


def test_version(command: Command) -> None:
    code, out, _ = command("--version")
    assert (code, out) == (0, f"dyadid {package_version('dyadid')}\n")


def test_keys_are_the_key_reference(command: Command) -> None:
    code, out, err = command("keys")
    assert (code, err) == (0, "")
    assert out == (JOBS / "KEYS.md").read_text(encoding="utf-8")


def test_demo_data_are_the_builtin_data(command: Command, tmp_path: Path) -> None:
    code, out, err = command("demo-data", "demo")
    expected = {f"{name}.{ending}" for name in builtin.NAMES for ending in ("parquet", "csv", "yaml")}
    assert (code, err) == (0, "")
    assert {Path(line).name for line in out.splitlines()} == files(tmp_path / "demo") == expected
    for name in builtin.NAMES:
        frame = builtin.load(name)
        pd.testing.assert_frame_equal(pd.read_parquet(f"demo/{name}.parquet"), frame, check_exact=True)
        pd.testing.assert_frame_equal(read_table(Path(f"demo/{name}.csv")), frame, check_exact=True)
    code, out, err = command("check", "demo")
    assert (code, out.splitlines().count("ok"), err) == (0, len(builtin.NAMES), "")


def test_run_writes_what_python_gives(euro: Any) -> None:
    out, done = euro
    assert (done.returncode, done.stderr) == (0, "")  # and no bars, for this is no terminal
    assert files(out) == {f"euro/{name}" for name in FILES} | {"report.html"}
    results = engine.run(EURO)
    written = pd.read_parquet(out / "euro" / "estimates.parquet")
    pd.testing.assert_frame_equal(written, results.estimates, check_exact=True)  # one program, one tiling
    table = (out / "euro" / "table.txt").read_text(encoding="utf-8")
    assert done.stdout.startswith(table)
    last = done.stdout.splitlines()[-2:]
    assert last[0].startswith("euro: ")
    assert last[0].endswith(f" s, written to {out / 'euro'}")
    assert last[1] == f"report: {out / 'report.html'}"


def test_a_warning_of_many_cells_is_printed_once(capsys: pytest.CaptureFixture[str]) -> None:
    exact = Note("effects_exact")
    warnings = [
        Note.of("cities_dropped", count=2, total=9, cities=["A", "B"], more=[]),
        *(of_cell(f"x={number}", exact) for number in range(5)),
        of_cell("x=1", Note.of("few_adopters", count=3)),
    ]
    manifest = notes_record("warning", warnings, ENGLISH.note)
    results = SimpleNamespace(job="a", folder=None, reused=False, frames={}, manifest=manifest)
    job_runs.show(results, 1.0)  # type: ignore[arg-type]
    assert [" ".join(text.split()) for text in capsys.readouterr().err.split("warning: ")[1:]] == [
        "2 of 9 cities were dropped: A; B",
        f"{ENGLISH.note(warnings[1])} (and 4 more of its cells)",
        ENGLISH.note(warnings[-1]),
    ]


def test_report_makes_everything_again(euro: Any, command: Command, tmp_path: Path) -> None:
    made, copy = euro[0], tmp_path / "copy"
    (copy / "euro").mkdir(parents=True)
    for name in ("estimates.parquet", "covariance.parquet", "manifest.json", "validation.json"):
        (copy / "euro" / name).write_bytes((made / "euro" / name).read_bytes())
    code, out, err = command("report", "copy")
    assert (code, out, err) == (0, "report: copy/report.html\n", "")
    assert files(copy) == files(made)
    for name in ("table.txt", "table.tex", "table.html", "table.csv", "figures.json"):
        assert (copy / "euro" / name).read_bytes() == (made / "euro" / name).read_bytes()


def test_report_has_numbered_tables_first(euro: Any, command: Command, tmp_path: Path) -> None:
    titles = [
        "Another outcome",
        "Figure 1. Years",
        "Table 10. Tenth",
        "Table 2. Second",
        "Table of other things",
    ]
    for number, title in enumerate(titles):
        job = tmp_path / "several" / f"job{number}"
        job.mkdir(parents=True)
        for name in ("estimates.parquet", "covariance.parquet", "validation.json"):
            (job / name).write_bytes((euro[0] / "euro" / name).read_bytes())
        manifest = json.loads((euro[0] / "euro" / "manifest.json").read_text(encoding="utf-8"))
        (job / "manifest.json").write_text(json.dumps(manifest | {"title": title}), encoding="utf-8")
    assert command("report", "several")[0] == 0
    page = (tmp_path / "several" / "report.html").read_text(encoding="utf-8")
    assert sorted(titles, key=page.index) == [titles[k] for k in (3, 2, 1, 0, 4)]


def test_report_speaks_the_language_of_its_jobs(command: Command) -> None:
    for name, lang in (("zh", "zh"), ("en", "en")):
        assert command("run", EURO, "--out", name, "--set", f"lang={lang}")[0] == 0
    assert command("report", "zh", "--docx")[1] == "报告：zh/report.html\n表格：zh/tables.docx\n"
    assert command("report", "zh", "--lang", "en")[1] == "report: zh/report.html\n"
    assert command("report", "en")[1] == "report: en/report.html\n"
    Path("zh/euro/estimates.parquet").unlink()
    code, _, err = command("report", "zh")
    assert code == 2
    assert err.startswith("错误：")


def test_set_overrides(command: Command) -> None:
    code, _, _ = command(
        "run", EURO, "--out", "o", "--set", "model.controls=[size]", "--set", "model.errors=[pair]"
    )
    assert code == 0
    written = pd.read_parquet("o/euro/estimates.parquet")
    assert written[["term", "errors"]].to_numpy().tolist() == [["size", "pair"], ["euro", "pair"]]


@pytest.mark.parametrize("argv", [("check", TABLE_1), ("plan", TABLE_1), ("schema",)])
def test_no_jax_before_a_run(argv: tuple[str, ...]) -> None:
    """Login nodes are slow: under 3 s, in processor time, which other work on this machine does not lengthen."""
    code = (
        "import sys\nfrom engine.cli import main\n"
        f"sys.argv = ['dyadid', *{argv!r}]\nmain()\n"
        "print(*sorted({name.split('.')[0] for name in sys.modules} & {'jax', 'jaxlib'}), file=sys.stderr)"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (done.returncode, done.stderr) == (0, "\n")
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 3


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (RunError("the cluster lost the run"), 1, "failed: the cluster lost the run\n"),
        (
            OSError(28, "No space left on device", "o/x"),
            1,
            "failed: [Errno 28] No space left on device: 'o/x'\n",
        ),
        (
            InputError("is odd", where="k", remedy="make it even"),
            2,
            "error: k: is odd\n  hint: make it even\n",
        ),
    ],
)
def test_failures_are_one_message(
    error: Exception, code: int, message: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(pipeline, "run", fail)
    assert command("run", EURO) == (code, "", message)


def test_an_unexpected_error_is_one_message_and_the_next_job_runs(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Its traceback is in a file, the exit code is 1, and the page has the job that ran."""
    for name in ("first", "second"):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {EURO}\njob: {name}\nsweep: null\n")
    original = pipeline.run

    def fail(job: Path, **options: Any) -> pipeline.Results:
        if job.stem == "first":
            raise ZeroDivisionError("ours :smile: [/red]")
        return original(job, **options)

    monkeypatch.setattr(pipeline, "run", fail)
    code, out, err = command("run", "first.yaml", "second.yaml", "--out", "out")
    log = Path("out/.dyadid/errors.log")
    assert code == 1
    assert err == (
        "failed: first.yaml: unexpected ZeroDivisionError: ours :smile: [/red]\n  hint: this is a fault of dyadid "
        f"or of a library it uses; the traceback is in {log}; please report it\n"
    )
    assert "second: " in out
    assert out.endswith("report: out/report.html\n")
    assert "in fail\n" in log.read_text()
    assert log.read_text().endswith("ZeroDivisionError: ours :smile: [/red]\n\n")


def test_an_unexpected_error_of_other_commands_goes_to_the_cache_folder(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(pipeline, "check", fail)
    code, out, err = command("check", EURO)
    log = tmp_path / "cache" / "dyadid" / "errors.log"
    assert (code, out) == (1, "")
    assert err.startswith("failed: unexpected KeyError: 'ours'\n  hint: ")
    assert str(log) in err
    assert "KeyError: 'ours'" in log.read_text()


def test_wrong_data_of_one_job_leave_the_next(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}.yaml").write_text(f"extends: {EURO}\njob: {name}\nsweep: null\n")
    original = pipeline.run

    def fail(job: Path, **options: Any) -> pipeline.Results:
        if job.stem == "first":
            raise InputError("is odd", where="k", remedy="make it even")
        return original(job, **options)

    monkeypatch.setattr(pipeline, "run", fail)
    code, out, err = command("run", "first.yaml", "second.yaml", "--out", "out")
    assert (code, err) == (2, "error: k: is odd\n  hint: make it even\n")
    assert "second: " in out


def test_help(command: Command) -> None:
    code, out, err = command("--help")
    assert (code, err) == (0, "")
    for name in ("check", "plan", "run", "report", "schema", "keys", "demo-data"):
        assert f"\n  {name} " in out
    assert command()[0] == 2


def test_a_reader_who_leaves() -> None:
    """``dyadid schema | head``: no traceback when nobody reads on."""
    process = subprocess.Popen([DYADID, "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 1


@pytest.mark.parametrize("workers", [(), ("--workers", "2")], ids=["threads", "processes"])
def test_ctrl_c(workers: tuple[str, ...], tmp_path: Path, command: Command) -> None:
    """As a terminal sends it, to all processes at once, in the midst of a run of many minutes."""
    (tmp_path / "big.yaml").write_text(
        f"extends: {TABLE_1}\njob: big\nruntime: {{tile: 8}}\n"
        "panel: {source: 'builtin:china_demo', options: {cities: 1500}}\n"
    )
    argv = [DYADID, "run", "big.yaml", "--out", "out", *workers]
    process = subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "big").is_dir():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(3)  # the data are made, kernels compiled, passes under way
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert (process.returncode, out) == (130, "")
    said = err.splitlines()
    if workers and said[0].startswith("2 Dask workers, 2 threads"):
        del said[0]  # they had started: where they are is told
    assert said == ["interrupted: files already written are whole; run again to do the rest"]
    assert files(tmp_path / "out") == set()
    again = ("--set", "runtime.tile=null", "--set", "panel.options.cities=60", "--set", "model.controls=[]")
    assert command("run", "big.yaml", "--out", "out", *again)[0] == 0
    left = files(tmp_path / "out")
    assert {"big/estimates.parquet", "big/manifest.json", "big/table.txt", "report.html"} <= left
    assert not [name for name in left if name.endswith(".part")]


def test_ctrl_c_lost_in_a_callback_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The garbage collector calls JAX, and what a callback raises is only reported; the run would go on."""
    told: list[Any] = []
    monkeypatch.setattr(sys, "__unraisablehook__", told.append)
    other = SimpleNamespace(exc_type=ValueError)
    interrupts._send_again(other)
    assert told == [other]

    def lose_and_wait() -> None:
        interrupts._send_again(SimpleNamespace(exc_type=KeyboardInterrupt))
        time.sleep(10)

    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        lose_and_wait()
    assert time.monotonic() - start < 5  # it ends the wait, and does not come after it
    assert told == [other]
