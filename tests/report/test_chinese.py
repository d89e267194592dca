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
from engine.report.outputs.coefficient_plot import coefficient_text
from engine.report.outputs.error_comparison import error_sentences
from engine.report.outputs.event_study_plot import event_study_text
from engine.report.outputs.regression_table import regression_table
from engine.report.page import JobSection, report_page
from engine.report.told_again import TOLD_AGAIN
from engine.report.words import ENGLISH, columns_phrase, words_of

ZH = words_of("zh")
ENGINE = Path(engine.report.__file__).parents[1]


def texts_in_code():
    """Every literal handed to ``words(...)``, whatever the words are called, or put into ``form`` first."""
    found = set()
    for path in ENGINE.glob("report/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = (
                getattr(node.func, "id", getattr(node.func, "attr", "")) if isinstance(node, ast.Call) else ""
            )
            if name in ("words", "figure_words", "self") and node.args:
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
    "tables/join.py": ["join_notes", "_near_misses"],
    "tables/labels.py": ["warnings"],
    "tables/years.py": ["_notes"],
    "cities/panel_grid.py": ["_warn_of_codes"],
    "tables/read.py": ["_parse"],
    "tables/delimited.py": ["short_rows"],
    "tables/parquet.py": ["read_parquet"],
    "cities/prepare.py": ["prepare", "_shadow_warnings", "_price_warnings", "_far_years"],
    "cities/validation.py": ["reason", "validate", "_check_series", "_jumps", "_some"],
    "pairs/table_values.py": ["code_warnings"],
    "pairs/table_report.py": [
        "blank_note",
        "infinite_warning",
        "lag_note",
        "lacking_warning",
        "weightless_note",
    ],
    "infer/errors/two_way.py": ["covariance"],
    "infer/errors/dyadic.py": ["covariance"],
    "infer/errors/jackknife.py": ["covariance"],
    "pairs/panel_design.py": ["steps"],
    "stages/city_data.py": ["warnings", "all_pairs"],
    "stages/pair_data.py": ["all_pairs"],
    "stages/curve_run.py": ["curve_frame", "_incomparable"],
    "stages/manifest.py": [
        "_span_notes",
        "_absorption_warnings",
        "_adopter_warning",
        "code_notes",
    ],
    "stages/absorbed.py": ["_with_unconverged"],
    "stages/inference/__init__.py": ["run_inference"],
    "stages/inference/bootstrap.py": ["bootstrap", "_note_lost_cohorts"],
    "stages/inference/permutation_draws.py": ["permute", "_permutation_rows"],
}
KEYS = {
    "panel", "deflate", "columns", "inference", "permutation", "reps", "seed", "strata", "model", "lag", "missing",
    *("pair", "table", "merge", "names"),
}  # fmt: skip
KIND = {
    "infer/errors/two_way.py": "city: ",
    "infer/errors/dyadic.py": "dyadic: ",
    "infer/errors/jackknife.py": "jackknife: ",
    "stages/absorbed.py": "jackknife: ",
}  # the manifest puts it before


# Functions and files with sentences that never reach a page: parts of errors, and lines for the terminal.
ELSEWHERE = {
    "cities/dropped_cities.py": ["_too_few"],
    "estimate/absorb.py": ["_refuse_missing", "_closed_form", "_sweep", "_iterate"],
    "estimate/absorb_collinear.py": ["refuse_collinear"],
    "estimate/logit.py": ["_sentence"],
    "pairs/table.py": ["_units"],
    "stages/absorbed.py": ["_advised"],
    "stages/inference/bootstrap.py": ["_decomposition_rows"],
    "tables/encodings.py": ["_remedy", "_stated_wrongly"],
    "tables/file_bytes.py": ["read_bytes"],
    "tables/grammar.py": ["allowed", "unknown"],
    "tables/labels.py": ["_refuse_unnameable", "notes"],  # what was done is one of two words, see the examples below
    "tables/problems.py": ["other_rows"],
    "tables/xlsx_cells.py": ["_problem"],
    "tables/years.py": ["read_years", "_remedy"],
    "pairs/table_report.py": ["lines"],
    "pairs/table_rows.py": ["_unit_problems", "_repeats", "_others"],
    "pairs/table_values.py": ["columns_read"],
    **dict.fromkeys(
        (f"stages/{name}.py" for name in (
            "demo", "describe", "draw", "follow", "job_files", "policy_text", "report", "saved", "submit",
        )),
        None,
    ),
}  # fmt: skip
ROOMS = ("tables", "cities", "pairs", "estimate", "infer", "stages")


def functions_of(path):
    tree = ast.parse((ENGINE / path).read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def sentences(path, functions):
    """Every text of four words or more in these functions, but for errors and docstrings; its places filled."""
    for function in functions_of(path):
        if function.name in functions:
            for said in sentences_of(function):
                yield function.name, KIND.get(path, "") + said


def sentences_of(function):
    nodes = list(ast.walk(function))
    errors = {
        id(part)
        for node in nodes
        if isinstance(node, ast.Raise)
        or getattr(getattr(node, "func", None), "id", "") in ("InputError", "RunError")
        for part in ast.walk(node)
    }
    inner = {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    documented = {
        id(getattr(node.body[0], "value", None)) for node in nodes if isinstance(node, ast.FunctionDef)
    }
    for node in nodes:
        if id(node) in errors | inner | documented:
            continue
        if isinstance(node, ast.JoinedStr):
            said = "".join(
                part.value if isinstance(part, ast.Constant) else _filled(part) for part in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            said = node.value
        else:
            continue
        if len(re.findall(r"[a-z]{2,}", said)) >= 4 and said[0] != " ":  # else a part of another
            yield said


def test_no_function_has_sentences_that_nobody_translates() -> None:
    """A new note, warning or step belongs in `SPEAKERS`; what is only printed, or part of an error, in `ELSEWHERE`."""
    speaking = set()
    for path in (path for room in ROOMS for path in sorted((ENGINE / room).rglob("*.py"))):
        name = path.relative_to(ENGINE).as_posix()
        if name in ELSEWHERE and ELSEWHERE[name] is None:
            continue
        speaking |= {(name, function.name) for function in functions_of(name) if any(sentences_of(function))}
    listed = {
        (name, function)
        for catalogue in (SPEAKERS, ELSEWHERE)
        for name, functions in catalogue.items()
        for function in functions or ()
    }
    assert speaking - listed == set()


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
        left = set(re.findall(r"[A-Za-z]{2,}", told)) - KEYS
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
            "pairs.split=coastal: high: dyadic: the variance is not positive for policy, edu; the city sums without "
            "the subtraction are shown there, and there alone",
            "pairs.split=coastal: 高: 二元稳健：policy, edu 的方差不为正，仅对其改为报告不作扣减的城市加总",
        ),
        (
            "trend: jackknife: 2 leave-one-city-out samples do not identify x; 3 leave-one-city-out samples did not "
            "converge to the tolerance",
            "trend: 刀切法：有 2 个剔除一城的样本无法识别 x；另有 3 个剔除一城的样本未能按容差收敛",
        ),
        (
            "p.csv: spellings in column 'town' that were normalised: 2 ('Ａ' = 'A', 'B\u3000C' = 'B C')",
            "p.csv：列 'town'中 2 种写法已规范化（'Ａ' = 'A', 'B\u3000C' = 'B C'）",
        ),
        (
            "p.csv: spellings in labels in column 'region' that were merged: 1 ('a' = 'A')",
            "p.csv：列 'region' 的标签中 1 种写法已合并（'a' = 'A'）",
        ),
        (
            "p.csv: cities that are spelled nearly alike and count as different: C00 = c00 (case); 南昌 = 南昌市 "
            "(suffix); if they are the same, spell them alike or set panel.merge_names: [case, suffix]",
            "p.csv：城市中写法相近而按不同名称处理：C00 = c00 (case); 南昌 = 南昌市 (suffix)；若实为同一名称，"
            "请统一写法或设置 panel.merge_names: [case, suffix]",
        ),
        (
            "b.csv: cities that are spelled nearly as in the panel but find no row of it: 南昌 = 南昌市; spell them "
            "alike, or set panel.merge_names: [suffix]",
            "b.csv：写法与面板相近而未能匹配的城市：南昌 = 南昌市；请统一写法或设置 panel.merge_names: [suffix]",
        ),
        (
            "p.csv: column 'year' holds dates, of which the year is read: '2008-12-31' as 2008",
            "p.csv：列 'year' 为日期，取其年份：'2008-12-31' 读作 2008",
        ),
        (
            "column 'x' is -999 in 2 of 20 rows, first in row 8 (B), far from all other values: if that means missing, "
            "list it under panel.missing",
            "列 'x' 在 20 行中有 2 行为 -999（首见于行 8 (B)），远离其他数值：若表示缺失，请列入 panel.missing",
        ),
        (
            "pilot of C is 2105, more than 50 years from the sample (1 such in all): is it mistyped?",
            "C的 pilot 为 2105，距样本超过 50 年（共 1 处）：是否误写？",
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
        reading=error_sentences(frame, words=ZH),
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
    figures = [
        re.findall(r"\d[\d.]*", " ".join(error_sentences(frame, words=words))) for words in (ENGLISH, ZH)
    ]
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
