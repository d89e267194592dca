"""``dyadid report`` on folders that are damaged: an error that names the file, and a page of the other jobs."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from engine import pipeline
from engine.errors import InputError
from engine.report.outputs.registry import STORED_FRAMES
from engine.stages.saved import read_job, saved_jobs

Command = Callable[..., tuple[int, str, str]]
JOBS = Path(__file__).parents[2] / "jobs"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two jobs in one folder: one with draws and influences, one with an event study."""
    out = tmp_path_factory.mktemp("whole")
    small = ["panel.options.cities=40", "model.controls=[]", "sweep=null", "model.errors=[pair, dyadic]"]
    table = JOBS / "table1_baseline.yaml"
    draws = [
        "inference={permutation: {reps: 19}, jackknife: {by: city}}",
        "job=first",
        "title=Table 1. First",
    ]
    pipeline.run(table, out=out, overrides=[*small, *draws])
    events = ["model.estimator=event_study", "job=second", "title=Table 2. Second"]
    pipeline.run(table, out=out, overrides=[*small, *events])
    pipeline.report(out)
    return out


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "out"))


def rewrite(path: Path, change: Callable[[Any], object]) -> None:
    value = json.loads(path.read_text(encoding="utf-8"))
    value = change(value) or value
    path.write_text(json.dumps(value), encoding="utf-8")


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_link(path: Path, target: str) -> None:
    path.unlink()
    path.symlink_to(target)


def frame(path: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(pd.read_parquet(path)).to_parquet(path, index=False)


CODES = {"warnings": ["x"], "warning_codes": [{"code": "all_pairs", "values": {}}]}
NUMBERS = {"warnings": ["x"], "warning_codes": [7]}
DAMAGE: dict[str, tuple[str, Callable[[Path], object]]] = {
    "no manifest but a folder": ("manifest.json", replace_by_folder),
    "manifest a loop of links": ("manifest.json", lambda p: replace_by_link(p, p.name)),
    "manifest a device": ("manifest.json", lambda p: replace_by_link(p, "/dev/zero")),
    "manifest empty": ("manifest.json", lambda p: p.write_text("")),
    "manifest binary": ("manifest.json", lambda p: p.write_bytes(bytes(range(256)))),
    "manifest nested": ("manifest.json", lambda p: p.write_text("[" * 100_000)),
    "manifest a list": ("manifest.json", lambda p: p.write_text("[1, 2]")),
    "manifest null": ("manifest.json", lambda p: p.write_text("null")),
    "title a number": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(title=5))),
    "cells a text": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(cells="x"))),
    "cells of texts": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(cells=["x"]))),
    "cells without numbers": ("manifest.json", lambda p: rewrite(p, lambda m: m["cells"][0].pop("number"))),
    "no cells": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(cells=[]))),
    "cells of another job": ("manifest.json", lambda p: rewrite(p, lambda m: m["cells"][0].update(cell="x"))),
    "confidence text": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(confidence="95%"))),
    "data a list": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(data=[1]))),
    "more data of numbers": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(more_data=[1]))),
    "counts a number": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(counts=7))),
    "warnings a number": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(warnings=7))),
    "warning codes a number": ("manifest.json", lambda p: rewrite(p, lambda m: m.update(warning_codes=7))),
    "warning codes of numbers": ("", lambda p: rewrite(p / "manifest.json", lambda m: m.update(NUMBERS))),
    "a note without its values": ("", lambda p: rewrite(p / "manifest.json", lambda m: m.update(CODES))),
    "no estimates": ("estimates.parquet", lambda p: p.unlink()),
    "estimates a folder": ("estimates.parquet", replace_by_folder),
    "estimates text": ("estimates.parquet", lambda p: p.write_text("estimate,1\n")),
    "estimates cut": ("estimates.parquet", lambda p: p.write_bytes(p.read_bytes()[:500])),
    "estimates without rows": ("estimates.parquet", lambda p: frame(p, lambda f: f.iloc[:0])),
    "estimates without a column": ("estimates.parquet", lambda p: frame(p, lambda f: f.drop(columns="p_value"))),
    "estimates of text": ("estimates.parquet", lambda p: frame(p, lambda f: f.assign(estimate="much"))),
    "terms of numbers": ("estimates.parquet", lambda p: frame(p, lambda f: f.assign(term=1.5))),
    "rows twice": ("", lambda p: frame(p / "estimates.parquet", lambda f: pd.concat([f, f]))),
    "draws without a column": ("draws.parquet", lambda p: frame(p, lambda f: f.drop(columns="method"))),
    "draws of another cell": ("", lambda p: frame(p / "draws.parquet", lambda f: f.assign(cell="x"))),
    "inference cut": ("inference.parquet", lambda p: p.write_bytes(p.read_bytes()[:-9])),
    "influence a link to nothing": ("influence.parquet", lambda p: replace_by_link(p, "gone")),
    "no validation": ("validation.json", lambda p: p.unlink()),
    "validation a list": ("validation.json", lambda p: p.write_text("[]")),
    "columns a number": ("", lambda p: rewrite(p / "validation.json", lambda v: v.update(columns=3))),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_the_file_is_named_and_the_other_job_is_reported(folder: Path, command: Command, name: str) -> None:
    file, damage = DAMAGE[name]
    damage(folder / "first" / file)
    code, out, err = command("report", "out", "--docx")
    if "figure could not be drawn" in err:  # frames that do not fit each other
        assert (code, name) == (1, "draws of another cell")
        return
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert out == "report: out/report.html\ntables: out/tables.docx\n"
    assert code == 2
    assert err.count("error: ") == 1
    assert err.startswith(f"error: {Path('out') / 'first' / file}")
    assert "hint: " in err
    assert "Table 2. Second" in page
    assert "Table 1. First" not in page
    with pytest.raises(InputError, match=r"no finished job here|first"):  # alone, it is an error and no page
        pipeline.report(folder / "first")


@pytest.mark.parametrize("change", ["a number", "a mapping", "no such picture", "elsewhere"])
def test_the_list_of_figures_is_damaged(folder: Path, change: str) -> None:
    path = folder / "first" / "figures.json"
    damaged = {
        "a number": "7", "a mapping": '{"a": 1}', "no such picture": '[{"name": "gone", "title": "", "text": ""}]',
        "elsewhere": '[{"name": "../second/event_study", "title": "", "text": ""}]',
    }  # fmt: skip
    path.write_text(damaged[change])
    notices: list[Exception] = []
    page = pipeline.report(folder, draw=False, notice=notices.append)
    assert len(notices) == 1
    assert str(notices[0]).startswith(
        str(folder / "first" / ("gone.png" if change == "no such picture" else "figures.json"))
    )
    assert "Table 2. Second" in page.read_text(encoding="utf-8")
    pipeline.report(folder)  # made again, it is whole
    assert "Table 1. First" in page.read_text(encoding="utf-8")


def test_folders_in_the_places_of_files_that_are_written(folder: Path, command: Command) -> None:
    (folder / "report.html").unlink()
    (folder / "report.html").mkdir()
    code, _, err = command("report", "out")
    assert (code, err) == (
        2,
        "error: out: there is a folder called report.html\n  hint: rename it: a file goes there\n",
    )


@pytest.mark.parametrize(
    "name", ["manifest.json", "estimates.parquet", "figure_later.png", ".dyadid/finished.json"]
)
def test_a_run_refuses_folders_in_the_places_of_its_files(
    tmp_path: Path, command: Command, name: str
) -> None:
    """Before it works, not after."""
    (tmp_path / "out" / "table1_baseline" / name).mkdir(parents=True)
    code, _, err = command("run", str(JOBS / "table1_baseline.yaml"), "--out", "out")
    assert code == 2
    assert f"there is a folder called {Path(name).name}" in err
    assert len(list((tmp_path / "out").rglob("*"))) == 1 + len(Path(name).parts)


def test_flipped_bits_of_any_file(folder: Path) -> None:
    """Report or an error that names the job; nothing else."""
    draw = random.Random(21)
    files = [path for path in sorted((folder / "first").iterdir()) if path.suffix in (".json", ".parquet")]
    for number in range(100):
        path = files[number % len(files)]
        before = path.read_bytes()
        content = bytearray(before)
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        notices: list[Exception] = []
        page = pipeline.report(folder, draw=False, notice=notices.append).read_text(encoding="utf-8")
        assert "Table 2. Second" in page
        assert ("Table 1" in page) == (not notices) or path.name == "manifest.json"
        for notice in notices:
            assert str(notice).startswith(str(folder / "first"))
        path.write_bytes(before)


def test_every_column_that_is_checked_is_one_that_runs_write(whole: Path) -> None:
    frames = read_job(whole / "first").frames | read_job(whole / "second").frames
    made = {"estimates", "event_study", "joint", "inference", "draws", "influence", "covariance"}
    assert set(frames) == made
    for name, table in frames.items():
        assert {*STORED_FRAMES[name].text, *STORED_FRAMES[name].numbers} <= set(table.columns)


def test_an_empty_folder_and_none(tmp_path: Path, command: Command) -> None:
    (tmp_path / "empty" / "job").mkdir(parents=True)
    os.symlink("loop", tmp_path / "loop")
    for name in ("empty", "gone", "loop"):
        code, out, err = command("report", name)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {name}: no ")
    with pytest.raises(InputError):
        saved_jobs(tmp_path, pytest.fail)
