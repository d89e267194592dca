"""Names of units in tables, and the sentences and labels that speak of them."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import numpy as np
import pandas as pd
import pytest
from report_frames import sweep

import engine
from engine import pipeline
from engine.notes import Note
from engine.report.error_types import ERROR_LOOKS, error_label, error_phrase
from engine.report.language.wording import ENGLISH, Words, job_words, words_of
from engine.report.outputs.regression_table import regression_table
from engine.report.table_style import TableStyle
from engine.report.unit_names import units_label


@pytest.mark.parametrize(
    ("parameters", "label"),
    [
        ({"panel": {"source": "builtin:china_demo"}}, "Cities"),
        ({"panel": {"source": "builtin:euro"}}, "Countries"),
        ({"panel": {"source": "a.dta", "columns": {"city": "国家", "gdp": "城市GDP"}}}, "Countries"),
        ({"panel": {"source": "a.dta", "columns": {"city": "区县"}}}, "Counties"),
        ({"panel": {"source": "a.dta", "columns": {"city": "Province"}}}, "Provinces"),
        ({"panel": {"source": "a.dta", "columns": {"city": "地级市"}}}, "Cities"),
        ({"panel": {"source": "a.dta", "columns": {"city": "firm"}}}, "Units"),
        ({"pair_table": {"unit_i": "iso_o"}}, "Countries"),
        ({"pair_table": {"unit_i": "City A"}}, "Cities"),
        ({"pair_table": {"unit_i": "i"}}, "Units"),
        ({}, "Units"),
        ({"panel": None, "pair_table": {"unit_i": None}}, "Units"),
        ({"pair_table": {"unit_i": "city_i", "unit_j": "city_j"}}, "Cities"),
        ({"pair_table": {"unit_i": "exporter", "unit_j": "importer"}}, "Countries"),
        ({"pair_table": {"unit_i": "exporter", "unit_j": "importer_firm"}}, "Units"),
        ({"pair_table": {"unit_i": "city", "unit_j": "province"}}, "Units"),
        ({"pair_table": {"unit_i": "country", "unit_j": "b"}}, "Units"),
        ({"pair_table": {"unit_i": "出口国", "unit_j": "进口国"}}, "Countries"),
    ],
)
def test_the_header_says_what_units_are(parameters: dict[str, object], label: str) -> None:
    assert units_label(parameters) == label
    chinese = {
        "Cities": "城市",
        "Countries": "国家",
        "Counties": "区县",
        "Provinces": "省份",
        "Units": "单位",
    }
    words = words_of("zh")
    assert words.known(label) == f"{chinese[label]}数"
    assert words.in_context("Pairs", label) == ("配对数" if label == "Units" else f"{chinese[label]}对数")


HEADERS = {
    "Countries": "exporter importers exporter_id exporter_iso3 ExporterCode iso3_d country_o COUNTRYNAME 国家 国家代码 "
    "出口国 伙伴国 国别 城市国家",
    "Cities": "city_i city_code cityid CITYCODE CityName destination_city exporter_city 中国城市 全国城市 国内城市 "
    "省会城市 省会 地级市 县级市 直辖市 出口城市 城市代码 prefecture prefectures",
    "Counties": "county counties prefecture_county 区县 市县 市辖区 县域",
    "Provinces": "province provinces prov_code prov_i 省份 出口省 中国省份 城市所在省份 省级行政区",
    "Units": "destination origin nationality combination isolation capacity velocity ethnicity provider state 国企 "
    "国有企业 中国企业 国家级开发区 工业园区 城市群 市场 超市 门市 上市公司 企业 地区 国标代码 国民经济行业 全国 "
    "exporter_firm exporter_region exporting_firm firm_country_firm importer_port i",
}


@pytest.mark.parametrize(
    ("header", "label"), [(header, label) for label, headers in HEADERS.items() for header in headers.split()]
)
def test_the_last_noun_of_a_header_counts(header: str, label: str) -> None:
    assert units_label({"pair_table": {"unit_i": header, "unit_j": header}}) == label
    assert units_label({"panel": {"source": "a.csv", "columns": {"city": header}}}) == label


def test_several_words_of_a_header_are_read() -> None:
    assert units_label({"pair_table": {"unit_i": "name of exporter"}}) == "Countries"
    assert units_label({"pair_table": {"unit_i": "exporter 企业"}}) == "Units"
    assert units_label({"pair_table": {"unit_i": "prefecture-level city 城市"}}) == "Cities"


def test_sentences_speak_of_the_units() -> None:
    texts = {lang: {label: Words(lang, label)("two-way city") for label in HEADERS} for lang in ("en", "zh")}
    assert texts["en"] == {
        "Countries": "two-way country", "Cities": "two-way city", "Counties": "two-way county",
        "Provinces": "two-way province", "Units": "two-way unit",
    }  # fmt: skip
    assert texts["zh"] == {
        "Countries": "国家双向聚类", "Cities": "城市双向聚类", "Counties": "区县双向聚类",
        "Provinces": "省份双向聚类", "Units": "单位双向聚类",
    }  # fmt: skip
    assert error_label("pair", Words("zh", "Units")) == "配对聚类"
    assert error_label("pair", Words("zh", "Countries")) == "国家对聚类"
    assert error_phrase("city", Words("en", "Countries")) == "two-way country clustering"
    note = Note.of("few_adopters", count=2)
    assert Words("zh", "Countries").note(note).startswith("样本中实施政策的国家数：2")
    assert Words("en", "Units").note(note).startswith("adopting units in the sample: 2")
    constant = Note.of("constant_cities", column="city tax", count=1, cities=["Mexico city"])
    assert Words("en", "Countries").note(constant) == (
        "city tax does not vary over time in 1 country (Mexico city)"
    )
    assert Words("zh", "Units").note(Note.of("leave_out_unidentified", count=2, terms=["城市"])) == (
        "有 2 个剔除一个单位的样本无法识别 城市"
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_words_of_other_units_leave_no_city_and_the_same_places(lang: str) -> None:
    words, of_cities = Words(lang, "Units"), words_of(lang)
    for text in words_of("zh").fixed:
        form = words(text)
        assert places(form) == places(of_cities(text))
        bare = re.sub(r"\{[^}]*\}", "", form)
        assert not re.search(r"\bcit(y|ies)\b", bare, re.IGNORECASE), text
        assert "城市" not in bare or text.startswith(("SYNTHETIC", "REAL")), text
    for code, sentence in of_cities.sentences.items():
        numbers = dict.fromkeys(re.findall(r"\{(\w+):(?:[,.gef0-9]+|duration|[^{}]*\|[^{}]*)\}", sentence), 2)
        worded = words.note(Note.of(code, **dict.fromkeys(places(sentence), "x") | numbers))
        assert not re.search(r"\bcit(y|ies)\b|城市", worded), code


def places(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name}


def test_error_types_and_notes_of_a_table_have_its_units() -> None:
    frame = sweep(1)
    table = regression_table(
        frame, title="T", style=TableStyle(units="Countries"), words=Words("zh", "Countries")
    )
    text = table.to_text()
    assert "城市" not in text
    for expected in (
        "国家对聚类",
        "国家双向聚类",
        "国家对固定效应",
        "国家对数",
        "国家数",
        "取决于国家的排列次序",
    ):
        assert expected in text
    named = regression_table(
        frame.replace({"term": {"policy": "城市"}}), title="T", words=Words("zh", "Units")
    )
    assert named.rows[0].label == "城市"  # names of the user stand
    assert all(error_label(code, ENGLISH) == look.label for code, look in ERROR_LOOKS.items())


def test_folders_without_parameters_speak_of_cities() -> None:
    assert job_words({"lang": "zh"}).units == "Cities"
    assert job_words({"parameters": {"pair_table": {"unit_i": "firm"}}}).units == "Units"


def test_a_table_of_a_trade_table_counts_countries(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    rows = [
        (i, j, year, rng.normal(), rng.integers(2))
        for i in "ABCDE"
        for j in "ABCDE"
        if i != j
        for year in range(2000, 2005)
    ]
    table = pd.DataFrame(rows, columns=["exporter", "importer", "year", "trade", "rta"])
    job = {
        "job": "trade",
        "pair_table": {"unit_i": "exporter", "unit_j": "importer", "year": "year", "directed": True},
        "outcome": {"column": "trade"},
        "model": {"regressors": ["rta"], "errors": ["pair", "city", "dyadic"]},
    }
    engine.run(job, frames={"pair_table": table}, out=tmp_path)
    text = (tmp_path / "trade" / "table.txt").read_text(encoding="utf-8")
    assert "\nCountries  " in text
    assert "Units" not in text
    assert "two-way country" in text
    engine.run({**job, "lang": "zh"}, frames={"pair_table": table}, out=tmp_path)
    text = (tmp_path / "trade" / "table.txt").read_text(encoding="utf-8")
    assert "\n国家数 " in text
    assert "\n国家对数 " in text
    pipeline.report(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for form in (text, page):
        assert "国家双向聚类" in form
        assert "城市" not in form
