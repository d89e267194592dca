"""The language of what a command refuses: that of ``--lang``, of ``--set lang=…``, or of all its jobs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine import pipeline
from engine.job_runs import RunOptions
from engine.runtime.files import STATE
from engine.stages.finished_runs import mark_finished, request_key
from engine.stages.run_time import expected_stages, run_seconds

Command = Callable[..., tuple[int, str, str]]

JOB = """\
job: NAME
panel: {source: cities.csv}
outcome: {synchronization: gdp}
treatment: {adoption: pilot, rule: exactly_one}
"""
ROWS = "city,year,gdp,pilot\n" + "".join(
    f"{city},{year},{number + 1.5 + (year + number) % 7},{2012 if number < 2 else ''}\n"
    for number, city in enumerate("abcde")
    for year in range(2010, 2016)
)


@pytest.fixture(autouse=True)
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Right and wrong jobs in English and in Chinese, in the working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cities.csv").write_text(ROWS)
    for lang in ("en", "zh"):
        right = JOB.replace("NAME", lang) + f"lang: {lang}\n"
        (tmp_path / f"{lang}.yaml").write_text(right)
        (tmp_path / f"{lang}_same.yaml").write_text(right)
        (tmp_path / f"{lang}_column.yaml").write_text(
            right.replace("gdp", "gpd").replace(f"job: {lang}", f"job: c{lang}")
        )
        (tmp_path / f"{lang}_key.yaml").write_text(
            right.replace(f"job: {lang}", f"job: k{lang}") + "modle: {}\n"
        )
    (tmp_path / "kind.yaml").write_text("kind: slurmm\n")


CHINESE = [
    "run en.yaml en_column.yaml --lang zh",
    "run en.yaml en_key.yaml --lang zh",
    "run zh.yaml zh_column.yaml",
    "run zh.yaml --lang zh --cluster nope.yaml",
    "run en.yaml --lang zh --cluster kind.yaml",
    "run en.yaml --lang zh --workers 2 --scheduler x:1",
    "run en.yaml --lang zh --profile x.html",
    "run zh.yaml --profile x.html",
    "run zh.yaml zh_same.yaml",
    "run nothing.yaml --lang zh",
    "plan zh.yaml --cluster kind.yaml",
    "check nothing.yaml --set lang=zh",
    "check en_column.yaml --set lang='zh'",
    "check zh.yaml --set model.lag=1 --set model.lag=2",
    "check . --set lang=zh",
    "pairs zh.yaml --out nodir/x.csv",
    "pairs zh.yaml --out x.foo",
    "draw . --replicate 1 --set lang=zh",
    "report nodir --lang zh",
]
ENGLISH = [
    "run zh.yaml zh_column.yaml --lang en",
    "run zh.yaml zh_key.yaml --lang en",
    "run zh.yaml --lang en --cluster nope.yaml",
    "run en.yaml zh.yaml --profile x.html",
    "check zh.yaml en_column.yaml",
    "check zh_column.yaml --set lang=en",
    "pairs en.yaml --out nodir/x.csv",
    "report nodir",
]


@pytest.mark.parametrize("line", [*CHINESE, *ENGLISH])
def test_a_command_refuses_in_its_language(line: str, command: Command) -> None:
    code, _, err = command(*line.split())
    assert code == 2
    assert err.startswith("错误：" if line in CHINESE else "error: ")
    assert ("hint: " in err) <= (line in ENGLISH)
    assert ("提示：" in err) <= (line in CHINESE)


def test_later_jobs_take_no_start_and_finished_ones_nothing(tmp_path: Path) -> None:
    paths = [tmp_path / "en.yaml", tmp_path / "zh.yaml"]
    options = RunOptions(paths, tmp_path / "out", None, False, ["model.lag=1"], "zh", None, None)
    prepared = pipeline.check(paths[1], overrides=["model.lag=1", "lang=zh"])
    stages = sum(seconds for _, seconds in expected_stages(prepared[1]))
    assert options.checked().expected == pytest.approx([stages, stages])
    assert stages < run_seconds(prepared[1])
    folder = tmp_path / "out" / "zh"
    (folder / STATE).mkdir(parents=True)
    mark_finished(folder, request_key(*prepared), {})
    assert options.checked().expected == pytest.approx([stages, 0.0])
    assert replace(options, fresh=True).checked().expected == pytest.approx([stages, stages])
    assert replace(options, overrides=[]).checked().expected[1] > 0  # another request


def test_a_plan_is_in_the_language_of_its_job(command: Command) -> None:
    """But for names, and for the costs of jobs in two languages."""
    Path("workers.yaml").write_text("kind: local\nworkers: 2\n")
    code, out, err = command("plan", "zh.yaml", "--cluster", "workers.yaml")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == "zh.yaml：zh，共 1 列回归，分 1 轮计算"
    of_cells = [line for line in lines if "  twfe  " in line]
    assert all(re.search("[\u4e00-\u9fff]", line) for line in lines if line not in of_cells)
    assert "核时" in lines[-1]
    both = command("plan", "zh.yaml", "en.yaml", "--cluster", "workers.yaml")[1].splitlines()
    assert "core-hours" in both[-1]
