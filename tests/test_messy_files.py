"""From messy files to Table 1, an event study, a Word table and a Chinese figure: one failed check, and no script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from messy_files import JOB, RANKS, clean_panel, write_messy

import engine
from engine.spec.keys import assign

Command = Callable[..., tuple[int, str, str]]


def proposed_lines(message: str) -> list[str]:
    """Lines of a job that a failed check proposes: those for several problems last, so that they hold."""
    marks = ("in the job file: ", "in the job file, together: ")
    lines = [line.strip() for line in message.splitlines()]
    return [line.removeprefix(mark) for mark in marks for line in lines if line.startswith(mark)]


def mended(job: dict[str, Any], lines: list[str]) -> dict[str, Any]:
    """The job with the lines put into it as they stand, numbers of the words filled in."""
    for line in lines:
        key, _, value = line.partition(": ")
        block, _, name = key.partition(".")
        job = assign(job, (block, name), yaml.safe_load(value))
    ranks = {word: number for number, word in RANKS.items()}
    recode = job["panel"]["recode"]["城市级别"]
    assert set(recode.values()) == {"NUMBER"}
    job["panel"]["recode"]["城市级别"] = {word: ranks[word] for word in recode}
    return job


def write(job: dict[str, Any], folder: Path) -> None:
    (folder / "table1.yaml").write_text(
        yaml.safe_dump(job, allow_unicode=True, sort_keys=False), encoding="utf-8"
    )


def expected(kind: str) -> pd.DataFrame:
    """Estimates of the clean data."""
    job = yaml.safe_load(JOB) | {"panel": {"source": "frame:panel"}}
    if kind == "figure1":
        job["model"] |= {"estimator": "event_study", "window": [-3, 2]}
    return engine.run(job, frames={"panel": clean_panel()}).estimates


def test_messy_files_take_one_failed_check(command: Command, tmp_path: Path) -> None:
    write_messy(clean_panel(), tmp_path)
    code, _, err = command("check", "table1.yaml")
    assert code == 2
    job = mended(yaml.safe_load(JOB), proposed_lines(err))
    write(job, tmp_path)
    code, out, err = command("check", "table1.yaml")  # passes, and says why three cities are dropped
    assert (code, err) == (0, "")
    assert "set panel.merge_names: [case]" in out
    assert "S009: science missing in 2013" in out
    assert "and 5 more columns); rows of other years are spelled s007" in out
    merge, fill = proposed_lines(out)
    assert merge == "panel.merge_names: [case]  # if these are one city: S007 = s007"
    assert (
        fill
        == "panel.fill: {max_gap: 1, columns: [science]}  # if gaps may be interpolated: 1 of them would stay"
    )
    job["panel"] |= {
        line.partition(": ")[0][6:]: yaml.safe_load(line.partition(": ")[2]) for line in (merge, fill)
    }
    write(job, tmp_path)
    code, out, err = command("check", "table1.yaml")
    assert (code, err) == (0, "")
    for said in (
        "column '年份': 240 cells with a word for year, such as '2010年', read as 2010",
        "cells with separators of thousands",
        "column '人口': 240 cells with full-width characters",
        "column '第三产业占比': 240 cells with a percent sign",
        "column '城市级别': 240 cells recoded",
        "column '试点年份': 90 cells with a word for year",
        "spellings in column '城市' that were merged: 1 ('s007' = 'S007')",
        "教育.csv: 1 of its 25 cities is not in the panel: 资料来源:示例",
    ):
        assert said in out.replace("\n", " "), said
    for name in ("table1", "figure1"):
        assert command("run", f"{name}.yaml", "--out", "out", "--lang", "zh")[0] == 0
        estimates = pd.read_parquet(tmp_path / "out" / name / "estimates.parquet")
        for column in ("estimate", "std_error"):
            np.testing.assert_allclose(estimates[column], expected(name)[column], rtol=1e-9)
    assert command("report", "out", "--docx", "--lang", "zh")[0] == 0
    assert (tmp_path / "out" / "tables.docx").stat().st_size > 0
    assert (tmp_path / "out" / "figure1" / "event_study.pdf").stat().st_size > 0


def test_the_failed_check_says_every_problem_with_its_line(command: Command, tmp_path: Path) -> None:
    write_messy(clean_panel(), tmp_path)
    _, _, err = command("check", "table1.yaml")
    lines = [line.strip() for line in err.splitlines()]
    for problem in (
        "row 3: a row has no city (its 年份 is '年'); also row 244",
        "city-years given more than once: S005 2012 (rows 56, 245) (1 in all)",
        "row 97, column '科技支出': '未统计' is not a number (S009)",
        "row 4, column '城市级别': '省会' is not a number (S000); also rows 5, 6, 7 and 237 more",
    ):
        assert problem in lines
    assert "in the job file, together: panel.skip_rows: [3, 244, 245]" in lines


def test_units_are_no_codes_for_missing_where_the_job_names_no_city(command: Command, tmp_path: Path) -> None:
    """All rows are read then, that of units too, which has neither a city nor a year otherwise."""
    write_messy(clean_panel(), tmp_path)
    job = yaml.safe_load(JOB)
    del job["panel"]["columns"]["city"], job["panel"]["join"]
    job["controls"] = {"tech": job["controls"]["tech"]}
    write(job, tmp_path)
    code, _, err = command("check", "table1.yaml")
    lines = proposed_lines(err)
    assert (code, "panel: needs column 'city'" in err) == (2, True)
    assert "panel.skip_rows: [3]  # if the row is no data" in lines
    assert "panel.missing: {科技支出: [未统计]}  # if it means missing" in lines


@pytest.mark.parametrize("key", ["panel.skip_rows", "panel.missing", "panel.recode"])
def test_a_line_that_is_left_out_leaves_a_failing_check(command: Command, tmp_path: Path, key: str) -> None:
    """Each line mends what no other line does."""
    write_messy(clean_panel(), tmp_path)
    _, _, err = command("check", "table1.yaml")
    job = mended(yaml.safe_load(JOB), proposed_lines(err))
    del job["panel"][key.partition(".")[2]]
    write(job, tmp_path)
    code, _, err = command("check", "table1.yaml")
    assert code == 2
    assert f"in the job file: {key}: " in err
