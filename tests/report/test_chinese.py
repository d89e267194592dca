"""The Chinese catalogue: complete, with the same places, and nothing English left where it is used."""

from __future__ import annotations

import ast
import re
from html import unescape
from pathlib import Path
from string import Formatter

import pandas as pd
import pytest
from report_frames import event_study, sweep
from test_page import MANIFEST

import engine.report
from engine.cities import builtin
from engine.errors import InputError
from engine.report.chinese import CHINESE
from engine.report.figures import coefficient_text, event_study_text
from engine.report.page import JobSection, report_page
from engine.report.reading import reading
from engine.report.tables import regression_table
from engine.report.told_again import TOLD_AGAIN
from engine.report.words import ENGLISH, columns_phrase, words_of

ZH = words_of("zh")
ENGINE = Path(engine.report.__file__).parents[1]


def texts_in_code():
    """Every literal handed to ``words(...)``, or put into a variable called ``form`` first."""
    found = set()
    for path in [*ENGINE.glob("report/*.py"), ENGINE / "stages" / "output.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            if call and node.func.id == "words" and node.args:
                said = node.args[0]
            elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "form":
                said = node.value
            else:
                continue
            options = [said.body, said.orelse] if isinstance(said, ast.IfExp) else [said]
            found |= {one.value for one in options if isinstance(one, ast.Constant)}
    return found


def places(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


def test_every_text_in_the_code_has_its_chinese():
    found = texts_in_code()
    assert len(found) > 90
    assert found - set(CHINESE) == set()


@pytest.mark.parametrize("catalogue", [CHINESE, TOLD_AGAIN])
def test_both_languages_have_the_same_places(catalogue):
    assert {text: places(text) for text in catalogue} == {
        text: places(said) for text, said in catalogue.items()
    }


def test_what_manifests_hold_is_told_again_and_the_rest_stands():
    assert ZH.known("all pairs of 254 units") == "254 个城市的全部城市对"
    assert ZH.known("synchronization of capital / employment") == "capital / employment 的同步性"
    assert ZH.known("low in students_per_10k") == "students_per_10k 分组：低"
    assert ZH.known("population <b>jumps</b>") == "population <b>jumps</b>"
    assert ENGLISH.known("all pairs of 254 units") == "all pairs of 254 units"
    assert columns_phrase([1, 2, 3, 6], ZH) == "第 (1) 至 (3)和(6) 列"


# Where manifests and validation reports get their sentences from: function, by file.
SPEAKERS = {
    "tables/join.py": ["join_notes"],
    "cities/prepare.py": ["prepare", "_shadow_warnings", "_price_warnings"],
    "cities/validate.py": ["reason", "validate", "_jumps", "_some"],
    "infer/variance.py": ["_two_way", "_dyadic", "_jackknife"],
    "stages/manifest.py": ["_data_warnings", "_span_notes", "_absorption_warnings"],
    "pipeline.py": ["_code_notes"],
    "stages/inference/bootstrap.py": ["bootstrap", "_note_lost_cohorts"],
    "stages/inference/permutation.py": ["permute", "_permutation_rows"],
}
KIND = {
    "_two_way": "city: ",
    "_dyadic": "dyadic: ",
    "_jackknife": "jackknife: ",
}  # the manifest puts it before


def sentences(path, functions):
    """Every text of four words or more in these functions, but for errors and docstrings; its places filled."""
    tree = ast.parse((ENGINE / path).read_text(encoding="utf-8"))
    for function in ast.walk(tree):
        if not (isinstance(function, ast.FunctionDef) and function.name in functions):
            continue
        errors = {
            id(part) for node in ast.walk(function) if isinstance(node, ast.Raise) for part in ast.walk(node)
        }
        inner = {
            id(one) for node in ast.walk(function) if isinstance(node, ast.JoinedStr) for one in node.values
        }
        for node in ast.walk(function):
            if id(node) in errors | inner or node is getattr(function.body[0], "value", None):
                continue
            if isinstance(node, ast.JoinedStr):
                said = "".join(
                    one.value if isinstance(one, ast.Constant) else _filled(one) for one in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                said = node.value
            else:
                continue
            if len(re.findall(r"[a-z]{2,}", said)) >= 4 and said[0] != " ":  # else a part of another
                yield function.name, KIND.get(function.name, "") + said


def _filled(place):
    said = ast.unparse(place.value)
    return {"early": "", "cities": "7 cities", "' and '.join(group)": "7 and 7"}.get(
        said, "s" if "'s' *" in said else "7"
    )


@pytest.mark.parametrize("path", SPEAKERS)
def test_every_sentence_of_a_manifest_has_its_chinese(path):
    found = list(sentences(path, SPEAKERS[path]))
    assert {name for name, _ in found} >= set(SPEAKERS[path]) - {"_some", "reason"}
    for _, said in found:
        told = ZH.known(said)
        left = set(re.findall(r"[A-Za-z]{2,}", told)) - {"panel", "deflate", "columns"}  # a key
        assert re.search("[\u4e00-\u9fff]", told), said
        assert not left, told


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "43 of 300 cities were dropped: A (x missing in 2019); B (x missing in 2010-2019 (and 15 more columns)); "
            "C (y missing in 2010, 2012 (and 1 more column)) and 40 more",
            "300 个城市中有 43 个被剔除：A（x 缺 2019 年）；B（x 缺 2010-2019 年，另有 15 列缺失）；"
            "C（y 缺 2010, 2012 年，另有 1 列缺失）；另有 40 个",
        ),
        ("2 of 9 cities were dropped: A (x missing in 2019)", "9 个城市中有 2 个被剔除：A（x 缺 2019 年）"),
        ("x missing in 2012-2014 (and 2 more columns)", "x 缺 2012-2014 年，另有 2 列缺失"),
        ("land does not vary over time in 38 cities (A, B, C, ...)", "land 在 38 个城市（A, B, C, ...）不随时间变化"),
        (
            "x has identical series in 1 group of cities (A = B): their synchronization in it is infinite",
            "x 在 1 组城市（A = B）中序列完全相同：其同步性为无穷大",
        ),
        (
            "pairs.split=coastal: high: city: a variance was negative; negative eigenvalues of the covariance were "
            "set to zero",
            "pairs.split=coastal: 高: 城市双向聚类：方差为负，协方差矩阵的负特征值已置零",
        ),
        ("trend and level: 3 permutations do not identify the regression and are left out",
         "trend and level: 3 次置换无法识别回归，已略去"),
    ],
)  # fmt: skip
def test_sentences_with_their_lists(said, told):
    assert ZH.known(said) == told


def test_chinese_page_has_no_english_but_that_of_the_job():
    frame = sweep(3)
    warned = ["1 of 3 cities were dropped: 甲 (人口 missing in 2012)"]
    told = {**MANIFEST, "title": "表一", "warnings": warned, "timings": {}, "seeds": {}, "versions": {}}
    told["data"] = {"synthetic": True}
    told["counts"] = [
        {**one, "steps": [{"step": "matched", "pairs": 1, "rows": 2}]} for one in MANIFEST["counts"]
    ]
    table = regression_table(frame, title="表一", main="policy", synthetic=True, words=ZH)
    section = JobSection(
        manifest=told, tables=[table], figures=[("图", coefficient_text(frame, "policy", ZH), b"")],
        reading=reading(frame, words=ZH),
    )  # fmt: skip
    page = report_page([section], words=ZH)
    assert '<html lang="zh-CN">' in page
    body = re.sub(r"<pre.*?</pre>|<style>.*?</style>", "", page, flags=re.S)
    seen = unescape(re.sub(r"<[^>]*>", " ", body))
    alternative = re.findall(r'alt="([^"]*)"', body)
    words = set(re.findall(r"[A-Za-z]{2,}", " ".join([seen, *alternative])))
    assert words == {"policy", "sync", "demo", "LaTeX", "CRV"}
    assert "二元稳健标准误是城市对聚类标准误的 4.0 倍" in page
    assert "事件研究" in event_study_text(event_study(), ZH)


def test_built_in_data_are_described_in_chinese():
    assert [
        name
        for name in ("china_demo", "euro", "pilots", "policy_demo")
        if builtin.describe(name) not in CHINESE
    ] == []


def test_numbers_are_the_same_in_both_languages():
    frame = sweep(3)
    ours, theirs = (regression_table(frame, title="T", words=words) for words in (ENGLISH, ZH))
    for one, other in zip(ours.rows, theirs.rows, strict=True):
        if one.kind != "setting":
            assert one.entries == other.entries
    figures = [re.findall(r"\d[\d.]*", " ".join(reading(frame, words=words))) for words in (ENGLISH, ZH)]
    assert sorted(figures[0]) == sorted(figures[1])


def test_a_language_that_is_not_there():
    with pytest.raises(InputError, match="no words in 'fr'"):
        words_of("fr")


def test_settings_are_wrapped_not_cut():
    frame = pd.concat([sweep(1).assign(cell=name, case=name) for name in ("institution as outcome", "x")])
    table = regression_table(frame.drop(columns="model.controls"), title="T")
    row = next(row for row in table.rows if row.label == "case")
    assert [entry.text for entry in row.entries] == ["institution\nas outcome", "x"]
    assert [entry.value for entry in row.entries] == ["institution as outcome", "x"]
    assert "institution<br>as outcome" in table.to_html()
