"""The key ``lang`` of a job: tables, figures, page, warnings and `check` in one language, the same numbers in both."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import unescape
from pathlib import Path
from typing import Any, get_args

import dyadid as dd
import pandas as pd
import pytest
import yaml
from strategies import PANEL_JOB, city_panel, pair_table, run_panel

from engine import cli, pipeline
from engine.characters import places
from engine.errors import InputError
from engine.report.language.wording import ENGLISH, LANGUAGES, words_of
from engine.spec.job import Job

COMMON = "the|of|and|is|are|was|were|with|in|for|by|to|not|at|from|have|has|rows|pairs|cities|units|column|warning|note"
SENTENCE = re.compile(rf"\b(?:{COMMON})\b|\b[A-Za-z]{{2,}}(?: [A-Za-z]{{2,}}){{2,}}\b")
DRAWS = {"permutation": {"reps": 19}, "bootstrap": {"reps": 19}, "jackknife": {"by": "city"}}
CELLS: dict[str, Any] = {"sweep": {"model.controls": [[], ["edu"]]}, "title": "表一"}


def english_in(text: str) -> list[str]:
    """Words and runs of words that only an English sentence has; names of files and of what packages call things stay.

    Dotted names and arguments (``model.controls=edu``, ``builtin:euro``) are those of the job.
    """
    plain = re.sub(r"\S*[.=:_/]\S*[A-Za-z]\S*", "", text)
    return SENTENCE.findall(plain)


def seen(page: str) -> str:
    """Text of a page, that for readers of no pictures included, without LaTeX, hashes and versions."""
    body = re.sub(r"<pre.*?</pre>|<style>.*?</style>|<code>.*?</code>", "", page, flags=re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", " | ", body)) + "\n".join(re.findall(r'alt="([^"]*)"', body))


def written(folder: Path, *, lang: str | None = None, **blocks: Any) -> Path:
    """A job of a panel with a city that lacks values, as a file beside its data."""
    frame = city_panel(2)
    frame.loc[(frame["city"] == "city03") & (frame["year"] == 2012), "density"] = None
    frame.to_csv(folder / "cities.csv", index=False)
    job = {**PANEL_JOB, "panel": {"source": "cities.csv"}, **CELLS, **blocks}
    job |= {"job": job["job"] if lang is None else f"small_{lang}", **({"lang": lang} if lang else {})}
    path = folder / f"{job['job']}.yaml"
    path.write_text(yaml.safe_dump(job, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of one job in either language, and their files."""
    folder = tmp_path_factory.mktemp("languages")
    for lang in LANGUAGES:
        pipeline.run(written(folder, lang=lang, inference=DRAWS), out=folder / "out")
    return folder


def contents(folder: Path, *endings: str) -> Mapping[str, str]:
    return {
        path.name: path.read_text(encoding="utf-8") for path in folder.iterdir() if path.suffix in endings
    }


# -- a run -------------------------------------------------------------------------------------------------


def test_a_chinese_job_is_chinese_and_an_english_one_is_not(folder: Path) -> None:
    for name, text in contents(folder / "out/small_zh", ".txt").items():
        assert english_in(text) == [], name
        assert re.search("[\u4e00-\u9fff]", text), name
    entries = json.loads((folder / "out/small_zh/figures.json").read_text(encoding="utf-8"))
    assert entries
    assert [match for entry in entries for match in english_in(entry["title"] + "\n" + entry["text"])] == []
    for name, text in contents(folder / "out/small_en", ".txt").items():
        assert english_in(text), name
    page = pipeline.report(folder / "out/small_zh")
    text = page.read_text(encoding="utf-8")
    assert '<html lang="zh-CN">' in text
    assert english_in(seen(text)) == []


def test_numbers_do_not_depend_on_it(folder: Path) -> None:
    english, chinese = (folder / "out" / f"small_{lang}" for lang in LANGUAGES)
    names = {path.name for path in english.glob("*.parquet")}
    assert names == {path.name for path in chinese.glob("*.parquet")}
    for name in names:
        frames = [
            pd.read_parquet(path / name).drop(columns="job", errors="ignore") for path in (english, chinese)
        ]
        pd.testing.assert_frame_equal(*frames, check_exact=True)
    manifests = [
        json.loads((path / "manifest.json").read_text(encoding="utf-8")) for path in (english, chinese)
    ]
    for key in ("spec_hash", "warnings", "warning_codes", "notes", "cells"):
        assert manifests[0][key] == manifests[1][key]
    assert [manifest["lang"] for manifest in manifests] == list(LANGUAGES)


def test_work_of_either_language_serves_the_other(tmp_path: Path) -> None:
    path = written(tmp_path)
    first = pipeline.run(path, out=tmp_path / "out")
    assert pipeline.run(path, out=tmp_path / "out").reused
    second = pipeline.run(path, out=tmp_path / "out", lang="zh")
    assert not second.reused  # its tables are others
    assert second.manifest["execution"]["units_written"] == 0
    assert second.manifest["execution"]["units_read"] == first.manifest["execution"]["units_written"]
    assert pipeline.run(path, out=tmp_path / "out", overrides=["lang=zh"]).reused


# -- pages of folders --------------------------------------------------------------------------------------


def test_report_keeps_the_language_and_takes_another(folder: Path) -> None:
    job = folder / "out/small_zh"
    before = contents(job, ".txt", ".tex")
    pipeline.report(job, lang="en")
    assert english_in(contents(job, ".txt")["table.txt"])
    assert '<html lang="en">' in (job / "report.html").read_text(encoding="utf-8")
    pipeline.report(job)
    assert contents(job, ".txt", ".tex") == before
    assert '<html lang="zh-CN">' in (job / "report.html").read_text(encoding="utf-8")


def test_of_mixed_languages_tables_are_in_their_own_and_the_page_is_english(folder: Path) -> None:
    before = {lang: contents(folder / f"out/small_{lang}", ".txt") for lang in LANGUAGES}
    page = pipeline.report(folder / "out").read_text(encoding="utf-8")
    assert '<html lang="en">' in page
    assert page.count("<caption>Pairs and rows after every filter") == 2
    assert "城市对聚类" in page
    assert "pair-clustered" in page
    assert before == {lang: contents(folder / f"out/small_{lang}", ".txt") for lang in LANGUAGES}
    page = pipeline.report(folder / "out", draw=False, lang="zh").read_text(encoding="utf-8")
    assert "pair-clustered" not in page


def test_an_earlier_or_a_newer_folder(folder: Path, tmp_path: Path) -> None:
    run_panel(city_panel(2), {"out": tmp_path})
    path = tmp_path / "small/manifest.json"
    manifest = json.loads(path.read_text(encoding="utf-8"))
    del manifest["lang"]
    path.write_text(json.dumps(manifest), encoding="utf-8")
    assert '<html lang="en">' in pipeline.report(tmp_path).read_text(encoding="utf-8")
    path.write_text(json.dumps({**manifest, "lang": "fr"}), encoding="utf-8")
    with pytest.raises(InputError, match="no words in 'fr'"):
        pipeline.report(tmp_path)


# -- the command -------------------------------------------------------------------------------------------


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[str, str]:
    cli.app(list(arguments), standalone_mode=False)
    output = capsys.readouterr()
    return output.out, output.err


def test_check_is_chinese_and_its_columns_stand_in_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    index = {"size": {"entropy": ["schools", "population"]}}
    job = written(tmp_path, lang="zh", index=index, controls={"edu": {"neg_abs_diff": "size + density"}})
    text, errors = printed(capsys, "check", str(job))
    assert errors == ""
    assert english_in(text.replace(str(job), "")) == []
    lines = text.splitlines()
    head = next(place for place, line in enumerate(lines) if line.startswith("变量"))
    assert len({places(line) for line in lines[head : head + 6]}) == 1
    assert "13 个，2010 至" in text
    assert "剔除的城市（1）：" in text
    assert "  city03：density 缺 2012 年" in text
    assert lines[-1] == "检查通过"
    english, _ = printed(capsys, "check", str(job), "--set", "lang=en")
    assert english_in(english)
    numbers = [sorted(re.findall(r"\d+(?:[.,]\d+)*", summary)) for summary in (english, text)]
    assert numbers[0] == numbers[1]


def test_check_of_a_pair_table(tmp_path: Path) -> None:
    frame = pair_table(3)
    frame.loc[[2, 5], "x"] = None
    table = {"unit_i": "one", "unit_j": "other", "year": "year"}
    text = dd.job(
        {"job": "t", "outcome": {"column": "y"}, "model": {"regressors": ["x", "w"], "lag": 1}, "lang": "zh",
         "pair_table": table}, pair_table=frame,
    ).check()  # fmt: skip
    assert english_in(text) == []
    assert "自变量滞后 1 年" in text
    assert "警告：" in text


def test_warnings_of_a_run_are_chinese(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = written(tmp_path, lang="zh")
    out = tmp_path / "out"
    text, errors = printed(capsys, "run", str(job), "--out", str(out))
    assert re.search("^警告：14 个城市中有 1 个被剔除", errors, re.MULTILINE)
    assert english_in(errors) == []
    assert f"秒，已写入 {out / 'small_zh'}" in text
    assert '<html lang="zh-CN">' in (out / "report.html").read_text(encoding="utf-8")
    text, _ = printed(capsys, "run", str(job), "--out", str(out))
    assert "直接沿用" in text
    text, errors = printed(capsys, "run", str(job), "--out", str(out), "--lang", "en")
    assert "warning: 1 of 14 cities was dropped" in errors
    assert "written to" in text


@pytest.mark.parametrize(
    ("lang", "message"),
    [
        ("fr", r"lang: must be 'en' or 'zh'"),
        ("chinese", r"lang: 必须是 'en' 或 'zh'"),  # who writes so wants Chinese
        (1, r"lang: must be 'en' or 'zh'"),
        (["zh"], r"lang: must be 'en' or 'zh'"),
    ],
)
def test_another_value_is_refused(lang: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dd.run({**PANEL_JOB, "panel": {}, "lang": lang}, panel=city_panel(2))


def test_cells_have_one_language() -> None:
    with pytest.raises(InputError, match="'lang' is the same for all cells"):
        dd.check({**PANEL_JOB, "panel": {}, "sweep": {"lang": ["en", "zh"]}}, panel=city_panel(2))


def test_the_job_knows_the_languages_that_there_are() -> None:
    assert get_args(Job.model_fields["lang"].annotation) == tuple(LANGUAGES)
    assert set(ENGLISH.sentences) == set(words_of("zh").sentences)


# -- Python ------------------------------------------------------------------------------------------------


def test_results_in_python(tmp_path: Path) -> None:
    frame = city_panel(2)
    stated = dd.job({**PANEL_JOB, "panel": {}, "lang": "zh"}, panel=frame)
    assert stated.to_dict()["lang"] == "zh"
    again = dd.job(stated.to_yaml(tmp_path / "job.yaml"))
    assert again.to_dict()["lang"] == "zh"
    result = again.run()
    assert english_in(repr(result)) == []
    assert english_in(seen(result._repr_html_())) == []
    assert result.warnings
    assert all(re.search("[\u4e00-\u9fff]", text) and "code" not in text for text in result.warnings)
    assert any(re.search("[\u4e00-\u9fff]", axes.get_xlabel()) for axes in result.plot().axes)
    assert "置换检验" in repr(result.permute(19))
    assert "标准误" in str(dd.etable(result))
    english = stated.run(lang="en")
    assert english.tidy().equals(result.tidy())
    assert "Standard errors in parentheses" in repr(english)
    assert "Standard errors in parentheses" in str(dd.etable([result, english]))
    assert "Standard errors in parentheses" in str(result.table(lang="en"))


def test_a_panel_said_step_by_step_takes_it() -> None:
    job = dd.panel(city_panel(2), adoption="pilot_year", rule="exactly_one").set("lang", "zh")
    assert "标准误" in repr(job.synchronization("output").twfe())
