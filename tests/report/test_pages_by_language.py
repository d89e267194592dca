"""Pages and tables in both languages: the Chinese have no English words, and the same numbers as the English."""

from __future__ import annotations

import re
from html import unescape

from report_frames import event_study, sweep
from test_page import MANIFEST

from engine.notes import Note, note_record, notes_record
from engine.report.language.wording import ENGLISH, words_of
from engine.report.outputs.coefficient_plot import coefficient_text
from engine.report.outputs.error_comparison import error_sentences
from engine.report.outputs.event_study_plot import event_years_text
from engine.report.outputs.regression_table import regression_table
from engine.report.page import JobSection, report_page
from engine.runtime.execute import Machine

ZH = words_of("zh")


def test_chinese_page_has_no_english_but_that_of_the_job():
    frame = sweep(3)
    reason = Note.of("column_missing", column="人口", years="2012", more=[])
    city = Note.of("dropped_city", city="甲", reason=reason)
    lost = Note.of("cities_dropped", count=1, total=3, cities=[city], more=[])
    manifest = {
        **MANIFEST,
        "title": "表一",
        "timings": dict.fromkeys(("read", "prepare", "estimate", "inference", "collect"), 0.1),
        "seeds": {},
        "versions": {},
        **note_record("workers", Note.of("this_process", threads=2), ENGLISH.note),
        "execution": Machine().account(),
        "frames": {},
        "data": {"synthetic": True},
    }
    manifest |= notes_record("warning", [lost], ENGLISH.note)
    step = {**note_record("step", Note("matched"), ENGLISH.note), "pairs": 1, "rows": 2}
    manifest["counts"] = [{**entry, "steps": [step], "singletons": 110} for entry in MANIFEST["counts"]]
    table = regression_table(frame, title="表一", main="policy", synthetic=True, words=ZH)
    validation = {"dropped": [{"city": "甲", **note_record("reason", reason, ENGLISH.note)}]}
    section = JobSection(
        manifest=manifest, tables=[table], figures=[("图", coefficient_text(frame, "policy", ZH), b"")],
        reading=error_sentences(frame, words=ZH), validation=validation,
    )  # fmt: skip
    page = report_page([section], words=ZH)
    assert '<html lang="zh-CN">' in page
    body = re.sub(r"<pre.*?</pre>|<style>.*?</style>", "", page, flags=re.S)
    seen = unescape(re.sub(r"<[^>]*>", " ", body))
    alternative = re.findall(r'alt="([^"]*)"', body)
    words = set(re.findall(r"[A-Za-z]{2,}", " ".join([seen, *alternative])))
    assert words == {"policy", "sync", "demo", "LaTeX", "CRV", "dyadic"}
    assert "成对（dyadic）稳健标准误是城市对聚类标准误的 4.0 倍" in page
    assert "单独成组的观测（已略去）：110" in page
    assert "本进程，2 个线程" in page
    assert seen.count("人口 缺 2012 年") == 2
    assert "事件研究" in event_years_text(event_study(), ZH)


def test_workers_of_a_cluster_are_counted_in_chinese():
    for whereabouts, english, chinese in (
        (
            Note.of("dask_workers", count=1, threads=2),
            "1 Dask worker, 2 threads",
            "1 个 Dask 工作进程，2 个线程",
        ),
        (
            Note.of("cluster_workers", count=12, cluster="hpc", threads=1),
            "12 Dask workers on hpc, 1 thread",
            "hpc 上的 12 个 Dask 工作进程，1 个线程",
        ),
    ):
        sections = [JobSection(note_record("workers", whereabouts, ENGLISH.note))]
        assert f">{chinese}</td>" in report_page(sections, words=ZH)
        assert f">{english}</td>" in report_page(sections)
    earlier = [JobSection({"workers": "of another version"})]  # its manifests have the sentence alone
    assert ">of another version</td>" in report_page(earlier, words=ZH)


def test_a_blank_parts_latin_from_chinese_words():
    assert (
        ZH("{value} with {kind} errors", value="3", kind="成对（dyadic）CR2")
        == "成对（dyadic）CR2 标准误下为 3"
    )
    assert (
        ZH("{value} with {kind} errors", value="3", kind="成对（dyadic）稳健")
        == "成对（dyadic）稳健标准误下为 3"
    )
    table = regression_table(sweep(1, kinds={"dyadic_cr2": 1.0}), title="T", words=ZH)
    assert "星号依据成对（dyadic）CR2 标准误：" in table.to_text()


def test_numbers_are_the_same_in_both_languages():
    frame = sweep(3)
    in_english, in_chinese = (regression_table(frame, title="T", words=words) for words in (ENGLISH, ZH))
    for english, chinese in zip(in_english.rows, in_chinese.rows, strict=True):
        if english.kind != "setting":
            assert english.entries == chinese.entries
    figures = [
        re.findall(r"\d[\d.]*", " ".join(error_sentences(frame, words=words))) for words in (ENGLISH, ZH)
    ]
    assert sorted(figures[0]) == sorted(figures[1])
