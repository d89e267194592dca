"""`--submit`, `dyadid status` and `dyadid logs`, with a batch system that takes the job and runs it when told to."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]

EURO = str(Path(__file__).parents[1] / "jobs" / "euro.yaml")
PROFILE = 'kind: slurm\nworkers: 1\nmemory: 2GB\nwalltime: "01:00:00"\ninterface: lo\nwait: 60\n'


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands: ``sbatch`` keeps the script, ``squeue`` says what the file ``state`` says."""
    folder = tmp_path / "bin"
    folder.mkdir()
    scripts = {
        "sbatch": f'cp "$1" {folder}/kept.sh; echo "Submitted batch job 17"',
        "squeue": f"test -f {folder}/state && cat {folder}/state",
        "scancel": "true",
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    (tmp_path / "slurm.yaml").write_text(PROFILE)
    return folder


def test_a_run_is_submitted_followed_and_finishes(queue: Path, command: Command, tmp_path: Path) -> None:
    code, out, err = command(
        "run", EURO, "--cluster", "slurm.yaml", "--submit", "--set", "model.errors=[pair]", "--out", "o u t"
    )
    assert (code, err) == (0, "")
    assert out == "submitted as slurm job 17: `dyadid status o u t` and `dyadid logs o u t` follow it\n"
    assert not (tmp_path / "o u t" / "euro").exists()
    (queue / "state").write_text("PENDING Resources\n")
    code, out, err = command("status", "o u t")
    assert (code, err) == (0, "")
    assert out.startswith("driver: slurm job 17, submitted 20")
    assert out.endswith(": PENDING Resources\n")
    # The driver itself runs on threads here: the command that it is given is what counts.
    script = (queue / "kept.sh").read_text().replace(" --cluster slurm.yaml", "")
    (queue / "kept.sh").write_text(script)
    done = subprocess.run(
        ["sh", str(queue / "kept.sh")], cwd="/", capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "o u t" / "euro" / "estimates.parquet").exists()
    (queue / "state").unlink()
    driver, job = command("status", "o u t")[1].splitlines()
    assert driver.endswith(": no longer in the queue")
    assert job.startswith("euro: finished, ")
    lines = command("logs", "o u t", "--follow")[1].splitlines()
    assert "  euro  run started" in lines[0]
    assert lines[-1].endswith("  euro  run finished")


def test_a_run_that_is_at_work_and_one_that_was_killed(command: Command, tmp_path: Path) -> None:
    state = tmp_path / "out" / "table1" / ".dyadid"
    state.mkdir(parents=True)
    told = {
        "job": "table1", "state": "running", "started": "2026-01-01T00:00:00.000+00:00", "label": "permutations",
        "done": 3, "total": 8, "where": "2 Dask workers, 2 threads", "dashboard": "http://127.0.0.1:8787/status",
        "updated": "2026-01-01T00:01:00.000+00:00", "seconds_left": 754.3 + 600,
        "estimated": (datetime.now(UTC) - timedelta(minutes=10)).isoformat(),
    }  # fmt: skip
    (state / "progress.json").write_text(json.dumps(told))
    (state / "log.jsonl").write_text('{"time": "2026-01-01T00:00:00", "event": "unit", "unit": "ab"}\n{"half')
    assert command("status")[1] == "table1: stopped without a word; run it again to do the rest, 60 s\n"
    with open(state / "lock", "wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        shown = command("status")[1]
        overdue = {**told, "estimated": "2026-01-01T00:01:00.000+00:00"}
        (state / "progress.json").write_text(json.dumps(overdue))
        assert "permutations 3 of 8, 2 Dask workers" in command("status")[1]  # and nothing of the time left
    start = "table1: running, permutations 3 of 8, about 13 min left, 2 Dask workers, 2 threads, http"
    assert shown.startswith(start)
    assert command("logs")[1] == "2026-01-01T00:00:00  table1  unit: unit ab\n"
    assert command("status", str(tmp_path / "out" / "table1"))[1].startswith("table1: stopped")


def test_no_run(command: Command, tmp_path: Path) -> None:
    for name in ("status", "logs"):
        code, out, err = command(name, str(tmp_path))
        assert (code, out) == (2, "")
        assert "no run has begun here\n  hint: name the folder that --out" in err


def test_wrong_jobs_are_not_submitted(queue: Path, command: Command, tmp_path: Path) -> None:
    code, out, err = command(
        "run", EURO, "--cluster", "slurm.yaml", "--submit", "--set", "years=[1900, 1901]"
    )
    assert (code, out) == (2, "")
    assert "years" in err
    assert not (queue / "kept.sh").exists()


def test_no_password_gets_into_a_script(queue: Path, command: Command, tmp_path: Path) -> None:
    code, out, err = command(
        "run", EURO, "--cluster", "slurm.yaml", "--submit", "--store", "ftp://me:hush@host/units"
    )
    assert (code, out) == (2, "")
    assert err.startswith("error: --submit: the job's script would show the password in the store's address")
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"hush" in path.read_bytes()]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (
            ["--submit"],
            "--submit: a run without --cluster has no queue to submit to\n  hint: name one of slurm",
        ),
        (["--submit", "--workers", "2"], "--submit: a profile of kind local has no queue to submit to"),
        (["--profile", "p.html"], "--profile: threads make no report\n  hint: add --workers 2"),
        (["--cluster", "gone.yaml"], "gone.yaml: no such file"),
        (["--cluster", "x.yaml", "--workers", "2"], "--workers and --cluster exclude each other"),
    ],
)
def test_what_does_not_go_together(more: list[str], says: str, command: Command) -> None:
    code, out, err = command("run", EURO, *more)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {says}")


def test_the_cost_on_a_cluster(queue: Path, command: Command) -> None:
    code, out, _ = command(
        "plan", EURO, "--cluster", "slurm.yaml", "--set", "inference.permutation={reps: 100000}"
    )
    assert code == 0
    assert "core-hours on slurm: 1 worker with 1 thread take about " in out.splitlines()[-1]
