"""``status`` and ``logs`` on folders whose records were damaged in any way: an answer, and never a traceback."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.stages.run_status import log_lines, output_lines, status_lines

Command = Callable[..., tuple[int, str, str]]

STATE = ".dyadid"
PROGRESS = {
    "job": "euro",
    "state": "running",
    "started": "2026-07-01T08:00:00.000+00:00",
    "where": "this process, 2 threads",
    "label": "moments",
    "done": 3,
    "total": 8,
    "seconds_left": 12.5,
    "estimated": "2026-07-01T08:01:00.000+00:00",
    "updated": "2026-07-01T08:01:00.000+00:00",
    "dashboard": None,
    "key": "k",
}
EVENT = {"time": "2026-07-01T08:00:00.000+00:00", "event": "pass", "label": "moments", "tasks": 8}
WRONG: list[Any] = [
    None,
    True,
    -1,
    10**30,
    10**400,
    1.5,
    float("nan"),
    "",
    "x",
    "2026",
    "2026-07-01T08:00:00",
    "-x",
    "--help",
    "a\0b",
    "a\nb",
    "\x1b[2J",
    [],
    [1],
    {},
    {"a": [{}]},
    "/dev/zero",
    "~nobody/x",
    "9999-12-31T23:59:59.999+00:00",
    "0001-01-01T00:00:00+23:59",
]


def make(out: Path) -> dict[str, Path]:
    """An output folder with a submitted driver and a job; its records by name."""
    state, job = out / STATE, out / "euro" / STATE
    (state / "driver").mkdir(parents=True)
    (state / "workers").mkdir()
    job.mkdir(parents=True)
    driver = {
        "kind": "slurm",
        "job_id": "17",
        "submitted": "2026-07-01T08:00:00+00:00",
        "logs": str(state / "driver"),
    }
    paths = {
        "driver": state / "driver.json",
        "output": state / "driver" / "driver-17.out",
        "workers": state / "workers" / "w.err",
        "progress": job / "progress.json",
        "log": job / "log.jsonl",
        "lock": job / "lock",
        "mark": job / "finished.json",
        "manifest": out / "euro" / "manifest.json",
    }
    contents = {
        "driver": json.dumps(driver),
        "progress": json.dumps(PROGRESS),
        "log": f"{json.dumps(EVENT)}\n" * 3,
    }
    for name, path in paths.items():
        path.write_text(contents.get(name, "{}"))
    return paths


def damages() -> Iterator[tuple[str, Callable[[Path], object]]]:
    yield "empty", lambda path: path.write_bytes(b"")
    yield "cut", lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) // 2])
    yield "binary", lambda path: path.write_bytes(random.Random(1).randbytes(3000))
    yield "zeros", lambda path: path.write_bytes(bytes(3000))
    yield "utf-16", lambda path: path.write_bytes(path.read_text().encode("utf-16"))
    yield "nested", lambda path: path.write_text("[" * 100_000)
    yield "nested mapping", lambda path: path.write_text('{"a":' * 100_000)
    yield "digits", lambda path: path.write_text('{"done": ' + "9" * 10_000 + "}")
    yield "list", lambda path: path.write_text("[1, 2]")
    yield "null", lambda path: path.write_text("null")
    yield "text", lambda path: path.write_text('"running"')
    yield "folder", lambda path: (path.unlink(), path.mkdir())
    yield "pipe", lambda path: (path.unlink(), os.mkfifo(path))
    yield "loop", lambda path: (path.unlink(), path.symlink_to(path))
    yield "gone", lambda path: path.unlink()


def ask(command: Command) -> list[str]:
    """What both commands say; they end well, or with the words of an input that is wrong."""
    said = []
    for name in ("status", "logs"):
        code, out, err = command(name, "out")
        assert code in (0, 2)
        assert ("error: " in err) == (code == 2)
        said.append(out)
    return said


@pytest.fixture(autouse=True)
def no_batch_system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is asked of a real one, and no process is started: there are too many cases."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))


RECORDS = ["driver", "output", "workers", "progress", "log", "lock", "mark", "manifest"]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_that_is_damaged(record: str, command: Command, tmp_path: Path) -> None:
    for how, damage in damages():
        damage(make(tmp_path / "out")[record])
        status, logs = ask(command)
        if record != "progress" or how not in ("gone", "loop"):
            assert "euro: " in status, how
        if record not in ("log", "progress"):
            assert logs.count("  euro  pass: label moments, tasks 8\n") == 3, how
        shutil.rmtree(tmp_path / "out")


@pytest.mark.parametrize("record", ["driver", "progress", "log"])
def test_values_of_another_kind(record: str, tmp_path: Path) -> None:
    path = make(tmp_path / "out")[record]
    whole = json.loads(path.read_text().splitlines()[0])
    for key in [*whole, "unknown"]:
        for value in WRONG:
            path.write_text(json.dumps(whole | {key: value}) + "\n")
            status = "\n".join(status_lines(tmp_path / "out"))
            assert ("euro: " in status) or key == "job"
            assert record == "log" or len(list(log_lines(tmp_path / "out"))) == 3
            list(output_lines(tmp_path / "out"))


def test_random_damage(command: Command, tmp_path: Path) -> None:
    """Bytes that are changed, left out or put in, in all records at once."""
    paths = make(tmp_path / "out")
    contents = {name: paths[name].read_bytes() for name in ("driver", "progress", "log")}
    draw = random.Random(21)
    for _ in range(100):
        for name, content in contents.items():
            damaged = bytearray(content)
            for _ in range(draw.randrange(4)):
                place = draw.randrange(len(damaged))
                damaged[place : place + draw.randrange(3)] = draw.choice(
                    [b"", b'"', b"{", b"[", b"\xff", b"9", b"null"]
                )
            paths[name].write_bytes(damaged)
        ask(command)


def test_damage_is_told(command: Command, tmp_path: Path) -> None:
    paths = make(tmp_path / "out")
    for name in ("driver", "progress"):
        paths[name].write_text("{")
    code, out, err = command("status", "out")
    assert (code, err) == (0, "")
    record, job = out.replace("\n", " ").split("euro: ")
    assert record.startswith("driver: its record out/.dyadid/driver.json is damaged")
    assert job.startswith("unknown, its progress.json is damaged")


def test_no_record_names_an_option(command: Command, tmp_path: Path) -> None:
    """A job's number goes to a command of the batch system."""
    path = make(tmp_path / "out")["driver"]
    whole = json.loads(path.read_text())
    for number in ("--help", "-a", "17; touch x", "17 18", "$(x)", ""):
        path.write_text(json.dumps(whole | {"job_id": number}))
        assert "is damaged" in command("status", "out")[1]
    path.write_text(json.dumps(whole | {"job_id": "17.server[]"}))
    assert "is damaged" not in command("status", "out")[1]
