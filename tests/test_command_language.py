"""The language of what a command refuses: that of ``--lang``, of ``--set lang=…``, or of all its jobs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import dyadid as dd
import pytest

from engine import pipeline
from engine.job_runs import RunOptions
from engine.runtime.files import STATE
from engine.runtime.journal import PROGRESS
from engine.stages import saved
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
    "check en_column.yaml --lang zh",
    "plan en_key.yaml --lang zh",
    "pairs en.yaml --out x.foo --lang zh",
    "draw en.yaml --replicate 1 --lang zh",
    "init nothing.csv --lang zh",
    "init --lang zh",
    "init --paper out out.csv --lang zh",
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
    "check zh_column.yaml --lang en",
    "init nothing.csv",
    "check zh.yaml --lang fr",
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


CHARACTERS = re.compile("[\u4e00-\u9fff]")


def test_a_first_job_is_in_the_language_asked_for(command: Command) -> None:
    for lang in ("zh", "en"):
        code, out, err = command("init", "cities.csv", "--out", f"first_{lang}.yaml", "--lang", lang)
        assert (code, err) == (0, "")
        lines = [*out.splitlines()[:5], *Path(f"first_{lang}.yaml").read_text().splitlines()[:6]]
        texts = [line for line in lines if line.startswith(("#", "guessed", "猜测", "written", "已写入"))]
        assert len(texts) > 9
        assert all(bool(CHARACTERS.search(line)) is (lang == "zh") for line in texts)
        assert ("lang: zh" in Path(f"first_{lang}.yaml").read_text()) is (lang == "zh")
        assert ("检查通过" in out) is (lang == "zh")


@pytest.mark.parametrize("line", ["check {}.yaml", "plan {}.yaml", "pairs {}.yaml --out x.csv"])
def test_the_option_goes_before_the_language_of_the_job(line: str, command: Command) -> None:
    plain = {lang: command(*line.format(lang).split())[1] for lang in ("en", "zh")}
    asked = {lang: command(*line.format("en").split(), "--lang", lang)[1] for lang in ("en", "zh")}
    back = command(*line.format("zh").split(), "--lang", "en")[1]
    assert asked["en"] == plain["en"]
    assert CHARACTERS.search(asked["zh"])
    assert CHARACTERS.search(plain["zh"])
    assert not CHARACTERS.search(back)


def test_a_draw_is_in_the_language_of_its_job(command: Command) -> None:
    Path("drawn.yaml").write_text(
        Path("en.yaml").read_text() + "inference: {permutation: {reps: 20, seed: 1}}\n"
    )
    in_english = command("draw", "drawn.yaml", "--replicate", "0")[1].splitlines()
    code, out, err = command("draw", "drawn.yaml", "--replicate", "0", "--lang", "zh", "--out", "x.csv")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert not any(CHARACTERS.search(line) for line in in_english)
    assert "置换检验" in lines[0]
    assert lines[-1] == "城市：x.csv"
    assert "系数" in out
    assert [re.findall(r"[\d.]+", line) for line in lines[1:-1]] == [
        re.findall(r"[\d.]+", line) for line in in_english[1:]
    ]


@pytest.mark.parametrize(("lang", "start"), [("zh", "已中断"), ("en", "interrupted")])
def test_the_message_after_an_interrupt(
    lang: str, start: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "check", interrupted)
    code, _, err = command("check", f"{lang}.yaml")
    assert code == 130
    assert err.startswith(start)
    assert command("check", "en.yaml")[2].startswith("interrupted")  # nothing stays of the command before


def test_a_run_and_its_status_are_in_the_language_of_the_job(command: Command) -> None:
    assert command("run", "zh.yaml", "en.yaml")[0] == 0
    code, out, _ = command("status", "out")
    assert code == 0
    in_english, in_chinese = out.splitlines()
    assert in_english.startswith("en: finished, ")
    assert in_chinese.startswith("zh：已完成、")
    record = Path("out/zh") / STATE / PROGRESS
    record.write_text(json.dumps({**json.loads(record.read_text()), "lang": None}))
    assert command("status", "out/zh")[1].startswith("zh: finished")  # of an earlier version


def test_a_report_reads_each_manifest_once(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command("run", "zh.yaml")[0] == 0
    read: list[Path] = []
    load = saved._sound_manifest

    def counted(path: Path) -> dict[str, Any]:
        read.append(path)
        return load(path)

    monkeypatch.setattr(saved, "_sound_manifest", counted)
    code, out, _ = command("report", "out")
    assert (code, out) == (0, "报告：out/report.html\n")
    assert read == [Path("out/zh/manifest.json")]


def test_an_unknown_step_is_refused_in_the_language_of_the_job() -> None:
    for lang, start in (("zh", "PanelJob: 任务没有"), ("en", "PanelJob: a job has no")):
        job = dd.panel("cities.csv", adoption="pilot", rule="exactly_one").set("lang", lang)
        with pytest.raises(AttributeError) as caught:
            job.twfee()
        assert str(caught.value).startswith(start)
        assert not hasattr(job, "nothing_like_it")


@pytest.mark.parametrize("kind", ["wild", "multiplier"])
def test_draws_of_one_process_report_progress(kind: str) -> None:
    reports: list[tuple[str, int, int]] = []
    job = f"inference: {{bootstrap: {{kind: {kind}, reps: 20, seed: 1}}}}\n"
    Path("drawn.yaml").write_text(Path("en.yaml").read_text() + job)
    pipeline.run("drawn.yaml", progress=lambda *report: reports.append(report))
    assert [report for report in reports if report[0] == "bootstrap"] == [
        ("bootstrap", 0, 1),
        ("bootstrap", 1, 1),
    ]
